"""A backfill is judged over the whole past before anything of it is sent."""

from datetime import timedelta

import pytest

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger_limits import Batch
from phash_dagster.moderation.plan import backfill_batch
from phash_dagster.rules import current_version
from tests.moderation.bench import Bench, a_rule, delete, post
from tests.moderation.builders import NOW

pytestmark = pytest.mark.slow

WEEK = timedelta(days=7)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Three posts of three accounts, weeks apart; a rule that does the same about the past."""
    bench.load(at=NOW - timedelta(hours=2))
    bench.load(a_rule(backfill="same"), at=NOW + timedelta(minutes=1))
    for weeks in range(3):
        did = f"did:plc:{weeks}"
        uri = f"at://{did}/app.bsky.feed.post/r"
        bench.write(post(at=NOW - weeks * WEEK, did=did, uri=uri))
    bench.mark_matched()
    return bench


def batch(bench: Bench) -> Batch | None:
    with bench.warehouse.read() as connection:
        ruleset = current_version(connection)
    assert ruleset is not None
    return bench.ledger.limits.batch(backfill_batch(ruleset.version))


def test_the_first_run_judges_all_hours_and_not_only_its_own(bench: Bench) -> None:
    bench.plan(NOW, lane="backfill")
    judged = batch(bench)
    assert judged is not None
    assert (judged.state, judged.posts, judged.accounts, judged.images) == ("open", 3, 3, 3)
    assert bench.states() == ["planned"]


@pytest.mark.parametrize("bound", ["backfill_max_posts", "backfill_max_accounts"])
def test_a_backfill_that_reaches_too_far_is_held_in_every_run(bench: Bench, bound: str) -> None:
    bench.set(**{bound: 2})
    for weeks in range(3):
        bench.plan(NOW - weeks * WEEK, lane="backfill")
    assert bench.states() == ["held"] * 3
    judged = batch(bench)
    assert judged is not None
    assert judged.state == "held"
    assert bound.upper() in (judged.reason or "")
    assert {row.reason for row in bench.rows()} == {judged.reason}


def test_all_rows_of_a_backfill_share_its_batch(bench: Bench) -> None:
    bench.plan(NOW, lane="backfill")
    bench.plan(NOW - WEEK, lane="backfill")
    assert len({row.batch_id for row in bench.rows()}) == 1


def test_a_released_backfill_acts(bench: Bench) -> None:
    bench.set(backfill_max_posts=2)
    bench.plan(NOW, lane="backfill")
    [row] = bench.rows()
    assert bench.ledger.limits.release_batch(row.batch_id, "alice")
    bench.plan(NOW - WEEK, lane="backfill")
    assert bench.states() == ["held", "planned"]


def test_what_is_done_already_or_gone_does_not_count(bench: Bench) -> None:
    gone = delete(at=NOW + timedelta(minutes=2))
    bench.write(gone._replace(did="did:plc:1", uri="at://did:plc:1/app.bsky.feed.post/r"))
    bench.plan(NOW - 2 * WEEK, lane="backfill")
    judged = batch(bench)
    assert judged is not None
    assert judged.posts == 2
    bench.load(a_rule(backfill="same"), a_rule("other", backfill="same"), at=NOW)
    bench.mark_matched()
    bench.plan(NOW, lane="backfill")
    judged = batch(bench)
    assert judged is not None
    assert judged.posts == 1


def test_a_backfill_in_shadow_is_recorded_without_being_judged(bench: Bench) -> None:
    bench.set(backfill_mode="shadow", backfill_max_posts=0)
    bench.plan(NOW, lane="backfill")
    assert bench.states() == ["shadow"]
    assert batch(bench) is None


def test_what_cannot_be_judged_yet_is_left_for_a_later_run(bench: Bench) -> None:
    bench.mark_matched(with_rules=False)
    bench.plan(NOW, lane="backfill")
    assert (bench.states(), batch(bench)) == ([], None)
    bench.mark_matched()
    bench.plan(NOW, lane="backfill")
    assert bench.states() == ["planned"]


def test_a_live_run_takes_no_more_of_the_past_than_a_backfill_may(bench: Bench) -> None:
    bench.set(backfill_max_posts=1)
    bench.plan(NOW, lane="live")
    assert bench.states() == ["planned"]
    bench.plan(NOW - WEEK, lane="live")
    assert bench.states() == ["held", "held"]


def test_a_post_after_the_rule_is_not_held_with_the_past(bench: Bench) -> None:
    bench.set(backfill_max_posts=0)
    bench.write(post("after", at=NOW + timedelta(minutes=5)))
    bench.plan(NOW, lane="live")
    assert {row.source_uri.rpartition("/")[2]: row.state for row in bench.rows()} == {
        "r": State.HELD,
        "after": State.PLANNED,
    }
