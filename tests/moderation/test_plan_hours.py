"""Planning over real stores: Parquet posts, DuckDB matches, the ledger."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.mirror import mirror_ledger
from phash_dagster.moderation.plan_hours import PlanSummary, repeats_left_out
from phash_dagster.rules import RuleSet
from phash_dagster.warehouse import ImagePost
from phash_dagster.warehouse.image_posts import hour_key
from tests.moderation.bench import Bench, a_rule, account, delete, post
from tests.moderation.builders import HASH, NOW

pytestmark = pytest.mark.slow

LATER = NOW + timedelta(minutes=5)


def test_a_match_within_the_threshold_is_planned_once(bench: Bench) -> None:
    bench.write(post())
    first, second = bench.plan(), bench.plan()
    assert (first.recorded, second.recorded) == (1, 0)
    assert bench.states() == ["planned"]
    [row] = bench.rows()
    assert (row.lane, row.mode, row.run_id) == ("live", "live", "run")


def test_a_match_beyond_the_threshold_plans_nothing(bench: Bench) -> None:
    bench.match("other", distance=4)
    bench.write(post(blob_cid="other"))
    assert bench.plan().decisions == 0


def test_without_rules_nothing_is_planned(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(post())
    assert bench.plan() == PlanSummary()


def test_a_post_from_before_the_rule_belongs_to_the_backfill_even_in_a_live_run(
    bench: Bench,
) -> None:
    bench.load(a_rule(), a_rule("newer"), at=NOW + timedelta(minutes=1))
    bench.match("second", "newer")
    bench.write(post(), post(blob_cid="second", position=1))
    bench.plan()
    assert {(row.rule_id, row.lane, row.state.value) for row in bench.rows()} == {
        ("troll", "live", "planned"),
        ("newer", "backfill", "shadow"),
    }


def test_a_rule_that_comes_back_acts_on_what_comes_after_its_return(bench: Bench) -> None:
    bench.load(at=NOW - timedelta(hours=2))
    bench.load(a_rule(), at=NOW + timedelta(minutes=1))
    bench.write(post("before"), post("after", at=LATER))
    bench.plan()
    assert {row.source_uri[-6:]: row.lane for row in bench.rows()} == {
        "before": "backfill",
        "/after": "live",
    }


def test_a_looser_threshold_does_not_act_live_on_earlier_posts(bench: Bench) -> None:
    bench.load(a_rule(hammingThreshold=9), at=NOW + timedelta(minutes=1))
    bench.write(post())
    bench.plan()
    assert bench.states() == ["shadow"]


def test_a_tighter_threshold_leaves_live_what_was_live(bench: Bench) -> None:
    bench.load(a_rule(hammingThreshold=2), at=NOW + timedelta(minutes=1))
    bench.write(post())
    bench.plan()
    assert bench.states() == ["planned"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (delete(at=LATER), "post deleted"),
        (account("takendown", at=LATER), "account takendown"),
        (account("deleted", at=LATER), "account deleted"),
    ],
)
def test_what_is_gone_is_suppressed(bench: Bench, event: ImagePost, reason: str) -> None:
    bench.write(post(), event)
    assert bench.plan().suppressed == 1
    [row] = bench.rows()
    assert (row.state, row.reason) == (State.SUPPRESSED, reason)


def test_an_account_that_came_back_is_not_gone(bench: Bench) -> None:
    bench.write(post(), account("deactivated"), account("active", at=LATER))
    bench.plan()
    assert bench.states() == ["planned"]


def test_a_delete_in_a_later_hour_is_seen(bench: Bench) -> None:
    bench.write(post(), delete(at=NOW + timedelta(hours=5)))
    bench.plan()
    assert bench.states() == ["suppressed"]


def test_a_planned_row_whose_post_is_deleted_before_it_is_sent_is_suppressed(bench: Bench) -> None:
    bench.write(post())
    bench.plan()
    bench.write(delete(at=NOW + timedelta(hours=1)))
    bench.clock.advance(hours=1)
    bench.plan(NOW + timedelta(hours=1))
    assert bench.states() == ["suppressed"]


def test_images_of_an_earlier_version_of_a_record_count_no_more(bench: Bench) -> None:
    bench.write(post(), post(operation="update", cid="newer", blob_cid=None, at=LATER))
    assert bench.plan().decisions == 0


def test_a_record_that_was_updated_in_a_later_hour_is_left_to_that_hour(bench: Bench) -> None:
    later = NOW + timedelta(hours=2)
    bench.write(post(), post(operation="update", cid="newer", blob_cid="clean", at=later))
    assert bench.plan(NOW).decisions == 0


def test_a_record_that_was_updated_to_another_bad_image_is_planned_in_the_later_hour(
    bench: Bench,
) -> None:
    later = NOW + timedelta(hours=2)
    bench.write(post(), post(operation="update", cid="newer", at=later))
    bench.plan(NOW)
    bench.plan(later)
    assert [row.subject_cid for row in bench.rows()] == ["newer"]


@pytest.mark.parametrize("hours", [1, 24])
def test_an_account_that_was_taken_down_in_an_earlier_hour_is_gone(
    bench: Bench, hours: int
) -> None:
    bench.write(account("takendown", at=NOW - timedelta(hours=hours)), post())
    bench.plan()
    assert bench.states() == ["suppressed"]


def test_a_record_key_that_was_deleted_and_used_again_is_there(bench: Bench) -> None:
    bench.write(delete(at=NOW - timedelta(hours=1)), post())
    bench.plan()
    assert bench.states() == ["planned"]


def test_a_suppressed_row_is_not_repeated_by_the_other_lane(bench: Bench) -> None:
    bench.write(post(), delete(at=LATER))
    bench.plan()
    bench.plan(lane="backfill")
    assert bench.states() == ["suppressed"]


def test_a_backfill_is_in_shadow_until_it_is_allowed(bench: Bench) -> None:
    bench.write(post())
    bench.plan(lane="backfill")
    assert bench.states() == ["shadow"]
    bench.load(a_rule(backfill="same"))
    bench.plan(lane="backfill")
    assert bench.states() == ["shadow", "planned"]


def test_shadow_mode_records_and_plans_nothing(bench: Bench) -> None:
    bench.settings = bench.settings.model_copy(update={"moderation_mode": "shadow"})
    bench.write(post())
    bench.plan()
    bench.plan()
    assert bench.states() == ["shadow"]


def test_the_copy_of_the_ledger_follows_it(bench: Bench) -> None:
    bench.write(post())
    bench.plan()
    mirror_ledger(bench.ledger, bench.warehouse)
    [row] = bench.rows()
    bench.clock.advance(seconds=1)
    bench.ledger.mark_suppressed(row.action_id, "post deleted")
    mirror_ledger(bench.ledger, bench.warehouse)
    with bench.warehouse.read() as connection:
        copied = connection.execute(
            "FROM moderation_actions SELECT action_id, state, reason, blob_cids"
        ).fetchall()
    assert copied == [(row.action_id, "suppressed", "post deleted", ["blob"])]


def test_repeats_on_one_subject_are_counted(bench: Bench) -> None:
    bench.load(a_rule(labelAcct=True), at=NOW - timedelta(hours=1))
    bench.write(post("one"), post("two"))
    # The label of the account and the comment that goes with it, asked for twice.
    assert repeats_left_out(bench.warehouse, bench.posts, bench.settings) == 2


EXCEPTION = "00ff00ff00ff0f0f"


def matched_with(bench: Bench, version: str) -> None:
    """Note that the hour of the posts was matched with this rules version."""
    with bench.warehouse.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO partition_matches VALUES ($1, $2, now())",
            [hour_key(NOW), version],
        )


def except_near(bench: Bench) -> str:
    """Put a rule in force that leaves an image alone; returns its version."""
    excepting = RuleSet.of((a_rule(exceptHashes=[EXCEPTION]),), default_threshold=3)
    bench.load(*excepting.rules)
    with bench.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO rule_matches VALUES ('harmless', 'troll', $1, 'average', 0, 'v', now())",
            [EXCEPTION],
        )
    bench.match("harmless")
    bench.write(post("harmless", blob_cid="harmless"), post("harmful"))
    return excepting.version


def test_an_image_that_a_rule_excepts_is_left_alone(bench: Bench) -> None:
    matched_with(bench, except_near(bench))
    bench.plan()
    assert [row.source_uri[-7:] for row in bench.rows()] == ["harmful"]


def test_nothing_is_decided_while_the_distances_to_exceptions_are_not_known(bench: Bench) -> None:
    version = except_near(bench)
    assert bench.plan().decisions == 0
    matched_with(bench, "the version before")
    assert bench.plan().decisions == 0
    matched_with(bench, version)
    assert bench.plan().decisions == 1


def test_a_rule_decides_nothing_from_the_moment_it_expires(bench: Bench) -> None:
    bench.load(a_rule(expires=(NOW + timedelta(minutes=1)).isoformat()))
    bench.write(post())
    assert bench.plan().decisions == 1
    bench.clock.advance(minutes=1)
    assert bench.plan().decisions == 0


def test_what_goes_beyond_a_budget_is_held(bench: Bench) -> None:
    bench.set(max_actions_per_run=1)
    bench.write(post("1"), post("2"))
    summary = bench.plan()
    assert (summary.recorded, summary.held) == (2, 1)
    assert bench.states() == ["planned", "held"]
    assert bench.plan().recorded == 0


def test_the_budget_that_a_rule_names_is_its_own(bench: Bench) -> None:
    bench.load(a_rule(maxActionsPerDay=1))
    bench.write(post("1"), post("2"))
    bench.plan()
    assert bench.states() == ["planned", "held"]


def test_a_flooded_hash_is_quarantined_and_its_matches_are_kept(bench: Bench) -> None:
    bench.set(flood_min_posts=3)
    bench.write(post("1"), post("2"))
    bench.plan()
    assert bench.states() == ["planned", "planned"]
    bench.write(post("3"))
    bench.plan()
    assert bench.states() == ["held"] * 3
    [quarantine] = bench.ledger.limits.quarantined()
    assert (quarantine.rule_id, quarantine.rule_hash) == ("troll", HASH)
    assert bench.plan().decisions == 3


def test_a_post_with_two_images_of_one_hash_is_one_post_of_a_flood(bench: Bench) -> None:
    bench.set(flood_min_posts=2)
    bench.write(post(), post(position=1))
    bench.plan()
    assert bench.ledger.limits.quarantined() == []


def test_backfills_cause_no_flood(bench: Bench) -> None:
    bench.set(flood_min_posts=1)
    bench.write(post())
    bench.plan(lane="backfill")
    assert bench.ledger.limits.quarantined() == []


def test_posts_that_have_expired_are_not_acted_upon(bench: Bench) -> None:
    bench.write(post("old", at=NOW - timedelta(days=3, hours=2)), post("new"))
    bench.set(retention_days=3)
    bench.plan(NOW - timedelta(days=3, hours=2), NOW)
    assert [row.source_uri[-3:] for row in bench.rows()] == ["new"]
