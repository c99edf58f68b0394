"""How the pairs of images and rule hashes within reach of each other are found at least cost. Pure.

Two hashes within distance d, cut into n bands numbered from 0, differ in some band b by at most
(d - b) // n bits (Norouzi, Punjani and Fleet, arXiv:1307.2982). So each band of each rule hash is
spread into all values within that many bits, and images are looked up by their bands. Few wide
bands give few false candidates and many values; many narrow bands the reverse. What is best depends
on how many images, how many rule hashes, and how far these reach.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import Final

WORD_BITS: Final = 64
"""Hashes are stored in words of so many bits; a band lies within one."""

_WIDEST_BAND: Final = 32
_NARROWEST_BAND: Final = 8
_MOST_VALUES: Final = 2_000_000
"""Values into which the hashes of one pass may be spread in one band: about 200 MB."""
_MOST_PASSES: Final = 64

# Nanoseconds on two cores, rough: they are there to choose between plans.
_LOOK_UP: Final = 5.0
"""One image in one band."""
_COMPARE_CANDIDATE: Final = 8.0
"""One pair that the bands brought together."""
_SPREAD: Final = 250.0
"""One value of one band of one rule hash."""
_COMPARE: Final = 2.2
"""One pair of 64 bits, when all pairs are compared."""
_STEP: Final = 3_000_000.0
"""One statement, whatever its size."""


@dataclass(frozen=True)
class Band:
    """A run of bits of a hash.

    Attributes:
        number: Its place among the bands, from 0.
        word: The 64-bit word it lies in, from 1, the most significant.
        shift: Bits of the word below it.
        width: Its bits.
    """

    number: int
    word: int
    shift: int
    width: int


@dataclass(frozen=True)
class JoinPlan:
    """How to find the pairs.

    Attributes:
        bands: What hashes are cut into; none: all pairs are compared.
        compared_from: Rule hashes that reach so many bits or more are compared with every image.
        passes: Into how many parts the other rule hashes are split, one joined after the other.
        seconds: What it should take on two cores.
    """

    bands: tuple[Band, ...]
    compared_from: int
    passes: int
    seconds: float


def plan_join(images: int, reaches: Mapping[int, int], bits: int) -> JoinPlan:
    """The cheapest way to join so many images with these rule hashes.

    Args:
        images: Image hashes to look through.
        reaches: Number of rule hashes by their reach, the largest distance wanted in bits.
        bits: Width of the hashes.
    """
    plans = [JoinPlan((), 0, 0, _comparing(images, sum(reaches.values()), bits) / 1e9)]
    for count in range(WORD_BITS // _WIDEST_BAND, WORD_BITS // _NARROWEST_BAND + 1):
        plans += _banded(images, reaches, bits, bands_of(bits // WORD_BITS, count))
    return min(plans, key=lambda plan: plan.seconds)


def bands_of(words: int, bands_per_word: int) -> tuple[Band, ...]:
    """Cut each word into so many bands, as equal as can be, the wider ones last."""
    edges = [WORD_BITS * number // bands_per_word for number in range(bands_per_word + 1)]
    return tuple(
        Band(word * bands_per_word + number, word + 1, low, high - low)
        for word in range(words)
        for number, (low, high) in enumerate(pairwise(edges))
    )


def masks(band: Band, bands: int, reach: int) -> list[int]:
    """What flips the band of a hash into every value that is near enough to it."""
    radius = min(_radius(reach, band.number, bands), band.width)
    return [
        sum(1 << bit for bit in flipped)
        for count in range(radius + 1)
        for flipped in combinations(range(band.width), count)
    ]


def _banded(
    images: int, reaches: Mapping[int, int], bits: int, bands: tuple[Band, ...]
) -> Iterator[JoinPlan]:
    """Plans with these bands for the hashes of small reach, comparing the others."""
    farther = sum(reaches.values())
    near: dict[int, int] = {}
    for reach in sorted(reaches):
        near[reach] = reaches[reach]
        farther -= reaches[reach]
        values = [_values(near, band, len(bands)) for band in bands]
        passes = -(-max(values) // _MOST_VALUES)
        if passes > _MOST_PASSES:
            return
        cost = _comparing(images, farther, bits) if farther else 0.0
        for band, count in zip(bands, values, strict=True):
            if count:
                candidates = images * count / 2**band.width
                cost += passes * (_STEP + images * _LOOK_UP)
                cost += count * _SPREAD + candidates * _COMPARE_CANDIDATE
        yield JoinPlan(bands, reach + 1, passes, cost / 1e9)


def _comparing(images: int, hashes: int, bits: int) -> float:
    """What it takes to compare all pairs, in nanoseconds."""
    return _STEP + images * hashes * _COMPARE * (bits / WORD_BITS)


def _values(reaches: Mapping[int, int], band: Band, bands: int) -> int:
    """Values of a band that all these hashes are spread into."""
    return sum(
        hashes
        * sum(
            comb(band.width, flipped) for flipped in range(_radius(reach, band.number, bands) + 1)
        )
        for reach, hashes in reaches.items()
    )


def _radius(reach: int, band: int, bands: int) -> int:
    """Bits in which a band may differ; -1: hashes within reach agree closely in an earlier band."""
    return (reach - band) // bands if reach >= band else -1
