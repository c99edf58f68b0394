"""Small images of every kind with the hashes they must have, to tell if a library moved one.

A decoder or a library that changes its rounding changes hashes. Images hashed before and after are
then no longer comparable, nor are the hashes in rules with new images, by as many bits as it moved.
The images were made once, by `tests/images/make_golden.py`, and are never made again: encoders may
change, the files must not. `expected.csv` holds the hashes, `versions.json` which versions of the
libraries they were made with.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import StringIO

from PIL import features

from phash_dagster.hashing import (
    HashAlgorithm,
    built_in_algorithms,
    hamming_distance,
    parse_hex,
    to_hex,
)
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.model import ImageRejected, Outcome

_PACKAGES = ("pillow", "numpy", "imagehash", "scipy", "pdqhash")
_DECODERS = {
    "libjpeg-turbo": "libjpeg_turbo",
    "libwebp": "webp",
    "libavif": "avif",
    "zlib": "zlib",
    "zlib-ng": "zlib_ng",
}
"""Libraries within or beneath Pillow, as it names them."""


@dataclass(frozen=True)
class MovedHash:
    """A golden image whose hash is no longer the expected one.

    `found` is None where the image has no hash any more, for `reason`.
    """

    file: str
    algorithm: str
    bits: int
    expected: str
    found: str | None
    reason: str | None = None

    @property
    def distance(self) -> int:
        """By how many bits it moved; all of them where there is none any more."""
        if self.found is None:
            return self.bits
        return hamming_distance(
            parse_hex(self.expected, self.bits), parse_hex(self.found, self.bits)
        )

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.file} has no {self.algorithm} hash any more: {self.reason}"
        return (
            f"{self.algorithm} of {self.file} moved by {self.distance} of {self.bits} bits: "
            f"{self.expected} is now {self.found}"
        )


@dataclass(frozen=True)
class GoldenReport:
    """What hashing the golden images came to.

    Attributes:
        compared: Hashes that were compared.
        moved: Those that are not as expected.
        skipped: What could not be compared here: an algorithm whose package is missing, or a file
            whose format this Pillow does not decode; each with the reason.
        recorded: Library versions that the expected hashes were made with.
        current: Library versions of now.
    """

    compared: int
    moved: tuple[MovedHash, ...]
    skipped: tuple[str, ...]
    recorded: Mapping[str, str]
    current: Mapping[str, str]

    @cached_property
    def changed_versions(self) -> tuple[str, ...]:
        """The libraries with another version than recorded, e.g. `pillow 13.0.0 -> 13.1.0`."""
        names = sorted({*self.recorded, *self.current})
        return tuple(
            f"{name} {self.recorded.get(name, 'none')} -> {self.current.get(name, 'none')}"
            for name in names
            if self.recorded.get(name) != self.current.get(name)
        )


def check_golden(folder: Traversable | None = None) -> GoldenReport:
    """Decode the golden images and hash them by every built-in algorithm; takes 0.2 s or so.

    Args:
        folder: Where images and expectations are; those of the package by default.
    """
    folder = folder or files(__package__)
    rows = list(csv.DictReader(StringIO(folder.joinpath("expected.csv").read_text("utf-8"))))
    algorithms = {algorithm.name: algorithm for algorithm in built_in_algorithms()}
    skipped = [
        f"algorithm {name}: its package is not installed"
        for name in dict.fromkeys(row["algorithm"] for row in rows)
        if name not in algorithms
    ]
    compared = 0
    moved: list[MovedHash] = []
    for file, expected in _by_file(rows):
        usable = {name: text for name, text in expected.items() if name in algorithms}
        data = folder.joinpath(file).read_bytes()
        found = _hashes(data, [algorithms[name] for name in usable])
        if isinstance(found, ImageRejected) and found.outcome is Outcome.unsupported:
            skipped.append(f"{file}: {found.reason}")
            continue
        compared += len(usable)
        moved += _moved(file, usable, found, algorithms)
    recorded = json.loads(folder.joinpath("versions.json").read_text("utf-8"))
    return GoldenReport(compared, tuple(moved), tuple(skipped), recorded, library_versions())


def library_versions() -> dict[str, str]:
    """The versions of all libraries that have a part in a hash, those within Pillow included."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # optional
    for name, feature in _DECODERS.items():
        if number := features.version(feature):
            found[name] = str(number)
    return found


def _by_file(rows: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each file with the expected hashes by algorithm."""
    expected: dict[str, dict[str, str]] = {}
    for row in rows:
        expected.setdefault(row["file"], {})[row["algorithm"]] = row["hash"]
    yield from expected.items()


def _hashes(data: bytes, algorithms: Iterable[HashAlgorithm]) -> dict[str, str] | ImageRejected:
    try:
        image = decode(data, DecodeLimits()).image
    except ImageRejected as rejected:
        return rejected
    return {
        algorithm.name: to_hex(algorithm.hash(image).value, algorithm.bits)
        for algorithm in algorithms
    }


def _moved(
    file: str,
    expected: Mapping[str, str],
    found: Mapping[str, str] | ImageRejected,
    algorithms: Mapping[str, HashAlgorithm],
) -> Iterator[MovedHash]:
    for name, text in expected.items():
        bits = algorithms[name].bits
        if isinstance(found, ImageRejected):
            yield MovedHash(file, name, bits, text, None, str(found))
        elif found[name] != text:
            yield MovedHash(file, name, bits, text, found[name])
