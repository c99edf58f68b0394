"""Compares the hashes of images, for the command line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from phash_dagster.hashing import HashAlgorithm, hamming_distance, parse_hex
from phash_dagster.images.files import HashedImage, NamedHash

USUAL_THRESHOLDS: Final[Mapping[str, int]] = {
    "average": 3,
    "average-integer": 3,
    "difference": 5,
    "perceptual": 10,
    "pdq": 31,
}
"""Bits up to which two hashes count as the same image.

For pdq its authors' advice (facebook/ThreatExchange, pdq/README.md). For the others the distance at
which about as few pairs of unrelated images agree as for average at 3, the default of
`PHASH_HAMMING_THRESHOLD`: about 4 in 10,000 pairs, for perceptual 1.
"""

_HEX: Final = re.compile(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{32}|[0-9a-fA-F]{48}|[0-9a-fA-F]{64}")

_LOW_QUALITY: Final = 10


def parsed_hash(text: str, algorithms: Sequence[HashAlgorithm]) -> HashedImage | None:
    """A hexadecimal hash as an image with that hash by every algorithm of its width, or None."""
    if not _HEX.fullmatch(text):
        return None
    hashes = tuple(
        NamedHash(algorithm.name, text.lower(), 100)
        for algorithm in algorithms
        if algorithm.bits == 4 * len(text)
    )
    return HashedImage(text, hashes, 0, 0, "")


def compared(
    first: Sequence[HashedImage],
    second: Sequence[HashedImage],
    algorithms: Sequence[HashAlgorithm],
) -> Iterator[str]:
    """A line for each algorithm that both sides have, for every pair of their images."""
    several = len(first) * len(second) > 1
    for one, other in product(first, second):
        lines = list(_lines(one, other, algorithms))
        if several and lines:
            yield f"{one.source}  {other.source}"
        yield from lines


def _lines(
    one: HashedImage, other: HashedImage, algorithms: Sequence[HashAlgorithm]
) -> Iterator[str]:
    ours = {each.algorithm: each for each in one.hashes}
    theirs = {each.algorithm: each for each in other.hashes}
    for algorithm in algorithms:
        name, bits = algorithm.name, algorithm.bits
        if name in ours and name in theirs:
            a, b = ours[name], theirs[name]
            distance = hamming_distance(parse_hex(a.hash, bits), parse_hex(b.hash, bits))
            notes = "".join((_verdict(name, distance), _doubt(a, b)))
            yield f"{name:<16} {distance:>3} of {bits} bits{notes}"


def _verdict(name: str, distance: int) -> str:
    threshold = USUAL_THRESHOLDS.get(name)
    if threshold is None:
        return ""
    found = "match" if distance <= threshold else "no match"
    return f"; {found} at the usual threshold of {threshold}"


def _doubt(*hashes: NamedHash) -> str:
    lowest = min(each.quality for each in hashes)
    return f"; low quality ({lowest} of 100)" if lowest < _LOW_QUALITY else ""
