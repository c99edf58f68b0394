"""Which hours count as planned, and whose business the posts of the last hours are."""

from datetime import timedelta

import pytest

from phash_dagster.matching.backfill import SETTLED_AFTER
from phash_dagster.moderation.actions import Lane
from phash_dagster.moderation.draft import Planning
from phash_dagster.moderation.plan_hours import plan_hours
from phash_dagster.warehouse.image_posts import hour_key
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import NOW

HOUR = hour_key(NOW)


def note_matched(bench: Bench, *hours: str) -> None:
    """Note these hours as matched with the rules in force."""
    with bench.warehouse.write() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO partition_matches SELECT $1, version, now() "
            "FROM version_in_force",
            [[hour] for hour in hours],
        )


def planned_hours(bench: Bench) -> list[str]:
    """The hours that are noted as planned with the rules in force."""
    with bench.warehouse.read() as connection:
        rows = connection.execute(
            "FROM partition_plans SEMI JOIN version_in_force USING (version) SELECT partition_key"
        ).fetchall()
    return sorted(hour for (hour,) in rows)


@pytest.mark.parametrize("lane", ["live", "backfill"])
def test_a_matched_hour_is_noted_once_its_actions_are_recorded(bench: Bench, lane: Lane) -> None:
    bench.write(post())
    note_matched(bench, HOUR)
    bench.plan(lane=lane)
    assert planned_hours(bench) == [HOUR]


def test_an_hour_without_a_decision_is_noted_too(bench: Bench) -> None:
    bench.write(post(blob_cid="matches nothing"))
    note_matched(bench, HOUR)
    assert bench.plan().decisions == 0
    assert planned_hours(bench) == [HOUR]


def test_an_hour_that_is_not_matched_is_not_noted(bench: Bench) -> None:
    bench.write(post())
    note_matched(bench, HOUR)
    bench.load(a_rule(), a_rule("newer"))
    bench.plan()
    assert planned_hours(bench) == []


def test_an_hour_is_noted_again_for_each_version_and_written_only_then(bench: Bench) -> None:
    bench.write(post())
    for rules in ([a_rule()], [a_rule(), a_rule("newer")]):
        bench.load(*rules)
        note_matched(bench, HOUR)
        assert planned_hours(bench) == []
        bench.plan()
        assert planned_hours(bench) == [HOUR]
    before = bench.warehouse.path.stat().st_mtime_ns
    bench.plan()
    assert bench.warehouse.path.stat().st_mtime_ns == before


def test_an_hour_of_which_something_was_left_out_is_not_noted(bench: Bench) -> None:
    """A backfill that cannot be judged, since not all images are matched with the rules."""
    bench.load(a_rule(backfill="same"), at=NOW + timedelta(minutes=1))
    bench.write(post())
    note_matched(bench, HOUR)
    bench.mark_matched(with_rules=False)
    assert bench.plan(lane="backfill").recorded == 0
    assert planned_hours(bench) == []
    bench.mark_matched()
    assert bench.plan(lane="backfill").recorded == 1
    assert planned_hours(bench) == [HOUR]


def test_an_expired_hour_is_noted_so_that_nobody_comes_for_it_again(bench: Bench) -> None:
    bench.set(retention_days=1)
    old = NOW - timedelta(days=3)
    bench.write(post(at=old))
    note_matched(bench, hour_key(old))
    assert bench.plan(old, lane="backfill").decisions == 0
    assert planned_hours(bench) == [hour_key(old)]


def rematch(bench: Bench) -> list[str]:
    """What a rematch records."""
    planning = Planning([HOUR], lane="backfill", run_id="r", now=bench.clock(), is_rematch=True)
    summary = plan_hours(
        planning,
        settings=bench.settings,
        ledger=bench.ledger,
        warehouse=bench.warehouse,
        posts=bench.posts,
    )
    return [f"{row.lane} {row.source_uri.rpartition('/')[2]}" for row in summary.rows]


def test_a_rematch_does_to_new_posts_what_a_live_run_would_do(bench: Bench) -> None:
    bench.load(a_rule(hammingThreshold=9), at=NOW + timedelta(minutes=5))
    bench.write(post("before"), post("after", at=NOW + timedelta(minutes=10)))
    bench.clock.advance(minutes=11)
    assert rematch(bench) == ["backfill before", "live after"]
    bench.plan()
    assert {row.source_uri.rpartition("/")[2]: row.lane for row in bench.rows()} == {
        "before": "backfill",
        "after": "live",
    }


def test_a_post_of_the_last_hours_is_not_lost_when_its_hour_is_over(bench: Bench) -> None:
    """No live run comes back to an hour in which nothing is posted any more."""
    bench.load(a_rule(toLabel=False))
    bench.write(post())
    bench.plan()
    bench.clock.advance(hours=1)
    bench.load(a_rule(), at=bench.clock())
    note_matched(bench, HOUR)
    assert rematch(bench) == ["live r"]
    assert planned_hours(bench) == [HOUR]


def test_a_rematch_records_old_posts_that_no_live_run_came_for(bench: Bench) -> None:
    bench.write(post())
    bench.clock.advance(hours=SETTLED_AFTER / timedelta(hours=1), seconds=1)
    assert rematch(bench) == ["backfill r"]


def test_a_backfill_by_hand_leaves_nothing_out(bench: Bench) -> None:
    bench.write(post())
    assert bench.plan(lane="backfill").recorded == 1
