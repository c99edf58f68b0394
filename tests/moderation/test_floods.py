"""When a rule hash counts as flooded."""

from datetime import timedelta

import pytest

from phash_dagster.moderation.floods import HISTORY, HashHistory, flood
from tests.moderation.builders import NOW

HOUR = NOW.replace(minute=0)


def is_flood(posts: int, history: HashHistory | None = None) -> bool:
    return flood(posts, HOUR, history, min_posts=50, factor=10) is not None


@pytest.mark.parametrize(("posts", "expected"), [(49, False), (50, True)])
def test_a_hash_without_history_is_flooded_from_the_least_number_on(
    posts: int, expected: bool
) -> None:
    assert is_flood(posts) is expected


@pytest.mark.parametrize(("posts", "expected"), [(79, False), (80, True)])
def test_a_hash_that_finds_much_is_flooded_when_it_finds_far_more(
    posts: int, expected: bool
) -> None:
    usual = HashHistory(posts=80, since=HOUR - timedelta(hours=10))
    assert is_flood(posts, usual) is expected


def test_the_average_counts_from_the_first_post_on() -> None:
    assert HashHistory(30, HOUR - timedelta(hours=3)).hourly(HOUR) == 10
    assert HashHistory(30, HOUR - timedelta(minutes=5)).hourly(HOUR) == 30


def test_the_average_is_of_no_more_than_the_history() -> None:
    hours = HISTORY / timedelta(hours=1)
    assert HashHistory(int(hours), HOUR - 2 * HISTORY).hourly(HOUR) == 1


def test_the_reason_says_how_many_and_how_many_there_were() -> None:
    reason = flood(1200, HOUR, HashHistory(30, HOUR - timedelta(hours=10)), min_posts=50, factor=10)
    assert reason == "flood: 1,200 posts in the hour from 2026-11-23 20:00 UTC, 3.0 an hour before"
