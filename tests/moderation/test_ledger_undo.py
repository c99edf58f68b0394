"""Writing an undo into the ledger, on SQLite and on PostgreSQL, whatever else goes on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event, Review, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_undo import view_in
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import Support, UndoPlan, UndoRequest, standing
from phash_dagster.settings import Mode
from tests.moderation.builders import (
    NOW,
    TTL,
    ManualClock,
    action_on_account,
    action_on_post,
)

ALL = RowFilter(rules=("rule-1",))


def recorded(ledger: Ledger, action: Action) -> Action:
    assert ledger.record([action], claim_ttl=TTL) == 1
    return rows(ledger)[-1]


def sent(ledger: Ledger, action: Action) -> Action:
    row = recorded(ledger, action)
    assert ledger.mark_sending(row.action_id)
    assert ledger.mark_sent(row.action_id, 17, NOW)
    return row


def rows(ledger: Ledger) -> list[Action]:
    return sorted(
        ledger.changed_since(NOW - timedelta(days=999)), key=lambda action: action.action_id
    )


def get(ledger: Ledger, row: Action) -> Action:
    found = ledger.get(row.action_id)
    assert found is not None
    return found


def request(*, mode: Mode = "live", allow_again: bool = False) -> UndoRequest:
    return UndoRequest(
        which=ALL,
        by="ana",
        batch_id="undo-1",
        run_id="undo-1",
        now=NOW,
        mode=mode,
        allow_again=allow_again,
    )


def undo(ledger: Ledger, support: Any = (), **how: Any) -> UndoPlan:
    action_ids = [row.action_id for row in rows(ledger) if row.undoes is None]
    supported = {standing(row): Support("other", "at://x") for row in support}
    return ledger.undoing.carry_out(action_ids, supported, request(**how))


def test_a_sent_label_gets_a_row_that_takes_it_back_and_holds_its_claim_for_good(
    ledger: Ledger, clock: ManualClock
) -> None:
    row = sent(ledger, action_on_post())
    undo(ledger)
    [undone, back] = rows(ledger)
    assert (back.event, back.undoes, back.state) == (
        Event.NEGATE_LABEL,
        row.action_id,
        State.PLANNED,
    )
    assert (undone.state, undone.review, undone.reviewed_by) == (
        State.SENT,
        Review.REJECTED,
        "ana",
    )
    clock.advance(days=100)
    later = action_on_post(planned_at=clock())
    assert ledger.claims([later.claim], clock() - TTL).live == {later.claim}


def test_a_takedown_gets_a_row_that_reverses_it(ledger: Ledger) -> None:
    sent(ledger, action_on_account(event=Event.TAKEDOWN, value=""))
    undo(ledger)
    back = rows(ledger)[-1]
    assert (back.event, back.value, back.subject_uri) == (Event.REVERSE_TAKEDOWN, "", None)


def test_undoing_twice_adds_nothing(ledger: Ledger) -> None:
    sent(ledger, action_on_post())
    undo(ledger)
    before = rows(ledger)
    assert undo(ledger).undone_before
    assert rows(ledger) == before


def test_two_people_who_undo_at_once_add_one_row(ledger: Ledger) -> None:
    for number in range(20):
        sent(ledger, action_on_post(str(number)))
    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(lambda _: undo(ledger), range(2)))
    assert sorted(len(plan.taken_back) for plan in plans) == [0, 20]
    assert len([row for row in rows(ledger) if row.undoes]) == 20


@pytest.mark.parametrize(
    "state", [State.PLANNED, State.HELD, State.FAILED, State.DEAD], ids=lambda state: state.value
)
def test_what_waits_is_rejected(ledger: Ledger, state: State) -> None:
    row = recorded(ledger, action_on_post(state=state))
    assert undo(ledger).stopped
    assert get(ledger, row) == replace(
        row,
        state=State.SUPPRESSED,
        review=Review.REJECTED,
        reviewed_at=NOW,
        reviewed_by="ana",
        settled_at=NOW,
        reason="undone by ana",
    )
    assert len(rows(ledger)) == 1


def test_what_may_have_arrived_is_taken_back_too(ledger: Ledger) -> None:
    recorded(ledger, action_on_post("tried", state=State.DEAD, attempts=1))
    recorded(ledger, action_on_post("refused", state=State.FAILED, attempts=1))
    recorded(ledger, action_on_post("gone", state=State.SUPPRESSED, attempts=1))
    recorded(ledger, action_on_post("there", state=State.SUPPRESSED, attempts=1, settled_at=NOW))
    taken_back = undo(ledger).taken_back
    assert [row.subject_cid for row in taken_back] == ["bafyreitried", "bafyreigone"]


def test_what_an_emitter_is_at_work_on_is_marked_and_taken_back(ledger: Ledger) -> None:
    row = recorded(ledger, action_on_post())
    ledger.mark_sending(row.action_id)
    plan = undo(ledger)
    assert [len(plan.stopped), len(plan.taken_back)] == [1, 1]
    assert get(ledger, row).state is State.SENDING
    assert ledger.mark_sent(row.action_id, 17, NOW)
    assert get(ledger, row).review is Review.REJECTED


def test_what_another_rule_asks_for_stays_and_what_waits_of_it_gives_up_its_claim(
    ledger: Ledger,
) -> None:
    label, waiting = sent(ledger, action_on_post("1")), recorded(ledger, action_on_post("2"))
    plan = undo(ledger, support=[label, waiting])
    assert [kept.support.rule_id for kept in plan.kept] == ["other"]
    assert get(ledger, label).review is None
    assert get(ledger, waiting).state is State.SUPPRESSED
    by_the_other = action_on_post("2", rule_id="other")
    assert ledger.record([by_the_other], claim_ttl=TTL) == 1


def test_with_allow_again_nothing_holds_a_claim_for_longer_than_it_did(
    ledger: Ledger, clock: ManualClock
) -> None:
    label, waiting = sent(ledger, action_on_post("1")), recorded(ledger, action_on_post("2"))
    undo(ledger, allow_again=True)
    assert get(ledger, label).review is None
    assert ledger.claims([label.claim, waiting.claim], NOW - TTL).live == {label.claim}
    clock.advance(days=TTL.days, seconds=1)
    assert ledger.claims([label.claim, waiting.claim], clock() - TTL).live == frozenset()


def test_reports_and_comments_stay_and_are_not_repeated(ledger: Ledger, clock: ManualClock) -> None:
    report = sent(ledger, action_on_post(event=Event.REPORT))
    assert [row.action_id for row in undo(ledger).for_good] == [report.action_id]
    assert len(rows(ledger)) == 1
    assert get(ledger, report).reason == "not to be repeated, said ana"
    undo(ledger)
    assert get(ledger, report).reason == "not to be repeated, said ana"
    clock.advance(days=100)
    assert ledger.claims([report.claim], clock() - TTL).live == {report.claim}


def test_in_shadow_mode_it_is_recorded_and_what_waits_is_stopped_all_the_same(
    ledger: Ledger,
) -> None:
    label, waiting = sent(ledger, action_on_post("1")), recorded(ledger, action_on_post("2"))
    undo(ledger, mode="shadow")
    assert get(ledger, label).review is None
    assert get(ledger, waiting).state is State.SUPPRESSED
    assert [row.state for row in rows(ledger) if row.undoes] == [State.SHADOW]
    undo(ledger)
    assert [row.state for row in rows(ledger) if row.undoes] == [State.SHADOW, State.PLANNED]


def test_an_undo_that_came_to_nothing_is_planned_again(ledger: Ledger) -> None:
    sent(ledger, action_on_post())
    undo(ledger)
    back = rows(ledger)[-1]
    ledger.mark_sending(back.action_id)
    ledger.mark_failed(back.action_id, "InvalidRequest")
    assert undo(ledger).again
    assert [row.state for row in rows(ledger) if row.undoes] == [State.PLANNED]


def test_more_rows_than_one_statement_takes_are_undone(ledger: Ledger) -> None:
    actions = [
        action_on_post(str(number), did=f"did:plc:{number}", state=State.SENT, sent_at=NOW)
        for number in range(1_200)
    ]
    ledger.record(actions, claim_ttl=TTL)
    assert len(undo(ledger).taken_back) == 1_200
    assert len(undo(ledger).undone_before) == 1_200


def test_a_row_that_is_no_longer_as_it_was_is_judged_as_it_is(ledger: Ledger) -> None:
    row = recorded(ledger, action_on_post())
    with ledger._engine.connect() as connection:
        view = view_in(connection, ALL, "live")
    assert [each.state for each in view.selected] == [State.PLANNED]
    ledger.mark_sending(row.action_id)
    ledger.mark_sent(row.action_id, 17, NOW)
    assert undo(ledger).taken_back
