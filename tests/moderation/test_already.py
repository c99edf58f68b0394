"""Ozone is asked before it is sent something, and what it has is not sent."""

from dataclasses import replace
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitSummary
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_errors import OzoneMisconfiguredError, OzoneRefusedError
from tests.moderation.builders import NOW, TTL, action_on_post, post_uri
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    NO_ANSWER,
    NOT_TAKEN,
    FakeTime,
    ScriptedOzone,
    asked_cids,
    busy,
    states,
)


def label(rkey: str, value: str = "troll", **fields: Any) -> Label:
    values: dict[str, Any] = {"cid": f"bafyrei{rkey}", "negated": False, "expires_at": None}
    return Label(subject=post_uri(rkey), value=value, **(values | fields))


def record(ledger: Ledger, *rows: Action) -> None:
    ledger.record(rows, claim_ttl=TTL)


def test_what_is_labelled_already_is_not_sent_and_not_planned_anew(
    sqlite_ledger: Ledger,
) -> None:
    record(sqlite_ledger, *(action_on_post(rkey) for rkey in "abc"))
    ozone = ScriptedOzone(labels=[label("b")])
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary(sent=2, settled=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreic"]
    [settled] = sqlite_ledger.in_state(State.SUPPRESSED)
    assert (settled.reason, settled.attempts) == ("already labelled troll", 0)
    assert sqlite_ledger.record([action_on_post("b")], claim_ttl=TTL) == 0


def test_one_question_is_asked_for_many_rows(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, *(action_on_post(str(number)) for number in range(120)))
    ozone = ScriptedOzone()
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE).sent == 120
    assert ozone.questions == ["labels of 50", "labels of 50", "labels of 20"]


def test_reports_and_comments_are_sent_without_a_question(sqlite_ledger: Ledger) -> None:
    events = [Event.REPORT, Event.COMMENT]
    record(sqlite_ledger, *(action_on_post(event=event) for event in events))
    ozone = ScriptedOzone(labels=[label("3kpost")])
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary(sent=2)
    assert ozone.questions == []


def test_a_row_that_was_tried_is_left_to_its_external_id(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, action_on_post())
    emit_actions(sqlite_ledger, ScriptedOzone([NOT_TAKEN] * 3), AT_ONCE)
    ozone = ScriptedOzone(labels=[label("3kpost")])
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE).sent == 1
    assert ozone.questions == []


@pytest.mark.parametrize("event", [Event.NEGATE_LABEL, Event.REVERSE_TAKEDOWN])
def test_what_is_undone_already_is_not_undone_again(sqlite_ledger: Ledger, event: Event) -> None:
    value, shown = ("troll", "troll") if event is Event.NEGATE_LABEL else ("", "!takedown")
    record(sqlite_ledger, *(action_on_post(rkey, event=event, value=value) for rkey in "ab"))
    ozone = ScriptedOzone(labels=[label("a", shown), label("b", shown, negated=True)])
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary(sent=1, settled=1)
    assert asked_cids(ozone) == ["bafyreia"]


@pytest.mark.parametrize(
    "reply", [NO_ANSWER, NOT_TAKEN, busy(seconds=1), OzoneRefusedError("no such method")]
)
def test_without_an_answer_the_rows_are_sent_all_the_same(
    sqlite_ledger: Ledger, reply: Any
) -> None:
    record(sqlite_ledger, *(action_on_post(rkey) for rkey in "ab"))
    ozone = ScriptedOzone(labels=[label("a")], question_replies=[reply])
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary(sent=2, unasked=2)


def test_a_question_that_is_refused_is_not_asked_again_in_the_run(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, *(action_on_post(str(number)) for number in range(120)))
    ozone = ScriptedOzone(question_replies=[OzoneRefusedError("no such method")] * 9)
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE) == EmitSummary(sent=120, unasked=120)
    assert len(ozone.questions) == 1


def test_questions_without_an_answer_do_not_count_as_failures(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, *(action_on_post(str(number)) for number in range(400)))
    ozone = ScriptedOzone(question_replies=[NOT_TAKEN] * 99)
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE).sent == 400


def test_settings_with_which_nothing_can_be_asked_are_an_error_for_a_minute(
    sqlite_ledger: Ledger,
) -> None:
    record(sqlite_ledger, action_on_post())
    ozone, time = ScriptedOzone(question_replies=[OzoneMisconfiguredError("no PDS")]), FakeTime()
    for _ in range(3):
        with pytest.raises(OzoneMisconfiguredError, match="no PDS"):
            emit_actions(sqlite_ledger, ozone, AT_ONCE, pacing=time.pacing)
        time.now += 15
    assert len(ozone.questions) == 1
    assert states(sqlite_ledger) == [State.PLANNED]
    time.now += 15
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE, pacing=time.pacing).sent == 1


def test_a_probe_is_sent_without_a_question(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, *(action_on_post(str(number)) for number in range(6)))
    ozone, time = ScriptedOzone([NOT_TAKEN] * 5), FakeTime()
    once = replace(AT_ONCE, attempts=1)
    emit_actions(sqlite_ledger, ozone, once, pacing=time.pacing)
    ozone.questions.clear()
    time.now += 60
    order: list[int] = []
    ozone.on_request = lambda _: order.append(len(ozone.questions))
    assert emit_actions(sqlite_ledger, ozone, once, pacing=time.pacing).sent == 6
    assert order[0] == 0


def test_the_time_of_a_label_is_that_of_the_pipelines_clock(sqlite_ledger: Ledger) -> None:
    record(sqlite_ledger, action_on_post())
    ozone, time = ScriptedOzone(labels=[label("3kpost", expires_at=NOW)]), FakeTime()
    assert emit_actions(sqlite_ledger, ozone, AT_ONCE, pacing=time.pacing).sent == 1
