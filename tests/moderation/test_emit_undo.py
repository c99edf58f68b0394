"""Sending what takes actions back, and not sending what was undone meanwhile."""

import pytest

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions, emit_planned
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_errors import OzoneError, OzoneRefusedError
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import UndoRequest
from phash_dagster.settings import settings_from
from tests.moderation.bench import CREDENTIALS
from tests.moderation.builders import NOW, TTL, action_on_post, post_uri
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    NO_ANSWER,
    NOT_TAKEN,
    FakeTime,
    ScriptedOzone,
    asked_cids,
)

PATIENT = EmitOptions(rate_limit_ms=0, first_wait_seconds=0.0, settle_seconds=5.0)


def labelled(rkey: str) -> Label:
    """The label as Ozone has it."""
    return Label(post_uri(rkey), f"bafyrei{rkey}", "troll", negated=False, expires_at=None)


def undo(ledger: Ledger) -> None:
    """As a person does with all there is."""
    request = UndoRequest(
        which=RowFilter(rules=("rule-1",)),
        by="ana",
        batch_id="undo",
        run_id="undo",
        now=NOW,
        mode="live",
    )
    numbers = [row.action_id for row in rows(ledger) if row.undoes is None]
    ledger.undoing.carry_out(numbers, {}, request)


def rows(ledger: Ledger) -> list[Action]:
    return ledger.changed_since(NOW.replace(year=2000))


def events(ozone: ScriptedOzone) -> list[tuple[Event, str | None]]:
    return [(action.event, action.subject_cid) for action in ozone.asked]


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    sqlite_ledger.record([action_on_post(rkey) for rkey in "abc"], claim_ttl=TTL)
    return sqlite_ledger


@pytest.fixture
def ozone() -> ScriptedOzone:
    """It has every label that it is sent."""
    found = ScriptedOzone()
    found.on_request = lambda action: found.labels.append(labelled(str(action.subject_cid)[7:]))
    return found


def test_rows_that_were_taken_and_then_undone_are_not_sent(
    ledger: Ledger, ozone: ScriptedOzone
) -> None:
    emit_actions(ledger, ozone, AT_ONCE)  # so that the next run takes several rows at once
    ledger.record([action_on_post(str(number)) for number in range(40)], claim_ttl=TTL)
    sent_before = len(ozone.asked)

    def undo_at_the_tenth(action: Action) -> None:
        ozone.labels.append(labelled(str(action.subject_cid)[7:]))
        if len(ozone.asked) == sent_before + 10:
            undo(ledger)

    ozone.on_request = undo_at_the_tenth
    emit_actions(ledger, ozone, AT_ONCE)
    labels = [cid for event, cid in events(ozone) if event is Event.LABEL]
    assert len(labels) == sent_before + 10
    emit_actions(ledger, ozone, AT_ONCE)
    negated = [cid for event, cid in events(ozone) if event is Event.NEGATE_LABEL]
    assert sorted(map(str, negated)) == sorted(map(str, labels))
    assert not ledger.planned(9)


def test_what_may_be_arriving_is_taken_back_only_once_it_is_known_to_have_arrived(
    ledger: Ledger,
) -> None:
    first, *others = ledger.planned(9)
    ledger.reviews.reject([row.action_id for row in others], "ana")
    ledger.mark_sending(first.action_id)
    undo(ledger)
    ozone, time = ScriptedOzone(), FakeTime()

    def arrive(seconds: float) -> None:
        """It arrives between the two questions that settle it."""
        time.now += seconds
        ozone.events[first.external_id] = 9
        ozone.labels.append(labelled("a"))

    time.sleep = arrive  # type: ignore[method-assign]
    emit_actions(ledger, ozone, PATIENT, pacing=time.pacing)
    emit_actions(ledger, ozone, PATIENT, pacing=time.pacing)
    assert events(ozone) == [(Event.NEGATE_LABEL, "bafyreia")]


def test_what_did_not_arrive_is_set_aside_and_there_is_nothing_to_take_back(
    ledger: Ledger,
) -> None:
    first, *others = ledger.planned(9)
    ledger.reviews.reject([row.action_id for row in others], "ana")
    ledger.mark_sending(first.action_id)
    undo(ledger)
    ozone = ScriptedOzone()
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    emit_actions(ledger, ozone, PATIENT, pacing=FakeTime().pacing)
    assert ozone.asked == []
    assert {row.state for row in rows(ledger)} == {State.SUPPRESSED}


def test_what_somebody_else_put_too_is_left(ledger: Ledger, ozone: ScriptedOzone) -> None:
    emit_actions(ledger, ozone, AT_ONCE)
    undo(ledger)
    ozone.others[post_uri("b")] = "did:plc:bob did the same: it stays"
    summary = emit_actions(ledger, ozone, AT_ONCE)
    assert summary == EmitSummary(sent=2, settled=1)
    assert asked_cids(ozone)[3:] == ["bafyreia", "bafyreic"]
    [left] = [row for row in rows(ledger) if row.undoes and row.state is State.SUPPRESSED]
    assert left.reason == "did:plc:bob did the same: it stays"


@pytest.mark.parametrize("reply", [NO_ANSWER, NOT_TAKEN], ids=["no answer", "not taken"])
def test_while_ozone_does_not_say_whose_it_is_it_waits(
    ledger: Ledger, ozone: ScriptedOzone, reply: OzoneError
) -> None:
    emit_actions(ledger, ozone, AT_ONCE)
    undo(ledger)
    questions = len(ozone.questions)
    ozone.question_replies = [None, reply]  # of the labels, and of the first label's events
    emit_actions(ledger, ozone, AT_ONCE)
    assert ozone.questions[questions + 1] == "whose bafyreia"
    assert asked_cids(ozone)[3:] == ["bafyreib", "bafyreic"]
    assert [row.subject_cid for row in ledger.in_state(State.PLANNED)] == ["bafyreia"]
    emit_actions(ledger, ozone, AT_ONCE)
    assert asked_cids(ozone)[5:] == ["bafyreia"]


def test_an_ozone_that_does_not_know_the_question_is_sent_it(
    ledger: Ledger, ozone: ScriptedOzone
) -> None:
    emit_actions(ledger, ozone, AT_ONCE)
    undo(ledger)
    ozone.question_replies = [None, *[OzoneRefusedError("InvalidRequest")] * 3]
    assert emit_actions(ledger, ozone, AT_ONCE).sent == 3


def test_while_lists_are_unread_only_what_takes_something_back_is_sent(
    ledger: Ledger, ozone: ScriptedOzone
) -> None:
    emit_actions(ledger, ozone, AT_ONCE)
    undo(ledger)
    ledger.record([action_on_post("new")], claim_ttl=TTL)
    only_undo = EmitOptions(rate_limit_ms=0, settle_seconds=0.0, only_undo=True)
    assert emit_actions(ledger, ozone, only_undo) == EmitSummary(sent=3, left_planned=1)
    assert {event for event, _ in events(ozone)[3:]} == {Event.NEGATE_LABEL}


def test_while_lists_are_unread_and_nothing_is_undone_ozone_is_not_asked(ledger: Ledger) -> None:
    nowhere = settings_from({**CREDENTIALS, "MODERATION_MODE": "live"})
    summary = emit_planned(ledger, nowhere, unread_lists=["at://did:plc:a/app.bsky.graph.list/1"])
    assert summary.stopped is not None
    assert "was never read" in summary.stopped
    assert summary.left_planned == 3
