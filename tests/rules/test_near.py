"""Which hashes are within reach of an earlier one: equal to comparing all with all."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.rules import near
from phash_dagster.rules.near import HashList, first_collisions

Entry = tuple[tuple[int, ...], int, int]
"""words, reach, kind"""


def hash_list(entries: Sequence[Entry]) -> HashList:
    return HashList(
        np.array([words for words, _, _ in entries], dtype=np.uint64),
        np.array([reach for _, reach, _ in entries]),
        np.array([kind for _, _, kind in entries]),
    )


def brute_force(entries: Sequence[Entry]) -> list[int]:
    return [
        next(
            (
                place
                for place, (words, reach, kind) in enumerate(entries[:later])
                if kind != own_kind
                and sum((a ^ b).bit_count() for a, b in zip(words, own, strict=True))
                <= max(reach, own_reach)
            ),
            -1,
        )
        for later, (own, own_reach, own_kind) in enumerate(entries)
    ]


CENTRES = [0, 2**64 - 1, 0xF0F0F0F0F0F0F0F0, 0x0F1E2D3C4B5A6978]


def entries(words: int) -> st.SearchStrategy[list[Entry]]:
    word = st.builds(
        lambda centre, bits: centre ^ sum(1 << bit for bit in bits),
        st.sampled_from(CENTRES),
        st.sets(st.integers(0, 63), max_size=6),
    )
    one = st.tuples(st.tuples(*[word] * words), st.integers(0, 16), st.integers(0, 2))
    return st.lists(one, min_size=1, max_size=40)


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("few", [0, 200])
@given(data=st.data())
def test_collisions_equal_those_of_brute_force(words: int, few: int, data: st.DataObject) -> None:
    drawn = data.draw(entries(words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "_FEW", few)
        patch.setattr(near, "_BATCH", 7)
        assert list(first_collisions(hash_list(drawn))) == brute_force(drawn)


@pytest.mark.parametrize("distance", range(16))
def test_every_distance_is_exact_at_its_edge(distance: int) -> None:
    """Flips spread over the word as evenly as can be: the hardest to find by bands."""
    flipped = sum(1 << (64 * number // max(distance, 1)) for number in range(distance))
    many = [((number * 0x9E3779B97F4A7C15 % 2**64,), distance, 0) for number in range(1, 300)]
    pair = [((5,), distance, 0), ((5 ^ flipped,), distance, 1)]
    assert first_collisions(hash_list([*many, *pair]))[-1] == 299
    if distance:
        nearer = [(words, distance - 1, kind) for words, _, kind in (*many, *pair)]
        assert first_collisions(hash_list(nearer))[-1] == -1
