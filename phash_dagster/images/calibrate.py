"""Finds out which algorithm made a list of hashes, from images whose hash in it is known.

The two variants of the average hash agree on 84 % of images, so about 20 pairs tell them apart.
Decoders round differently: of the JPEGs that a Rust program hashed, 2 % are one bit off here.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from phash_dagster.hashing import HashAlgorithm, hamming_distance, parse_hex
from phash_dagster.images.files import HashedImage, HashResult

_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{16}){1,4}")

FEW_PAIRS: Final = 10
"""Pairs below which a verdict comes with a warning."""

_AGREES_FROM: Final = 0.9
"""Share of pairs within one bit from which an algorithm may have made the list."""


@dataclass(frozen=True)
class KnownPair:
    """An image (path, URL or AT URI) and its hash in the list, in lower case."""

    image: str
    hash: str


@dataclass(frozen=True)
class Agreement:
    """How an algorithm's hashes agree with the known ones, over `pairs` images."""

    algorithm: str
    pairs: int
    identical: int
    within_one: int
    distance: int
    """Bits by which all pairs together differ."""

    def __str__(self) -> str:
        return (
            f"{self.algorithm:<16} identical {self.identical} of {self.pairs}, within one bit "
            f"{self.within_one}, on average {self.distance / self.pairs:.1f} bits apart"
        )


@dataclass(frozen=True)
class Verdict:
    """The algorithm that made the list, None if that cannot be told; and a sentence."""

    algorithm: str | None
    text: str


def read_pairs(path: Path) -> list[KnownPair]:
    """The pairs of a CSV file. Paths in it are relative to its folder.

    Raises:
        OSError: The file cannot be read.
        ValueError: A line is not a pair, or there is none; says which line.
    """
    pairs = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(_rows(file), start=1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or (number == 1 and cells == ["image", "hash"]):
                continue
            if len(cells) != 2 or not _HEX.fullmatch(cells[1]):
                raise ValueError(
                    f"line {number} is not an image, a comma and a hash of 16 or 64 hexadecimal "
                    "digits"
                )
            image = cells[0] if "://" in cells[0] else str(path.parent / cells[0])
            pairs.append(KnownPair(image, cells[1].lower()))
    if not pairs:
        raise ValueError("there is no pair of image and hash in it")
    return pairs


def _rows(file: TextIO) -> Iterator[list[str]]:
    try:
        yield from csv.reader(file)
    except csv.Error as error:
        raise ValueError(f"it is not CSV: {error}") from error


def agreements(
    pairs: Sequence[KnownPair],
    results: Sequence[Iterable[HashResult]],
    algorithms: Sequence[HashAlgorithm],
) -> list[Agreement]:
    """How each algorithm agrees, the best first; without those that have other widths.

    `results` holds those of each pair's image; pairs without exactly one image are left out.
    """
    found = []
    for algorithm in algorithms:
        distances = [
            distance
            for pair, images in zip(pairs, results, strict=True)
            if (distance := _distance(pair, list(images), algorithm)) is not None
        ]
        if distances:
            identical = distances.count(0)
            within_one = identical + distances.count(1)
            found.append(
                Agreement(algorithm.name, len(distances), identical, within_one, sum(distances))
            )
    return sorted(found, key=lambda each: (-each.identical, each.distance))


def _distance(
    pair: KnownPair, images: Sequence[HashResult], algorithm: HashAlgorithm
) -> int | None:
    if len(pair.hash) * 4 != algorithm.bits or len(images) != 1:
        return None
    [image] = images
    if not isinstance(image, HashedImage):
        return None
    [text] = [each.hash for each in image.hashes if each.algorithm == algorithm.name]
    known = parse_hex(pair.hash, algorithm.bits)
    return hamming_distance(known, parse_hex(text, algorithm.bits))


def verdict(found: Sequence[Agreement]) -> Verdict:
    """Which algorithm made the list, by the agreements, the best first."""
    if not found:
        return Verdict(None, "No pair could be compared.")
    best = found[0]
    if best.within_one < _AGREES_FROM * best.pairs:
        return Verdict(None, "None of these algorithms made the list.")
    ties = [each.algorithm for each in found if each.identical == best.identical]
    if len(ties) > 1:
        return Verdict(
            None, f"Cannot tell {' and '.join(ties)} apart on these images: give more pairs."
        )
    few = f" {best.pairs} pairs are few; about 20 decide." if best.pairs < FEW_PAIRS else ""
    return Verdict(best.algorithm, f"The list was made by {best.algorithm}.{few}")
