"""What the ledger keeps of budgets, on SQLite and PostgreSQL."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.budgets import HashKey
from phash_dagster.moderation.floods import AFTER_LIFTING, HISTORY
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_limits import Batch
from tests.moderation.builders import HASH, NOW, TTL, ManualClock, action_on_post
from tests.moderation.test_budgets import budgets

HOUR = NOW.replace(minute=0)
KEY = HashKey("rule-1", HASH)


def add(ledger: Ledger, *rows: Action, **limits: Any) -> list[State]:
    return [row.state for row in ledger.add(rows, claim_ttl=TTL, budgets=budgets(**limits))]


def note(ledger: Ledger, posts: int, hour: datetime = HOUR, key: HashKey = KEY) -> None:
    ledger.limits.note_posts({(key, hour): posts}, min_posts=50, factor=10)


def states(ledger: Ledger) -> Mapping[State, int]:
    return ledger.counts()


def test_what_was_planned_in_the_last_day_is_spent(ledger: Ledger, clock: ManualClock) -> None:
    assert add(ledger, action_on_post("1"), actions_per_rule=1) == [State.PLANNED]
    clock.advance(hours=23)
    second = action_on_post("2", planned_at=clock())
    assert add(ledger, second, actions_per_rule=1) == [State.HELD]
    clock.advance(hours=2)
    third = action_on_post("3", planned_at=clock())
    assert add(ledger, third, actions_per_rule=1) == [State.PLANNED]


@pytest.mark.parametrize("field", ["actions_per_day", "actions_per_run", "actions_per_account"])
def test_rows_of_an_earlier_call_count(ledger: Ledger, field: str) -> None:
    add(ledger, action_on_post("1"))
    assert add(ledger, action_on_post("2"), **{field: 1}) == [State.HELD]


def test_a_run_counts_its_own_rows_only(ledger: Ledger) -> None:
    add(ledger, action_on_post("1"))
    assert add(ledger, action_on_post("2", run_id="run-2"), actions_per_run=1) == [State.PLANNED]


def test_takedowns_of_the_last_day_count(ledger: Ledger) -> None:
    takedowns = [action_on_post(rkey, event=Event.TAKEDOWN, value="") for rkey in "123"]
    assert add(ledger, *takedowns[:2], takedowns_per_day=1) == [State.PLANNED, State.HELD]
    assert add(ledger, takedowns[2], takedowns_per_day=1) == [State.HELD]


def test_shadow_rows_of_the_same_rule_spend_nothing(ledger: Ledger) -> None:
    add(ledger, action_on_post("1", mode="shadow"))
    assert add(ledger, action_on_post("2"), actions_per_day=1) == [State.PLANNED]


def test_two_planners_at_once_do_not_spend_the_same(ledger: Ledger) -> None:
    def plan(number: int) -> list[State]:
        rows = [action_on_post(f"{number}-{each}", run_id=f"run-{number}") for each in range(5)]
        return add(ledger, *rows, actions_per_day=7)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(plan, range(4)))
    assert states(ledger) == {State.PLANNED: 7, State.HELD: 13}


# Backfills


def backfill_row(rkey: str) -> Action:
    return action_on_post(rkey, did=f"did:plc:{rkey}", lane="backfill", batch_id="backfill-1")


def judged(state: Any = "open", **fields: Any) -> Batch:
    values: dict[str, Any] = {
        "batch_id": "backfill-1",
        "state": state,
        "posts": 3,
        "accounts": 2,
        "images": 100,
        "reason": "too far" if state == "held" else None,
        "evaluated_at": NOW,
    }
    return Batch(**(values | fields))


def test_a_backfill_that_goes_over_is_held_with_what_waits_of_it(ledger: Ledger) -> None:
    assert add(ledger, backfill_row("1"), backfill_posts=1) == [State.PLANNED]
    assert add(ledger, backfill_row("2"), backfill_posts=1) == [State.HELD]
    assert states(ledger) == {State.HELD: 2}
    batch = ledger.limits.batch("backfill-1")
    assert batch is not None
    assert batch.state == "held"
    assert "BACKFILL_MAX_POSTS" in (batch.reason or "")
    assert add(ledger, backfill_row("3")) == [State.HELD]


def test_what_was_tried_of_it_stays_since_ozone_may_have_it(ledger: Ledger) -> None:
    add(ledger, backfill_row("1"))
    [row] = ledger.planned(1)
    ledger.mark_sending(row.action_id)
    ledger.back_to_planned(row.action_id, "no answer")
    add(ledger, backfill_row("2"), backfill_posts=1)
    assert states(ledger) == {State.PLANNED: 1, State.HELD: 1}


def test_a_verdict_is_kept_once(ledger: Ledger) -> None:
    ledger.limits.judge_batch(judged())
    ledger.limits.judge_batch(judged("held"))
    assert ledger.limits.batch("backfill-1") == judged()
    assert ledger.limits.batch("backfill-2") is None


def test_a_backfill_that_is_judged_too_far_is_held(ledger: Ledger) -> None:
    add(ledger, backfill_row("1"))
    ledger.limits.judge_batch(judged("held"))
    assert add(ledger, backfill_row("2")) == [State.HELD]
    assert states(ledger) == {State.HELD: 2}
    assert {row.reason for row in ledger.in_state(State.HELD)} == {"too far"}


def test_a_released_backfill_goes_on(ledger: Ledger) -> None:
    ledger.limits.judge_batch(judged("held"))
    assert ledger.limits.release_batch("backfill-1", "alice")
    assert not ledger.limits.release_batch("backfill-1", "bob")
    released = judged("released", reason="too far", reviewed_at=NOW, reviewed_by="alice")
    assert ledger.limits.batch("backfill-1") == released
    assert add(ledger, backfill_row("1"), backfill_posts=0) == [State.PLANNED]


# Floods


def test_a_flooded_hash_has_its_actions_held_and_what_waits_too(ledger: Ledger) -> None:
    add(ledger, action_on_post("1"))
    note(ledger, 49)
    assert add(ledger, action_on_post("2")) == [State.PLANNED]
    note(ledger, 50)
    assert add(ledger, action_on_post("3")) == [State.HELD]
    assert states(ledger) == {State.HELD: 3}
    [quarantine] = ledger.limits.quarantined()
    assert (quarantine.rule_id, quarantine.rule_hash, quarantine.since) == ("rule-1", HASH, NOW)
    assert quarantine.reason.startswith("flood: 50 posts in the hour")


def test_another_hash_of_the_rule_acts_on(ledger: Ledger) -> None:
    note(ledger, 50)
    assert add(ledger, action_on_post("1", rule_hash="f0" * 8)) == [State.PLANNED]


def test_the_same_count_again_changes_nothing(ledger: Ledger, clock: ManualClock) -> None:
    note(ledger, 50)
    [before] = ledger.limits.quarantined()
    clock.advance(minutes=1)
    note(ledger, 50)
    note(ledger, 51)
    assert ledger.limits.quarantined() == [before]


def test_a_hash_is_measured_by_its_own_history(ledger: Ledger) -> None:
    for hours in range(1, 6):
        note(ledger, 40, HOUR - timedelta(hours=hours))
    note(ledger, 399)
    assert ledger.limits.quarantined() == []
    note(ledger, 400)
    assert len(ledger.limits.quarantined()) == 1


def test_a_person_lifts_a_quarantine_and_it_does_not_come_back_at_once(
    ledger: Ledger, clock: ManualClock
) -> None:
    note(ledger, 50)
    assert ledger.limits.lift_quarantine(HASH, "alice", rule_id="another") == 0
    assert ledger.limits.lift_quarantine(HASH, "alice") == 1
    assert ledger.limits.lift_quarantine(HASH, "alice") == 0
    note(ledger, 60)
    assert ledger.limits.quarantined() == []
    assert add(ledger, action_on_post("1")) == [State.PLANNED]
    clock.advance(seconds=AFTER_LIFTING.total_seconds())
    note(ledger, 10_000, HOUR + AFTER_LIFTING)
    assert len(ledger.limits.quarantined()) == 1


def test_history_is_forgotten_after_a_while(ledger: Ledger, clock: ManualClock) -> None:
    note(ledger, 40)
    clock.advance(seconds=2 * HISTORY.total_seconds())
    later = HOUR + 2 * HISTORY
    note(ledger, 60, later)
    assert len(ledger.limits.quarantined()) == 1
