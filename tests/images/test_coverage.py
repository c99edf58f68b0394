"""Every image is accounted for, and what is not is told."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.images.coverage import (
    HourCoverage,
    hour_coverage,
    judge_coverage,
    total_counts,
)
from phash_dagster.images.model import Outcome
from tests.images.test_store import FAILURES, HOUR, NOW, Store, ended, hashed, post

START = NOW.replace(minute=0)
NONE = {**{outcome.value: 0 for outcome in Outcome}, "untried": 0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def coverage(store: Store, *hours: str) -> list[HourCoverage]:
    with store.warehouse.read() as connection:
        store.posts.attach(connection, hours or store.posts.partition_keys())
        return hour_coverage(connection)


def test_the_parts_add_up_to_the_images_seen_for_every_outcome(store: Store) -> None:
    outcomes = [*FAILURES, Outcome.waiting]
    store.add(post("x"), post("untried"), *(post(outcome.value) for outcome in outcomes))
    store.save(hashed("x"), *(ended(outcome.value, outcome) for outcome in outcomes))
    [hour] = coverage(store)
    assert hour == HourCoverage(START, len(outcomes) + 2, dict.fromkeys(NONE, 1))
    assert hour.unaccounted == 0


def test_an_image_that_many_posts_carry_counts_once_an_hour(store: Store) -> None:
    store.add(post("x"), post("x", did="did:plc:b"))
    store.add(post("x", did="did:plc:c", at=NOW + timedelta(hours=1)))
    store.save(hashed("x"))
    assert [(hour.seen, hour.counts["hashed"]) for hour in coverage(store)] == [(1, 1), (1, 1)]


def test_only_the_attached_hours_are_looked_at(store: Store) -> None:
    store.add(post("x"), post("y", at=NOW + timedelta(hours=1)))
    assert [hour.hour for hour in coverage(store, HOUR)] == [START]


def test_a_hashed_image_without_a_hash_is_not_accounted_for(store: Store) -> None:
    store.add(post("x"), post("y"))
    store.save(hashed("x"), hashed("y"))
    with store.warehouse.write() as connection:
        connection.execute("DELETE FROM image_hashes WHERE blob_cid = 'x'")
    [hour] = coverage(store)
    assert hour.unaccounted == 1
    verdict = judge_coverage([hour], NOW)
    assert verdict.errors == ("2026-11-23 19:00: 2 images were seen, but 1 are accounted for.",)


def test_an_outcome_that_nobody_knows_is_not_accounted_for(store: Store) -> None:
    store.add(post("x"))
    store.save(ended("x", Outcome.corrupt))
    with store.warehouse.write() as connection:
        connection.execute("UPDATE image_outcomes SET outcome = 'lost'")
    [hour] = coverage(store)
    assert hour.unaccounted == 1


@pytest.mark.parametrize(
    ("minutes", "wrong"), [(0, False), (119, False), (120, False), (121, True)]
)
def test_images_are_forgotten_if_nobody_tried_them_an_hour_after_the_hour(
    minutes: int, wrong: bool
) -> None:
    hour = HourCoverage(START, 3, {**NONE, "untried": 2, "hashed": 1})
    verdict = judge_coverage([hour], START + timedelta(minutes=minutes))
    assert bool(verdict.errors) is wrong
    if wrong:
        assert "2 images were never tried" in verdict.errors[0]


def test_images_that_were_given_up_are_warned_of_with_their_number() -> None:
    hour = HourCoverage(START, 5, {**NONE, "gave_up": 2, "hashed": 3})
    verdict = judge_coverage([hour], NOW)
    assert verdict.errors == ()
    assert "2 of 5 images were given up" in verdict.warnings[0]


def test_an_hour_with_all_other_outcomes_is_fine() -> None:
    counts = {**dict.fromkeys(NONE, 1), "gave_up": 0, "untried": 0}
    hour = HourCoverage(START, len(counts) - 2, counts)
    verdict = judge_coverage([hour], NOW + timedelta(days=1))
    assert (verdict.errors, verdict.warnings) == ((), ())


def test_counts_of_several_hours_add_up() -> None:
    hours = [HourCoverage(START, 3, {**NONE, "hashed": 2, "corrupt": 1})] * 2
    assert total_counts(hours) == {"hashed": 4, "corrupt": 2}
