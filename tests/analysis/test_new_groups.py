"""`near-clusters` with `new`: a group counts as new only if none of it was known before."""

from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.analysis.ask import ask
from phash_dagster.analysis.questions import find_question
from tests.analysis.conftest import Snapped
from tests.preview.past import MEME, NOW, near, post

pytestmark = pytest.mark.slow

PERIOD = timedelta(days=1)
BEFORE = NOW - timedelta(days=9)
INSIDE = NOW - timedelta(hours=2)


def post_by_several(past: Snapped) -> None:
    """Two images, which several accounts posted within the period."""
    past.write(
        *(
            post(f"p{number}", f"meme-{number % 2}", did=f"did:plc:{number}", hours_ago=1)
            for number in range(5)
        )
    )


def accounts(past: Snapped, *, new: bool) -> list[Any]:
    """Of each group that is listed, how many accounts posted it."""
    past.take()
    question = find_question("near-clusters")
    rows = ask(past.path, question, {"since": NOW - PERIOD, "new": new}).rows
    return [row["accounts"] for row in rows.to_pylist()]


def test_a_group_that_was_hashed_long_before_is_not_new(past: Snapped) -> None:
    past.hash({"meme-0": MEME, "meme-1": near(MEME, 1)}, at=BEFORE)
    post_by_several(past)
    assert accounts(past, new=False) == [5]
    assert accounts(past, new=True) == []


def test_a_group_that_was_hashed_within_the_period_is_new(past: Snapped) -> None:
    past.hash({"meme-0": MEME, "meme-1": near(MEME, 1)}, at=INSIDE)
    post_by_several(past)
    assert accounts(past, new=True) == [5]


def test_a_new_copy_of_what_was_known_makes_no_new_group(past: Snapped) -> None:
    past.hash({"meme-0": MEME}, at=BEFORE)
    past.hash({"meme-1": near(MEME, 1)}, at=INSIDE)
    post_by_several(past)
    assert accounts(past, new=True) == []
