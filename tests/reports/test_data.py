"""The figures of a report are what plain Python finds in the same past."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from phash_dagster.images.model import Outcome
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.mirror import mirror_ledger, save_actions
from phash_dagster.reports.data import CLUSTER_ACCOUNTS, PARTS, RULES_SHOWN, MatchReport
from tests.analysis.conftest import Snapped
from tests.analysis.world import (
    GAP,
    HASHES,
    OUTCOMES,
    UNCOVERED,
    World,
    floor,
    moment,
    version_in_force,
)
from tests.moderation.builders import action_on_post
from tests.preview.past import MEME, NOW, OTHER, entry, post
from tests.reports.conftest import SINCE, made

pytestmark = pytest.mark.slow


def expected_outcomes(world: World, since: datetime) -> Counter[str]:
    """How the images posted since then ended, by what the past was made of."""
    names = {str(row.blob_cid) for row in world.seen() if moment(row) >= floor(since)}
    return Counter(
        "hashed" if name in HASHES else str(OUTCOMES.get(name, "untried")) for name in names
    )


def test_the_period_begins_at_a_full_hour_and_ends_with_the_snapshot(report: MatchReport) -> None:
    assert report.since == floor(SINCE)
    assert report.until == NOW
    assert report.length == "7d"


def test_what_was_seen(world: World, report: MatchReport) -> None:
    rows = world.seen()
    seen = report.reading.seen
    assert seen["posts_with_images"] == len({row.uri for row in rows})
    assert seen["images"] == len({(row.uri, row.cid, row.blob_cid) for row in rows})
    assert seen["distinct_images"] == len({row.blob_cid for row in rows})
    assert seen["accounts"] == len({row.did for row in rows})
    assert seen["deleted_posts"] == sum(row.operation == "delete" for row in world.rows)


def test_how_the_images_ended(world: World, report: MatchReport) -> None:
    assert report.reading.outcomes == expected_outcomes(world, SINCE)
    assert sum(report.reading.outcomes.values()) == report.reading.seen["distinct_images"]


def test_a_shorter_period_counts_less(world: World) -> None:
    day = made(world, back=timedelta(hours=12))
    assert day.reading.outcomes == expected_outcomes(world, NOW - timedelta(hours=12))
    assert day.length == "12h"
    assert {row["noticed_at"] >= NOW - timedelta(hours=12) for row in day.reading.gaps} == {True}
    assert all(row["planned_at"] >= day.since for row in day.acting.latest)


def test_the_trend_adds_up_to_the_images_of_each_day(world: World, report: MatchReport) -> None:
    trend = report.reading.trend
    assert set(trend.series) == set(PARTS)
    by_day = Counter(
        day
        for day, *_ in {
            (f"{moment(row):%Y-%m-%d %H}"[:10], moment(row).hour, row.blob_cid)
            for row in world.seen()
        }
    )
    columns = zip(*trend.series.values(), strict=True)
    found = {
        f"{start:%Y-%m-%d}": sum(parts) for start, parts in zip(trend.starts, columns, strict=True)
    }
    assert {day: count for day, count in found.items() if count} == by_day
    assert len(trend.starts) == 8


def test_hours_that_are_not_done_are_named(world: World, report: MatchReport) -> None:
    undone = {name for name, outcome in OUTCOMES.items() if outcome is Outcome.waiting} | {
        "untried"
    }
    hours = {f"{moment(row):%Y-%m-%d-%H}" for row in world.seen() if row.blob_cid in undone}
    named = {row["hour"] for row in report.reading.open_hours}
    assert named <= hours
    assert len(named) == min(len(hours), 10)


def test_gaps_and_lag(report: MatchReport) -> None:
    [gap] = report.reading.gaps
    assert gap["from_time"] == datetime.fromtimestamp(GAP.from_us / 1e6, UTC)
    assert report.reading.lag["batches"] == 6
    assert report.reading.lag["longest_seconds"] == 50.0
    [anomaly] = report.reading.anomalies
    assert (anomaly["type"], anomaly["times"]) == ("embed:strange", 12)


def test_every_rule_in_force_is_there_with_what_it_matched(
    world: World, report: MatchReport
) -> None:
    hits = [match for match in world.matches() if match.within and match.kind == "match"]
    assert [row["rule_id"] for row in report.acting.matches] == ["meme", "raid", "flat", "silent"]
    for row in report.acting.matches:
        of_rule = [match for match in hits if match.rule_id == row["rule_id"]]
        assert row["posts"] == len({match.post.uri for match in of_rule})
        assert row["images"] == len({match.blob_cid for match in of_rule})
        assert row["accounts"] == len({match.post.did for match in of_rule})
        assert row["farthest"] == max((match.distance for match in of_rule), default=None)


def test_the_trend_of_a_rule_adds_up_to_its_posts(report: MatchReport) -> None:
    trend = report.acting.matches_trend
    posts = {row["rule_id"]: row["posts"] for row in report.acting.matches if row["posts"]}
    assert {name: trend.total(name) for name in trend.series} == posts


def test_actions_by_state_and_over_time(world: World, report: MatchReport) -> None:
    for state in State:
        assert report.actions_in_state(state) == sum(
            action.state is state for action in world.actions
        )
    planned = [action for action in world.actions if action.undoes is None]
    trend = report.acting.actions_trend
    assert trend.total("sent") == sum(action.state is State.SENT for action in planned)
    assert trend.total("failed") == sum(
        action.state in {State.FAILED, State.DEAD} for action in planned
    )


def test_actions_of_each_rule_over_time(world: World, report: MatchReport) -> None:
    trend = report.acting.rule_actions_trend
    expected: Counter[tuple[str, datetime]] = Counter()
    for action in world.actions:
        if action.undoes is None and action.planned_at >= report.since:
            expected[action.rule_id, trend.span.start(action.planned_at)] += 1
    found = {
        (rule, start): count
        for rule, counts in trend.series.items()
        for start, count in zip(trend.starts, counts, strict=True)
        if count
    }
    assert found == expected
    assert len(trend.series) > 1


def test_the_trend_of_actions_is_of_the_rules_with_most_of_them(tmp_path: Path) -> None:
    past = Snapped(tmp_path)
    rules = [f"rule-{number}" for number in range(RULES_SHOWN + 1)]
    actions = [
        action_on_post(f"{rule}-{number}", rule_id=rule, updated_at=NOW)
        for place, rule in enumerate(rules)
        for number in range(1 + place)
    ]
    before = NOW - timedelta(days=9)
    actions += [
        action_on_post(f"old-{number}", rule_id=rules[0], planned_at=before, updated_at=NOW)
        for number in range(99)
    ]
    with past.warehouse.write() as connection:
        save_actions(
            connection,
            [replace(action, action_id=number) for number, action in enumerate(actions)],
        )
    assert set(made(past).acting.rule_actions_trend.series) == set(rules[1:])


def test_what_was_taken_back_counts_for_its_rule(world: World, report: MatchReport) -> None:
    judged = [
        action
        for action in world.actions
        if action.state is State.SENT
        and action.mode == "live"
        and action.event is Event.LABEL
        and action.undoes is None
    ]
    reversed_ = Counter(action.rule_id for action in judged if action.action_id in world.reversed)
    found = {row["rule_id"]: row for row in report.judging.rules}
    assert {name: row["actions"] for name, row in found.items()} == Counter(
        action.rule_id for action in judged
    )
    for name, row in found.items():
        assert row["reversed_by_people"] == row["reversed_lately"] == reversed_[name]
        assert row["precision"] == 1 - reversed_[name] / row["actions"]


def test_new_groups_are_those_that_no_rule_reaches(world: World, report: MatchReport) -> None:
    clusters = {row["hash"]: row for row in report.judging.clusters}
    posts = [row for row in world.seen() if HASHES.get(str(row.blob_cid)) == UNCOVERED]
    assert clusters[f"{UNCOVERED:016x}"]["accounts"] == len({row.did for row in posts})
    covered = {match.blob_cid for match in world.matches() if match.within}
    assert covered
    assert not {row["blob_cid"] for row in clusters.values()} & covered


def test_groups_that_were_known_before_the_period_are_not_new(tmp_path: Path) -> None:
    past = Snapped(tmp_path)
    dids = [f"did:plc:{number}" for number in range(CLUSTER_ACCOUNTS)]
    past.write(*(post(did[-1], "known", did=did, hours_ago=1) for did in dids))
    past.write(*(post(f"n{did[-1]}", "new", did=did, hours_ago=1) for did in dids))
    past.hash({"known": MEME}, at=NOW - timedelta(days=9))
    past.hash({"new": OTHER}, at=NOW - timedelta(hours=1))
    [group] = made(past).judging.clusters
    assert group["hash"] == f"{OTHER:016x}"


def test_what_each_backfill_did(world: World, report: MatchReport) -> None:
    batches: defaultdict[str, list[Action]] = defaultdict(list)
    for action in world.actions:
        if action.lane == "backfill":
            batches[action.batch_id].append(action)
    found = {row["batch_id"]: row for row in report.judging.backfills}
    assert set(found) == set(batches) == {f"backfill-{name[:12]}" for name in world.versions}
    for name, actions in batches.items():
        row = found[name]
        assert row["actions"] == len(actions)
        assert row["posts"] == len({action.source_uri for action in actions})
        assert row["accounts"] == len({action.subject_did for action in actions})
        for state in (State.SENT, State.SHADOW, State.HELD):
            assert row[state] == sum(action.state is state for action in actions)
        times = [action.planned_at for action in actions]
        assert (row["first_at"], row["last_at"]) == (min(times), max(times))


def test_what_a_rematch_plans_is_a_backfill(tmp_path: Path) -> None:
    past = Snapped(tmp_path)
    past.write(*(post(f"p{day}", "meme", hours_ago=24 * day) for day in (2, 3)))
    past.hash({"meme": MEME})
    past.put_in_force(entry("meme", MEME))
    planned = past.plan()
    with Ledger(past.settings.effective_ledger_url) as ledger:
        mirror_ledger(ledger, past.warehouse, lambda: NOW)
    [row] = made(past).judging.backfills
    assert row["actions"] == row["posts"] == len(planned) == 2


def test_versions_and_how_far_they_came(world: World, report: MatchReport) -> None:
    assert report.rules_version == version_in_force(world)
    assert len(report.judging.loads) == 2
    past = report.judging.past
    assert past["hours"] == past["matched"] > 0
    assert past["planned"] == 0, "this past was matched and never planned"


def test_changes_beyond_those_that_are_listed_are_counted(tmp_path: Path) -> None:
    past = Snapped(tmp_path)
    for number in range(12):
        past.put_in_force(entry("meme", MEME, comment=str(number)))
    actions = [
        action_on_post(str(number), lane="backfill", batch_id=f"backfill-{number}", updated_at=NOW)
        for number in range(13)
    ]
    with past.warehouse.write() as connection:
        save_actions(
            connection,
            [replace(action, action_id=number) for number, action in enumerate(actions)],
        )
    judging = made(past).judging
    assert (len(judging.loads), judging.loads_left_out) == (10, 2)
    assert (len(judging.backfills), judging.backfills_left_out) == (10, 3)


def test_what_was_fetched(report: MatchReport) -> None:
    assert report.costs.images_fetched == len(HASHES)
    assert report.costs.images_with_size == 0, "these posts name no sizes"


def test_over_nothing_there_is_a_report_too(empty: MatchReport) -> None:
    assert empty.rules_version is None
    assert empty.reading.seen["images"] == 0
    assert empty.actions_in_state("sent") == 0
    assert empty.matched_images == 0
