"""When the emitter sends, waits, looks again and ends."""

from dataclasses import replace

import pytest

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit import OUT_OF_TIME, emit_actions, emit_planned
from phash_dagster.moderation.emit_options import EmitSummary, Pacing
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import settings_from
from tests.moderation.builders import TTL, ManualClock, action_on_post
from tests.moderation.fake_ozone import ACCOUNT, EMIT, LOGIN, PASSWORD, FakeOzone, served
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    NO_ANSWER,
    FakeTime,
    ScriptedOzone,
    asked_cids,
    busy,
    states,
)


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    sqlite_ledger.record([action_on_post(rkey) for rkey in "abc"], claim_ttl=TTL)
    return sqlite_ledger


def test_a_request_that_ozone_may_still_be_applying_is_not_repeated_in_the_same_run(
    ledger: Ledger,
) -> None:
    ozone = ScriptedOzone([NO_ANSWER])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=2, left_planned=1)
    assert asked_cids(ozone) == ["bafyreia", "bafyreib", "bafyreic"]


def test_the_next_run_gives_ozone_time_to_apply_what_it_may_have(
    ledger: Ledger, clock: ManualClock
) -> None:
    emit_actions(ledger, ScriptedOzone([NO_ANSWER]), replace(AT_ONCE, attempts=1, give_up_after=1))
    clock.advance(seconds=1.5)
    time = FakeTime()
    pacing = Pacing(clock=clock, sleep=time.sleep, monotonic=time.monotonic)
    ozone = ScriptedOzone()
    emit_actions(ledger, ozone, replace(AT_ONCE, settle_seconds=5.0), pacing=pacing)
    assert asked_cids(ozone) == ["bafyreib", "bafyreic", "bafyreia"]
    assert time.slept == [3.5]


def test_what_a_killed_emitter_left_a_moment_ago_gets_time_to_settle(
    ledger: Ledger, clock: ManualClock
) -> None:
    [first, *_] = ledger.planned(10)
    ledger.mark_sending(first.action_id)
    time = FakeTime()
    pacing = Pacing(clock=clock, sleep=time.sleep, monotonic=time.monotonic)
    emit_actions(ledger, ScriptedOzone(), replace(AT_ONCE, settle_seconds=5.0), pacing=pacing)
    assert time.slept == [5.0]
    assert states(ledger) == [State.SENT] * 3


def test_what_was_tried_long_ago_is_sent_without_waiting(
    ledger: Ledger, clock: ManualClock
) -> None:
    emit_actions(ledger, ScriptedOzone([NO_ANSWER] * 3), replace(AT_ONCE, attempts=1))
    clock.advance(seconds=5)
    time = FakeTime()
    pacing = Pacing(clock=clock, sleep=time.sleep, monotonic=time.monotonic)
    emit_actions(ledger, ScriptedOzone(), replace(AT_ONCE, settle_seconds=5.0), pacing=pacing)
    assert time.slept == []


def test_a_run_ends_when_its_time_is_up_and_the_rest_stays_planned(ledger: Ledger) -> None:
    time = FakeTime()
    summary = emit_actions(
        ledger,
        ScriptedOzone(),
        replace(AT_ONCE, rate_limit_ms=5_000, max_seconds=5.0),
        pacing=Pacing(sleep=time.sleep, monotonic=time.monotonic),
    )
    assert summary == EmitSummary(sent=2, left_planned=1, stopped=OUT_OF_TIME)
    assert states(ledger) == [State.SENT, State.SENT, State.PLANNED]


def test_between_rows_the_emitter_looks_again_what_is_still_wanted(ledger: Ledger) -> None:
    time = FakeTime()
    looks: list[float] = []
    [*_, last] = ledger.planned(10)

    def look_again() -> int:
        looks.append(time.now)
        return int(len(looks) == 2 and ledger.mark_suppressed(last.action_id, "post deleted"))

    summary = emit_actions(
        ledger,
        ScriptedOzone(on_request=lambda _: time.sleep(10.0)),
        AT_ONCE,
        pacing=Pacing(sleep=time.sleep, monotonic=time.monotonic),
        look_again=look_again,
    )
    assert looks[:2] == [0.0, 10.0]
    assert summary == EmitSummary(sent=2, suppressed=1)
    assert states(ledger) == [State.SENT, State.SENT, State.SUPPRESSED]


def test_the_emitter_looks_again_no_more_often_than_asked_to(ledger: Ledger) -> None:
    time = FakeTime()
    looks: list[float] = []

    def look_again() -> int:
        looks.append(time.now)
        return 0

    emit_actions(
        ledger,
        ScriptedOzone(on_request=lambda _: time.sleep(6.0)),
        AT_ONCE,
        pacing=Pacing(sleep=time.sleep, monotonic=time.monotonic),
        look_again=look_again,
    )
    assert looks == [0.0, 12.0]


def test_a_server_that_asks_for_a_long_wait_is_left_alone_at_once(ledger: Ledger) -> None:
    ozone = ScriptedOzone([busy(seconds=120)])
    summary = emit_actions(ledger, ozone, AT_ONCE)
    assert len(ozone.asked) == 1
    assert summary.left_planned == 3
    assert "RateLimitExceeded" in str(summary.stopped)


def test_a_server_that_asks_for_a_short_wait_gets_it(ledger: Ledger) -> None:
    ozone = ScriptedOzone([busy(seconds=0.01)])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=3)


def test_requests_keep_their_distance(ledger: Ledger) -> None:
    time = FakeTime()
    pacing = Pacing(sleep=time.sleep, monotonic=time.monotonic)
    emit_actions(ledger, ScriptedOzone(), replace(AT_ONCE, rate_limit_ms=100), pacing=pacing)
    assert time.slept == pytest.approx([0.1, 0.1])


def test_time_spent_waiting_for_an_answer_counts_towards_the_distance(ledger: Ledger) -> None:
    time = FakeTime()

    def answer_slowly(_: Action) -> None:
        time.now += 0.08

    emit_actions(
        ledger,
        ScriptedOzone(on_request=answer_slowly),
        replace(AT_ONCE, rate_limit_ms=100),
        pacing=Pacing(sleep=time.sleep, monotonic=time.monotonic),
    )
    assert time.slept == pytest.approx([0.02, 0.02])


def test_a_run_by_the_settings_logs_in_once_and_leaves_out_what_it_finds_unwanted(
    ledger: Ledger,
) -> None:
    ozone = FakeOzone()
    [first, *_] = ledger.planned(10)
    with served(ozone, lambda *_: None) as pds:
        settings = settings_from(
            {
                "MODERATION_MODE": "live",
                "AUTOMOD_HANDLE": ACCOUNT.handle,
                "AUTOMOD_PASSWORD": PASSWORD,
                "LABELER_DID": ACCOUNT.labeler_did,
                "OZONE_PDS": pds,
                "RATE_LIMIT_MS": "0",
            }
        )
        summary = emit_planned(
            ledger,
            settings,
            look_again=lambda: int(ledger.mark_suppressed(first.action_id, "post deleted")),
        )
    assert summary == EmitSummary(sent=2, suppressed=1)
    assert ozone.methods() == [LOGIN, EMIT, EMIT]
