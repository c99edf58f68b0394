"""Hashes image files by path, for `phash-dagster hash`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from phash_dagster.hashing.interface import HashAlgorithm, to_hex
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.model import ImageRejected

STANDARD_INPUT = "-"
"""The path that means standard input."""


@dataclass(frozen=True)
class HashedFile:
    """A file and the hexadecimal text of its hash; `quality` from 0 to 100."""

    path: str
    hash: str
    quality: int


@dataclass(frozen=True)
class UnhashedFile:
    """A file that has no hash, and why."""

    path: str
    reason: str


def hash_paths(
    paths: Iterable[str], algorithm: HashAlgorithm, limits: DecodeLimits, stdin: BinaryIO
) -> Iterator[HashedFile | UnhashedFile]:
    """One result per path, in order; a path of `-` reads `stdin`.

    A file that cannot be read or decoded is a result too: this raises for none of them.
    """
    return (_hash_path(path, algorithm, limits, stdin) for path in paths)


def _hash_path(
    path: str, algorithm: HashAlgorithm, limits: DecodeLimits, stdin: BinaryIO
) -> HashedFile | UnhashedFile:
    try:
        decoded = decode(_read(path, limits.max_bytes, stdin), limits)
    except ImageRejected as rejected:
        return UnhashedFile(path, str(rejected))
    except (OSError, ValueError) as error:
        return UnhashedFile(path, _explain(error))
    found = algorithm.hash(decoded.image)
    return HashedFile(path, to_hex(found.value, algorithm.bits), found.quality)


def _read(path: str, max_bytes: int, stdin: BinaryIO) -> bytes:
    """The file's bytes; one more than allowed at most, which is enough to tell that it has more."""
    if path == STANDARD_INPUT:
        return stdin.read(max_bytes + 1)
    with Path(path).open("rb") as file:
        return file.read(max_bytes + 1)


def _explain(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a directory; name the files in it"
        case PermissionError():
            return "permission denied"
        case OSError():
            return f"cannot be read: {error.strerror or error}"
        case _:
            return f"is not a path: {error}"
