"""Which hashes of a list are within reach of an earlier one? Exact, without comparing all. Pure.

If two hashes differ in at most d bits and are cut into b bands, then they differ in some band by at
most d // b bits (pigeonhole; Norouzi, Punjani and Fleet, arXiv:1307.2982). So only hashes are
compared of which a band is equal, or differs by one bit: at a distance of 3, one pair in 16,000 of
random 64-bit hashes. `tests/benchmarks/lint.py` measures it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]
Pairs = tuple[Integers, Integers]
"""Places of the left and the right members of a batch of pairs."""

_EQUAL_BANDS_UP_TO = 3
"""Bits up to which equal bands are looked for; beyond, those that differ by a bit at most."""
_NARROWEST_BAND = 10
"""Bits of a band below which bands sort out too little: then all are compared."""
_FEW = 200
"""So many hashes are compared with all others, instead of by bands."""
_BATCH = 1_000_000
"""Pairs compared at once: bounds memory."""


@dataclass(frozen=True)
class HashList:
    """Hashes of one algorithm, n of them, those first that go before the others.

    Attributes:
        words: Their values, shape (n, bits / 64), most significant word first.
        reach: Hamming distance in bits up to which each of them matches, shape (n,).
        kinds: A number for what follows from a match with it, shape (n,).
    """

    words: Words
    reach: Integers
    kinds: Integers


def first_collisions(hashes: HashList) -> Integers:
    """For each hash the first one before it that it collides with, or -1; shape (n,).

    Two hashes collide if they are of different kinds and their distance is within the larger of
    their reaches: an image can then match both.
    """
    length = len(hashes.reach)
    first = np.full(length, length, dtype=np.int64)
    for left, right in _candidates(hashes):
        reach = np.maximum(hashes.reach[left], hashes.reach[right])
        collide = _distances(hashes.words[left], hashes.words[right]) <= reach
        collide &= hashes.kinds[left] != hashes.kinds[right]
        pairs = np.sort([left[collide], right[collide]], axis=0)
        np.minimum.at(first, pairs[1], pairs[0])
    first[first == length] = -1
    return first


def _distances(words: Words, others: Words) -> Integers:
    distances: Integers = np.bitwise_count(words ^ others).sum(axis=1, dtype=np.int64)
    return distances


def _candidates(hashes: HashList) -> Iterator[Pairs]:
    """Batches of pairs: all that collide, and others; some of them repeatedly."""
    words_each = hashes.words.shape[1]
    for limit in np.unique(hashes.reach).tolist():
        members = np.flatnonzero(hashes.reach <= limit)
        farthest = np.flatnonzero(hashes.reach == limit)
        odd_bits = 0 if limit <= _EQUAL_BANDS_UP_TO else 1
        bands = limit // (odd_bits + 1) + 1
        bands_each = -(-bands // words_each)
        if len(farthest) <= _FEW or 64 // bands_each < _NARROWEST_BAND:
            yield from _all_near(hashes.words, farthest, members, limit)
        else:
            for left, right in _sharing_a_band(hashes.words[members], bands_each, odd_bits):
                yield members[left], members[right]


def _all_near(words: Words, places: Integers, members: Integers, limit: int) -> Iterator[Pairs]:
    """Each of these places with the members within the limit, by comparing it with all."""
    compared = words[members]
    for place in places:
        near = members[_distances(compared, words[place]) <= limit]
        near = near[near != place]
        yield np.full_like(near, place), near


def _sharing_a_band(words: Words, bands: int, odd_bits: int) -> Iterator[Pairs]:
    """Pairs of which a band of some word is equal, or differs by `odd_bits`, 1 at most."""
    edges = [64 * number // bands for number in range(bands + 1)]
    for word in words.T:
        for low, high in pairwise(edges):
            # Shifted out at the top, then back: what is left is the band alone.
            keys = (word << np.uint64(64 - high)) >> np.uint64(64 - high + low)
            order = np.argsort(keys, kind="stable")
            flips = [np.uint64(1 << bit) for bit in range(high - low)] if odd_bits else []
            for left, right in _near_keys(keys[order], flips):
                yield order[left], order[right]


def _near_keys(keys: Words, flips: list[np.uint64]) -> Iterator[Pairs]:
    """Pairs of sorted keys that are equal, and those that one of these bits makes equal."""
    places = np.arange(len(keys))
    yield from _expanded(places, places + 1, np.searchsorted(keys, keys, "right"))
    for bit in flips:
        without = np.flatnonzero(keys & bit == 0)
        wanted = keys[without] | bit
        first = np.searchsorted(keys, wanted, "left")
        yield from _expanded(without, first, np.searchsorted(keys, wanted, "right"))


def _expanded(left: Integers, first: Integers, end: Integers) -> Iterator[Pairs]:
    """Each place of `left` with all places from its `first` up to before its `end`, in batches."""
    counts = end - first
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.searchsorted(ends, np.arange(_BATCH, total, _BATCH))
    for part in np.split(np.arange(len(left)), cuts):
        repeated = np.repeat(part, counts[part])
        if not len(repeated):
            continue
        start = ends[part[0]] - counts[part[0]]
        number = np.arange(start, start + len(repeated)) - (ends - counts)[repeated]
        yield left[repeated], first[repeated] + number
