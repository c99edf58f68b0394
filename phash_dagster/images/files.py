"""Hashes images that are at hand as bytes or files, for the command line."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from phash_dagster.hashing.interface import HashAlgorithm, to_hex
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.model import ImageRejected, excerpt
from phash_dagster.images.signature import HEAD_BYTES, signature

STANDARD_INPUT = "-"
"""The path that means standard input."""


@dataclass(frozen=True)
class NamedHash:
    """A hash in hexadecimal, and its quality from 0 to 100."""

    algorithm: str
    hash: str
    quality: int


@dataclass(frozen=True)
class HashedImage:
    """An image with one hash per algorithm, in the order in which they were asked for.

    `source` is a path, a URL, or an AT URI with the blob CID behind a `#`. `rendition` is what the
    CDN made of it, `original` for a blob from a PDS, and None for files and URLs.
    """

    source: str
    hashes: tuple[NamedHash, ...]
    width: int
    height: int
    format: str
    rendition: str | None = None


@dataclass(frozen=True)
class UnhashedImage:
    """Something that has no hash, and why."""

    source: str
    reason: str


HashResult = HashedImage | UnhashedImage


@dataclass(frozen=True)
class ImageHasher:
    """Decodes and hashes, within limits. Safe to use from several threads."""

    algorithms: Sequence[HashAlgorithm]
    limits: DecodeLimits

    def hash_bytes(self, source: str, data: bytes) -> HashResult:
        """The hashes of an image file's bytes; what does not decode is a result too."""
        try:
            decoded = decode(data, self.limits)
        except ImageRejected as rejected:
            return UnhashedImage(source, str(rejected))
        except MemoryError:
            return UnhashedImage(source, "there is not enough memory to decode it now")
        hashes = []
        for algorithm in self.algorithms:
            try:
                found = algorithm.hash(decoded.image)
            except Exception as error:  # noqa: BLE001 - it can be another package's
                reason = f"{algorithm.name}: {type(error).__name__}: {excerpt(str(error), 200)}"
                return UnhashedImage(source, reason)
            text = to_hex(found.value, algorithm.bits)
            hashes.append(NamedHash(algorithm.name, text, found.quality))
        return HashedImage(source, tuple(hashes), decoded.width, decoded.height, decoded.format)

    def hash_path(self, path: str, stdin: BinaryIO) -> HashResult:
        """The hashes of a file; `-` is standard input. A file that cannot be read is a result."""
        try:
            data = _read(path, self.limits.max_bytes, stdin)
        except (OSError, ValueError) as error:
            return UnhashedImage(path, _explain(error))
        return self.hash_bytes(path, data)

    def hash_if_image(self, path: str) -> HashResult | None:
        """As `hash_path`, but None for a file that by its first bytes is no image we decode."""
        try:
            with Path(path).open("rb") as file:
                head = file.read(HEAD_BYTES)
                if signature(head).format is None:
                    return None
                data = head + file.read(max(0, self.limits.max_bytes + 1 - len(head)))
        except OSError as error:
            return UnhashedImage(path, _explain(error))
        return self.hash_bytes(path, data)


def files_below(folder: str) -> Iterator[str | UnhashedImage]:
    """The paths of all regular files in a folder and its subfolders, in order of their names.

    Links to folders are not followed. A subfolder that cannot be read is a result.
    """
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield str(path)
    for error in unreadable:
        yield UnhashedImage(str(error.filename), _explain(error))


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
            return "is a directory"
        case PermissionError():
            return "permission denied"
        case OSError():
            return f"cannot be read: {error.strerror or error}"
        case _:
            return f"is not a path: {error}"
