"""Sending what the ledger holds."""

from datetime import timedelta

import pytest

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit import RIVAL, emit_actions, emit_planned
from phash_dagster.moderation.emit_options import EmitSummary, Pacing
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import (
    OzoneLoginRefusedError,
    OzoneRefusedError,
)
from phash_dagster.settings import Settings
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_post
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    NO_ANSWER,
    NOT_TAKEN,
    ScriptedOzone,
    asked_cids,
    states,
)


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    sqlite_ledger.record([action_on_post(rkey) for rkey in "abc"], claim_ttl=TTL)
    return sqlite_ledger


def test_planned_rows_are_sent_oldest_first(ledger: Ledger) -> None:
    ozone = ScriptedOzone()
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=3)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib", "bafyreic"]
    assert states(ledger) == [State.SENT] * 3


def test_a_row_is_sending_in_the_ledger_while_its_request_is_under_way(ledger: Ledger) -> None:
    seen: list[State] = []

    def look(action: Action) -> None:
        row = ledger.get(action.action_id)
        seen.append(row.state if row else State.DEAD)

    emit_actions(ledger, ScriptedOzone(on_request=look), AT_ONCE)
    assert seen == [State.SENDING] * 3


def test_a_sent_row_keeps_ozones_id_and_the_time(ledger: Ledger, clock: ManualClock) -> None:
    clock.advance(minutes=1)
    ozone = ScriptedOzone([EmitResult(4711)])
    emit_actions(ledger, ozone, AT_ONCE, pacing=Pacing(clock=clock))
    [first, *_] = ledger.in_state(State.SENT)
    assert (first.ozone_event_id, first.sent_at) == (4711, NOW + timedelta(minutes=1))
    assert first.attempts == 1


def test_shadow_rows_are_never_sent(sqlite_ledger: Ledger) -> None:
    sqlite_ledger.record([action_on_post(mode="shadow")], claim_ttl=TTL)
    ozone = ScriptedOzone()
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary()
    assert ozone.asked == []


def test_what_ozone_has_already_counts_as_sent(ledger: Ledger) -> None:
    ozone = ScriptedOzone([EmitResult(9, duplicate=True, note="DuplicateExternalId")])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=2, duplicates=1)
    [first, *_] = ledger.in_state(State.SENT)
    assert (first.ozone_event_id, first.reason) == (9, "DuplicateExternalId")


def test_a_takedown_by_somebody_else_is_settled_and_not_taken_for_ours(ledger: Ledger) -> None:
    words = "InvalidRequest: Subject is already taken down"
    ozone = ScriptedOzone([EmitResult(None, duplicate=True, note=words, by_others=True)])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=2, settled=1)
    [settled] = ledger.in_state(State.SUPPRESSED)
    assert (settled.reason, settled.ozone_event_id) == (words, None)
    assert ledger.claims([settled.claim], NOW - TTL).live == {settled.claim}


def test_a_refused_row_fails_with_ozones_words_and_the_others_go_on(ledger: Ledger) -> None:
    ozone = ScriptedOzone([OzoneRefusedError("InvalidRequest: Invalid label")])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=2, failed=1)
    [failed] = ledger.in_state(State.FAILED)
    assert failed.reason == "InvalidRequest: Invalid label"
    assert len(ozone.asked) == 3


def test_a_request_that_ozone_cannot_take_now_is_repeated(ledger: Ledger) -> None:
    ozone = ScriptedOzone([NOT_TAKEN, NOT_TAKEN])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=3)
    assert asked_cids(ozone) == ["bafyreia"] * 3 + ["bafyreib", "bafyreic"]


def test_a_row_without_an_answer_is_left_planned_and_the_others_go_on(ledger: Ledger) -> None:
    ozone = ScriptedOzone([NOT_TAKEN] * 3)
    summary = emit_actions(ledger, ozone, AT_ONCE)
    assert summary == EmitSummary(sent=2, left_planned=1)
    [left] = ledger.planned(10)
    assert (left.attempts, left.reason) == (1, "502 UpstreamFailure")


def test_the_next_run_sends_what_was_left(ledger: Ledger) -> None:
    emit_actions(ledger, ScriptedOzone([NOT_TAKEN] * 100), AT_ONCE)
    assert emit_actions(ledger, ScriptedOzone(), AT_ONCE) == EmitSummary(sent=3)


def test_a_row_that_may_have_arrived_stays_sending_until_it_is_settled(ledger: Ledger) -> None:
    ozone = ScriptedOzone([NO_ANSWER])
    summary = emit_actions(ledger, ozone, AT_ONCE)
    assert summary == EmitSummary(sent=2, left_planned=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib", "bafyreic"]
    [unclear] = ledger.in_state(State.SENDING)
    assert (unclear.attempts, unclear.reason) == (1, "no answer (ReadTimeout)")


def test_a_refused_login_loses_nothing(ledger: Ledger) -> None:
    ozone = ScriptedOzone([OzoneLoginRefusedError("the PDS refused the login")])
    with pytest.raises(OzoneLoginRefusedError):
        emit_actions(ledger, ozone, AT_ONCE)
    assert states(ledger) == [State.PLANNED] * 3
    assert len(ozone.asked) == 1


def test_an_interruption_leaves_the_row_for_the_next_run_to_settle(ledger: Ledger) -> None:
    def interrupt(_: Action) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emit_actions(ledger, ScriptedOzone(on_request=interrupt), AT_ONCE)
    assert states(ledger) == [State.SENDING, State.PLANNED, State.PLANNED]
    assert emit_actions(ledger, ScriptedOzone(), AT_ONCE).sent == 3


def test_progress_is_told_after_every_row(ledger: Ledger) -> None:
    told: list[int] = []
    emit_actions(
        ledger, ScriptedOzone(), AT_ONCE, on_progress=lambda summary: told.append(summary.sent)
    )
    assert told == [1, 2, 3]


def test_a_second_emitter_sends_nothing(ledger: Ledger) -> None:
    ozone = ScriptedOzone()
    with ledger.sending.term(RIVAL):
        summary = emit_actions(ledger, ozone, AT_ONCE)
    assert summary == EmitSummary(left_planned=3, stopped="another emitter is at work")
    assert ozone.asked == []


def test_a_row_that_is_changed_while_it_is_sent_is_an_error(ledger: Ledger) -> None:
    def interfere(action: Action) -> None:
        ledger.mark_failed(action.action_id, "another process")

    with pytest.raises(RuntimeError, match="another process changes the ledger"):
        emit_actions(ledger, ScriptedOzone(on_request=interfere), AT_ONCE)


def test_in_shadow_mode_planned_rows_wait(ledger: Ledger) -> None:
    settings = Settings(moderation_mode="shadow", _env_file=None)
    summary = emit_planned(ledger, settings)
    assert summary == EmitSummary(left_planned=3)
    assert states(ledger) == [State.PLANNED] * 3


def test_a_summary_names_its_figures_and_until_when_nothing_is_sent() -> None:
    figures = EmitSummary(sent=2).counts()
    assert (figures["sent"], figures["dead"]) == (2, 0)
    assert "stopped" not in figures
    stopped = EmitSummary(stopped="Ozone is not asked", not_before=NOW).counts()
    assert stopped["stopped"] == "Ozone is not asked"
    assert stopped["not_before"] == "2026-11-23T20:15:00+00:00"
