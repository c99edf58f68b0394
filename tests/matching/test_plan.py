"""The plan finds every pair within reach, and costs less than comparing all where that matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.matching.plan import Band, bands_of, masks, plan_join


@pytest.mark.parametrize("words", [1, 2, 4])
@pytest.mark.parametrize("per_word", range(2, 9))
def test_bands_cover_each_bit_once(words: int, per_word: int) -> None:
    bands = bands_of(words, per_word)
    bits = [
        (band.word, bit) for band in bands for bit in range(band.shift, band.shift + band.width)
    ]
    assert sorted(bits) == [(word, bit) for word in range(1, words + 1) for bit in range(64)]
    assert [band.number for band in bands] == list(range(len(bands)))


def agree(band: Band, difference: int, words: int, bands: int, reach: int) -> bool:
    """Whether two hashes that differ in these bits meet in a band."""
    word = difference >> 64 * (words - band.word)
    part = (word >> band.shift) & ((1 << band.width) - 1)
    return reach >= band.number and part in masks(band, bands, reach)


@given(
    words=st.sampled_from([1, 4]),
    per_word=st.integers(3, 8),
    flipped=st.data(),
    reach=st.integers(0, 12),
)
def test_two_hashes_within_reach_meet_in_a_band(
    words: int, per_word: int, flipped: st.DataObject, reach: int
) -> None:
    bands = bands_of(words, per_word)
    bits = flipped.draw(st.sets(st.integers(0, 64 * words - 1), max_size=reach))
    difference = sum(1 << bit for bit in bits)
    assert any(agree(band, difference, words, len(bands), reach) for band in bands)


@pytest.mark.parametrize(
    ("images", "hashes", "reach", "bits"),
    [(150, 1000, 5, 64), (10_000_000, 1, 5, 64), (10_000_000, 1, 33, 256), (1000, 100, 64, 64)],
)
def test_few_pairs_are_all_compared(images: int, hashes: int, reach: int, bits: int) -> None:
    assert plan_join(images, {reach: hashes}, bits).bands == ()


@pytest.mark.parametrize(
    ("images", "hashes", "reach", "bits"),
    [
        (10_000_000, 1000, 5, 64),
        (100_000_000, 10_000, 5, 64),
        (10_000_000, 1000, 12, 64),
        (10_000_000, 1000, 33, 256),
    ],
)
def test_many_pairs_are_found_by_bands(images: int, hashes: int, reach: int, bits: int) -> None:
    plan = plan_join(images, {reach: hashes}, bits)
    compared = plan_join(images, {bits: hashes}, bits)
    assert plan.bands
    assert plan.compared_from > reach
    assert compared.bands == ()
    assert plan.seconds < compared.seconds / 5


def test_a_hash_that_reaches_far_is_compared_and_the_others_are_not() -> None:
    plan = plan_join(10_000_000, {5: 1000, 40: 1}, 64)
    assert plan.bands
    assert 5 < plan.compared_from <= 40


def test_many_hashes_are_joined_in_parts_that_fit_into_memory() -> None:
    assert plan_join(100_000_000, {5: 10_000}, 64).passes == 1
    assert plan_join(100_000_000, {33: 100_000}, 256).passes > 1


@given(
    images=st.integers(0, 10**9),
    reaches=st.dictionaries(st.integers(0, 80), st.integers(1, 10**6), min_size=1, max_size=5),
    bits=st.sampled_from([64, 256]),
)
def test_there_is_a_plan_for_anything(images: int, reaches: dict[int, int], bits: int) -> None:
    plan = plan_join(images, reaches, bits)
    assert plan.seconds > 0
    assert bool(plan.bands) == bool(plan.passes)
