"""What becomes of rows whose emitter was killed, or that had no answer."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from phash_dagster.moderation.actions import Action, Review, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import write
from phash_dagster.moderation.ledger_schema import moderation_actions
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneRefusedError
from phash_dagster.moderation.settling import FOUND, NOT_THERE
from tests.moderation.builders import NOW, TTL, action_on_post
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    NO_ANSWER,
    NOT_TAKEN,
    FakeTime,
    ScriptedOzone,
    asked_cids,
    states,
)

PATIENT = replace(AT_ONCE, settle_seconds=5.0)


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    sqlite_ledger.record([action_on_post(rkey) for rkey in "abc"], claim_ttl=TTL)
    return sqlite_ledger


@pytest.fixture
def left(ledger: Ledger) -> Action:
    """A row that a killed emitter left `sending`."""
    [*_, last] = ledger.planned(10)
    ledger.mark_sending(last.action_id)
    return last


def row(ledger: Ledger, action: Action) -> Action:
    found = ledger.get(action.action_id)
    assert found is not None
    return found


def test_what_ozone_has_is_settled_before_anything_new_and_not_sent_again(
    ledger: Ledger, left: Action
) -> None:
    ozone = ScriptedOzone(events={left.external_id: 9})
    asked_for_first: list[str] = []
    ozone.on_request = lambda _: asked_for_first.extend(ozone.questions[:1])
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert summary == EmitSummary(sent=2, duplicates=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib"]
    assert asked_for_first[0] == "event bafyreic"
    settled = row(ledger, left)
    assert (settled.state, settled.ozone_event_id, settled.reason) == (State.SENT, 9, FOUND)


def test_what_ozone_does_not_have_is_sent_after_it_said_so_twice(
    ledger: Ledger, left: Action
) -> None:
    ozone, time = ScriptedOzone(), FakeTime()
    assert emit_actions(ledger, ozone, PATIENT, pacing=time.pacing) == EmitSummary(sent=3)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib", "bafyreic"]
    assert ozone.questions.count("event bafyreic") == 2
    assert time.slept == [5.0]


def test_what_appears_between_the_two_questions_is_not_sent_again(
    ledger: Ledger, left: Action
) -> None:
    ozone = ScriptedOzone()
    ozone.on_request = lambda _: ozone.events.update({left.external_id: 9})
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert summary == EmitSummary(sent=2, duplicates=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib"]


def test_what_ozone_does_not_have_and_nobody_wants_any_more_is_suppressed(
    ledger: Ledger, left: Action
) -> None:
    def look_again() -> int:
        return int(ledger.mark_suppressed(left.action_id, "rule no longer in force"))

    ozone = ScriptedOzone()
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing, look_again=look_again)
    assert summary == EmitSummary(sent=2, suppressed=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib"]
    assert row(ledger, left).reason == "rule no longer in force"


def _undone_meanwhile(ledger: Ledger, action: Action) -> None:
    """As `actions undo` does with what an emitter may be at work on."""
    with write(ledger._engine) as connection:
        connection.execute(
            update(moderation_actions)
            .where(moderation_actions.c.action_id == action.action_id)
            .values(review=Review.REJECTED.value, reviewed_at=NOW, settled_at=NOW)
        )


def test_what_ozone_does_not_have_and_a_person_undid_is_set_aside(
    ledger: Ledger, left: Action
) -> None:
    _undone_meanwhile(ledger, left)
    ozone = ScriptedOzone()
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert summary == EmitSummary(sent=2, suppressed=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib"]
    assert row(ledger, left).state is State.SUPPRESSED


def test_what_ozone_has_and_a_person_undid_counts_as_sent(ledger: Ledger, left: Action) -> None:
    _undone_meanwhile(ledger, left)
    ozone = ScriptedOzone(events={left.external_id: 9})
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert row(ledger, left).state is State.SENT


def test_what_ozone_has_counts_as_sent_though_nobody_wants_it_any_more(
    ledger: Ledger, left: Action
) -> None:
    ozone = ScriptedOzone(events={left.external_id: 9})
    emit_actions(
        ledger,
        ozone,
        PATIENT,
        pacing=FakeTime().pacing,
        look_again=lambda: int(ledger.mark_suppressed(left.action_id, "post deleted")),
    )
    assert row(ledger, left).state is State.SENT


def test_while_ozone_does_not_say_nothing_is_sent_again(ledger: Ledger, left: Action) -> None:
    ozone = ScriptedOzone(question_replies=[NO_ANSWER])
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert summary == EmitSummary(sent=2, left_planned=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib"]
    assert row(ledger, left).state is State.SENDING


def test_where_ozone_refuses_the_question_the_external_id_has_to_do(
    ledger: Ledger, left: Action
) -> None:
    refused = OzoneRefusedError("InvalidRequest: no such method")
    ozone = ScriptedOzone(
        [EmitResult(1), EmitResult(2), EmitResult(3, duplicate=True)],
        question_replies=[refused, None, refused],
    )
    time = FakeTime()
    summary = emit_actions(ledger, ozone, PATIENT, pacing=time.pacing)
    assert summary == EmitSummary(sent=2, duplicates=1)
    assert time.slept == [5.0]


def test_a_request_without_an_answer_is_settled_by_the_next_run(ledger: Ledger) -> None:
    ozone = ScriptedOzone([NO_ANSWER])
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    [unclear] = ledger.in_state(State.SENDING)
    ozone.events[unclear.external_id] = 9
    summary = emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert summary == EmitSummary(duplicates=1)
    assert len(ozone.asked) == 3


def test_a_run_that_has_no_time_for_the_second_question_leaves_it_to_the_next(
    ledger: Ledger, left: Action
) -> None:
    ozone = ScriptedOzone()
    short = replace(PATIENT, max_seconds=4.0)
    summary = emit_actions(ledger, ozone, short, pacing=FakeTime().pacing)
    assert (summary.sent, summary.left_planned) == (2, 1)
    assert row(ledger, left).state is State.SENDING


def test_a_row_that_failed_too_often_is_dead_once_ozone_says_it_does_not_have_it(
    ledger: Ledger, left: Action
) -> None:
    for _ in range(AT_ONCE.runs):
        ledger.sending.mark_unanswered(
            left.action_id, State.SENDING, "502 UpstreamFailure", charged=True
        )
    summary = emit_actions(ledger, ScriptedOzone(), PATIENT, pacing=FakeTime().pacing)
    assert (summary.sent, summary.dead) == (2, 1)
    dead = row(ledger, left)
    assert (dead.state, dead.reason) == (State.DEAD, "502 UpstreamFailure")


def test_a_row_that_failed_often_and_arrived_in_the_end_is_sent(
    ledger: Ledger, left: Action
) -> None:
    for _ in range(AT_ONCE.runs):
        ledger.sending.mark_unanswered(left.action_id, State.SENDING, "502", charged=True)
    ozone = ScriptedOzone(events={left.external_id: 9})
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert row(ledger, left).state is State.SENT


def test_a_row_from_before_the_claim_window_is_settled_all_the_same(
    sqlite_ledger: Ledger,
) -> None:
    old, new = (action_on_post(planned_at=NOW - days * TTL) for days in (5, 0))
    assert old.external_id != new.external_id
    sqlite_ledger.record([old], claim_ttl=TTL)
    [left] = sqlite_ledger.planned(10)
    sqlite_ledger.mark_sending(left.action_id)
    assert sqlite_ledger.record([new], claim_ttl=TTL) == 0
    ozone, time = ScriptedOzone(events={old.external_id: 9}), FakeTime()
    summary = emit_actions(sqlite_ledger, ozone, PATIENT, pacing=time.pacing)
    assert summary == EmitSummary(duplicates=1)
    assert sqlite_ledger.record([new], claim_ttl=TTL) == 0


def test_a_row_that_did_not_arrive_is_planned_and_says_why(ledger: Ledger, left: Action) -> None:
    ozone = ScriptedOzone([EmitResult(1), EmitResult(2), *[NOT_TAKEN] * 3])
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert states(ledger) == [State.SENT, State.SENT, State.PLANNED]
    assert row(ledger, left).reason == "502 UpstreamFailure"
    assert NOT_THERE not in str(row(ledger, left).reason)
