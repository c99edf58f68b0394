"""The ledger on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from phash_dagster.moderation.actions import Action, Claims, Event, State
from phash_dagster.moderation.emit import RIVAL
from phash_dagster.moderation.ledger import Ledger
from tests.moderation.builders import (
    NOW,
    TTL,
    ManualClock,
    action_on_account,
    action_on_post,
)

WINDOW_START = NOW - TTL


def _recorded(ledger: Ledger, action: Action) -> Action:
    assert ledger.record([action], claim_ttl=TTL) == 1
    [row] = [row for row in ledger.changed_since(NOW) if row.external_id == action.external_id]
    return row


def _sent(ledger: Ledger, action: Action, sent_at: datetime = NOW) -> Action:
    row = _recorded(ledger, action)
    assert ledger.mark_sending(row.action_id)
    assert ledger.mark_sent(row.action_id, 17, sent_at)
    return row


def _get(ledger: Ledger, row: Action) -> Action:
    found = ledger.get(row.action_id)
    assert found is not None
    return found


@pytest.mark.parametrize("action", [action_on_post(event=Event.REPORT), action_on_account()])
def test_a_row_comes_back_as_it_was_recorded(ledger: Ledger, action: Action) -> None:
    row = _recorded(ledger, action)
    assert row == replace(action, action_id=row.action_id, updated_at=NOW)


def test_recording_twice_adds_nothing(ledger: Ledger) -> None:
    rows = [action_on_post(str(number)) for number in range(3)]
    assert ledger.record(rows, claim_ttl=TTL) == 3
    assert ledger.record(rows, claim_ttl=TTL) == 0
    assert ledger.counts() == {State.PLANNED: 3}


def test_recording_nothing_is_nothing(ledger: Ledger) -> None:
    assert ledger.record([], claim_ttl=TTL) == 0


def test_more_rows_than_one_statement_takes_are_recorded(ledger: Ledger) -> None:
    rows = [action_on_post(str(number), did=f"did:plc:{number}") for number in range(1_200)]
    assert ledger.record(rows, claim_ttl=TTL) == 1_200
    assert len(ledger.claims([row.claim for row in rows], WINDOW_START).live) == 1_200


def test_a_failed_row_is_not_planned_again_in_its_window(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    ledger.mark_sending(row.action_id)
    ledger.mark_failed(row.action_id, "InvalidRequest: no such label")
    assert ledger.record([action_on_post()], claim_ttl=TTL) == 0


@pytest.mark.parametrize("state", [State.PLANNED, State.SENDING, State.HELD])
def test_a_waiting_row_claims_however_old_it_is(ledger: Ledger, state: State) -> None:
    first = State.HELD if state is State.HELD else State.PLANNED
    old = action_on_post(planned_at=NOW - timedelta(days=100), state=first)
    row = _recorded(ledger, old)
    if state is State.SENDING:
        ledger.mark_sending(row.action_id)
    assert ledger.claims([old.claim], WINDOW_START) == Claims(live=frozenset({old.claim}))


def test_a_sent_row_claims_until_the_window_has_passed(ledger: Ledger) -> None:
    row = _sent(ledger, action_on_post(), sent_at=WINDOW_START)
    assert row.claim in ledger.claims([row.claim], WINDOW_START).live
    assert ledger.claims([row.claim], WINDOW_START + timedelta(microseconds=1)) == Claims()


def test_a_shadow_row_claims_only_among_shadow_rows(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post(mode="shadow"))
    assert ledger.claims([row.claim], WINDOW_START) == Claims(shadow=frozenset({row.claim}))


@pytest.mark.parametrize("state", [State.SUPPRESSED, State.FAILED])
def test_other_rows_claim_nothing(ledger: Ledger, state: State) -> None:
    row = _recorded(ledger, action_on_post(state=state))
    assert ledger.claims([row.claim], WINDOW_START) == Claims()


def test_what_is_settled_without_sending_claims_until_the_window_has_passed(
    ledger: Ledger, clock: ManualClock
) -> None:
    row = _recorded(ledger, action_on_post())
    ledger.mark_sending(row.action_id)
    assert ledger.mark_settled(row.action_id, "the post has this label already")
    settled = _get(ledger, row)
    assert (settled.state, settled.settled_at) == (State.SUPPRESSED, NOW)
    assert settled.external_id == row.external_id
    assert row.claim in ledger.claims([row.claim], NOW).live
    clock.advance(days=TTL.days, seconds=1)
    assert ledger.claims([row.claim], clock() - TTL) == Claims()


def test_only_what_is_being_sent_is_settled(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    assert not ledger.mark_settled(row.action_id, "too early")
    assert _get(ledger, row).state is State.PLANNED


def test_claims_of_others_are_not_given(ledger: Ledger) -> None:
    _recorded(ledger, action_on_post("1"))
    others = [
        action_on_post("2").claim,
        action_on_post("1", value="spam").claim,
        action_on_post("1", event=Event.REPORT).claim,
        action_on_account().claim,
    ]
    assert ledger.claims(others, WINDOW_START) == Claims()


def test_a_claim_taken_since_the_plan_was_made_is_left_out(ledger: Ledger) -> None:
    earlier = action_on_account(planned_at=NOW - timedelta(days=1), value="troll")
    later = action_on_account(planned_at=NOW + timedelta(days=TTL.days - 2))
    assert earlier.external_id != later.external_id
    _recorded(ledger, earlier)
    assert ledger.record([later], claim_ttl=TTL) == 0


def test_two_planners_at_once_record_an_action_once(ledger: Ledger) -> None:
    rows = [action_on_post(str(number)) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: ledger.record(rows, claim_ttl=TTL), range(4)))
    assert sum(counts) == 20


def test_that_a_claim_is_suppressed_is_recorded_once_whatever_the_mode(ledger: Ledger) -> None:
    live = action_on_post(state=State.SUPPRESSED)
    shadow = action_on_post(mode="shadow", state=State.SUPPRESSED)
    other = action_on_post("other", state=State.SUPPRESSED)
    assert ledger.record([live], claim_ttl=TTL) == 1
    assert ledger.record([shadow, other], claim_ttl=TTL) == 1
    assert ledger.counts() == {State.SUPPRESSED: 2}


def test_that_a_claim_is_suppressed_is_recorded_once_in_one_batch(ledger: Ledger) -> None:
    both = [action_on_post(mode=mode, state=State.SUPPRESSED) for mode in ("live", "shadow")]
    assert ledger.record(both, claim_ttl=TTL) == 1


def test_a_suppressed_row_from_before_the_window_does_not_count(ledger: Ledger) -> None:
    old = action_on_post(state=State.SUPPRESSED, planned_at=NOW - 2 * TTL)
    assert ledger.record([old], claim_ttl=TTL) == 1
    assert ledger.record([action_on_post(state=State.SUPPRESSED)], claim_ttl=TTL) == 1


def test_planned_rows_come_oldest_first_and_in_pages(ledger: Ledger) -> None:
    ledger.record([action_on_post(str(number)) for number in range(5)], claim_ttl=TTL)
    first = ledger.planned(limit=3)
    rest = ledger.planned(limit=3, after=first[-1].action_id)
    assert [row.subject_cid for row in [*first, *rest]] == [f"bafyrei{n}" for n in range(5)]


def test_a_row_goes_from_planned_over_sending_to_sent(ledger: Ledger, clock: ManualClock) -> None:
    row = _recorded(ledger, action_on_post())
    assert ledger.mark_sending(row.action_id)
    clock.advance(seconds=5)
    assert ledger.mark_sent(row.action_id, 17, clock(), "a note")
    assert _get(ledger, row) == replace(
        row,
        state=State.SENT,
        attempts=1,
        ozone_event_id=17,
        sent_at=clock(),
        reason="a note",
        updated_at=clock(),
    )


def test_each_time_a_row_is_taken_up_counts_as_an_attempt(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    assert ledger.mark_sending(row.action_id)
    assert ledger.back_to_planned(row.action_id, "502 UpstreamFailure")
    assert ledger.mark_sending(row.action_id)
    assert ledger.mark_sending(row.action_id, expected=State.SENDING)
    assert _get(ledger, row).attempts == 3


def test_only_one_of_two_emitters_takes_a_row(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(ledger.mark_sending, [row.action_id] * 2))
    assert sorted(taken) == [False, True]


def test_a_row_that_is_not_sending_cannot_be_settled(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    assert not ledger.mark_sent(row.action_id, 17, NOW)
    assert not ledger.mark_failed(row.action_id, "refused")
    assert not ledger.back_to_planned(row.action_id, "no answer")
    assert _get(ledger, row) == row


def test_a_row_that_is_sending_cannot_be_suppressed(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_post())
    ledger.mark_sending(row.action_id)
    assert not ledger.mark_suppressed(row.action_id, "post deleted")


def test_an_action_can_be_planned_again_after_it_was_suppressed_untried(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_account())
    assert ledger.mark_suppressed(row.action_id, "account deactivated")
    assert ledger.record([action_on_account()], claim_ttl=TTL) == 1
    assert ledger.counts() == {State.SUPPRESSED: 1, State.PLANNED: 1}


def test_a_suppressed_row_that_ozone_may_have_keeps_its_claim(ledger: Ledger) -> None:
    row = _recorded(ledger, action_on_account())
    ledger.mark_sending(row.action_id)
    ledger.back_to_planned(row.action_id, "no answer (ReadTimeout)")
    ledger.mark_suppressed(row.action_id, "account deactivated")
    assert row.claim in ledger.claims([row.claim], WINDOW_START).live
    assert _get(ledger, row).external_id == row.external_id


def test_changes_are_listed_from_a_time_on(ledger: Ledger, clock: ManualClock) -> None:
    old, changed = (_recorded(ledger, action_on_post(rkey)) for rkey in "12")
    clock.advance(minutes=1)
    ledger.mark_sending(changed.action_id)
    assert {row.action_id for row in ledger.changed_since(NOW)} == {
        old.action_id,
        changed.action_id,
    }
    assert [row.action_id for row in ledger.changed_since(clock())] == [changed.action_id]


def test_a_row_that_does_not_exist_is_none(ledger: Ledger) -> None:
    assert ledger.get(4711) is None
    assert not ledger.mark_sending(4711)


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="time zone"):
        ledger.record(
            [action_on_post(sent_at=NOW.replace(tzinfo=None))],
            claim_ttl=TTL,
        )


def test_one_process_emits_at_a_time(ledger_url: str) -> None:
    with Ledger(ledger_url) as one, Ledger(ledger_url) as other:
        with one.sending.term(RIVAL) as first, other.sending.term(RIVAL) as second:
            assert first is not None
            assert second is None
        with other.sending.term(RIVAL) as again:
            assert again is not None
            assert again.number == first.number + 1
