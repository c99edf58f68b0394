"""When the emitter sends, waits, looks again and ends."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emission import OUT_OF_TIME
from phash_dagster.moderation.emit import emit_actions, emit_planned
from phash_dagster.moderation.emit_options import EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.settings import settings_from
from tests.moderation.builders import NOW, TTL, action_on_post
from tests.moderation.fake_ozone import (
    ACCOUNT,
    EMIT,
    LABELS,
    LOGIN,
    PASSWORD,
    FakeOzone,
    served,
)
from tests.moderation.scripted_ozone import (
    AT_ONCE,
    FakeTime,
    ScriptedOzone,
    busy,
    states,
)


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    sqlite_ledger.record([action_on_post(rkey) for rkey in "abc"], claim_ttl=TTL)
    return sqlite_ledger


def test_a_run_ends_when_its_time_is_up_and_the_rest_stays_planned(ledger: Ledger) -> None:
    time = FakeTime()
    summary = emit_actions(
        ledger,
        ScriptedOzone(),
        replace(AT_ONCE, rate_limit_ms=5_000, max_seconds=5.0),
        pacing=time.pacing,
    )
    assert summary == EmitSummary(sent=1, left_planned=2, stopped=OUT_OF_TIME)
    assert states(ledger) == [State.SENT, State.PLANNED, State.PLANNED]


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
        pacing=time.pacing,
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
        pacing=time.pacing,
        look_again=look_again,
    )
    assert looks == [0.0, 12.0]


def test_a_server_that_asks_for_a_long_wait_is_left_alone_at_once(ledger: Ledger) -> None:
    ozone, time = ScriptedOzone([busy(seconds=120)]), FakeTime()
    summary = emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert len(ozone.asked) == 1
    assert (summary.left_planned, summary.not_before) == (3, NOW + timedelta(seconds=120))
    assert "RateLimitExceeded" in str(summary.stopped)


def test_a_server_that_asked_for_a_long_wait_is_not_asked_by_the_runs_meanwhile(
    ledger: Ledger,
) -> None:
    ozone, time = ScriptedOzone([busy(seconds=120)]), FakeTime()
    emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    for _ in range(11):
        time.now += 10
        emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert len(ozone.asked) == 1
    time.now += 10
    assert emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing).sent == 3


def test_a_server_that_asks_for_a_wait_again_and_again_is_left_alone_until_then(
    ledger: Ledger,
) -> None:
    ozone, time = ScriptedOzone([busy(seconds=2)] * 100), FakeTime()
    summary = emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert len(ozone.asked) == AT_ONCE.attempts
    assert (summary.left_planned, summary.not_before) == (3, NOW + timedelta(seconds=2 + 2 + 2))
    assert [row.failed_runs for row in ledger.planned(10)] == [0, 0, 0]


def test_a_wait_of_years_is_no_longer_than_an_hour(ledger: Ledger) -> None:
    ozone, time = ScriptedOzone([busy(seconds=1e9)]), FakeTime()
    summary = emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert summary.not_before == NOW + timedelta(hours=1)


def test_when_the_pds_takes_few_more_requests_they_are_spread_over_the_time_that_is_left(
    ledger: Ledger,
) -> None:
    ozone, time = ScriptedOzone(rate_limit=RateLimit(3000, 100, 250.0)), FakeTime()
    emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert time.slept == pytest.approx([2.5, 2.5, 2.5])  # one question and three events


def test_when_the_pds_takes_no_more_the_run_ends_until_it_does(ledger: Ledger) -> None:
    ozone, time = ScriptedOzone(), FakeTime()

    def take_the_last(_: Action) -> None:
        ozone.rate_limit = RateLimit(3000, 0, 250.0)

    ozone.on_request = take_the_last
    summary = emit_actions(ledger, ozone, AT_ONCE, pacing=time.pacing)
    assert (summary.sent, summary.left_planned) == (1, 2)
    assert summary.not_before == NOW + timedelta(seconds=250)
    assert states(ledger) == [State.SENT, State.PLANNED, State.PLANNED]
    assert [row.attempts for row in ledger.planned(10)] == [0, 0]


def test_a_server_that_asks_for_a_short_wait_gets_it(ledger: Ledger) -> None:
    ozone = ScriptedOzone([busy(seconds=0.01)])
    assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=3)


def test_requests_keep_their_distance_questions_too(ledger: Ledger) -> None:
    time = FakeTime()
    options = replace(AT_ONCE, rate_limit_ms=100)
    emit_actions(ledger, ScriptedOzone(), options, pacing=time.pacing)
    assert time.slept == pytest.approx([0.1, 0.1, 0.1])


def test_time_spent_waiting_for_an_answer_counts_towards_the_distance(ledger: Ledger) -> None:
    time = FakeTime()

    def answer_slowly(_: Action) -> None:
        time.now += 0.08

    emit_actions(
        ledger,
        ScriptedOzone(on_request=answer_slowly),
        replace(AT_ONCE, rate_limit_ms=100),
        pacing=time.pacing,
    )
    assert time.slept == pytest.approx([0.1, 0.02, 0.02])


def test_a_run_by_the_settings_logs_in_once_and_leaves_out_what_it_finds_unwanted(
    ledger: Ledger, tmp_path: Path
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
                "DATA_DIR": str(tmp_path),
            }
        )
        summary = emit_planned(
            ledger,
            settings,
            look_again=lambda: int(ledger.mark_suppressed(first.action_id, "post deleted")),
        )
    assert summary == EmitSummary(sent=2, suppressed=1)
    assert ozone.methods() == [LOGIN, LABELS, EMIT, EMIT]
