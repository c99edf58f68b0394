"""Is ingestion well?"""

from datetime import timedelta

import pytest

from phash_dagster.ingest.verdicts import (
    AnomalyType,
    FailedTick,
    FailingHost,
    LatestBatch,
    StreamGap,
    judge_anomalies,
    judge_gaps,
    judge_lag,
    judge_ticks,
)
from tests.ingest.records import NOW, microseconds


def lag_verdict(seconds: float, latest: LatestBatch | None = None) -> tuple[bool, str]:
    position = microseconds(NOW - timedelta(seconds=seconds))
    verdict = judge_lag(position, latest, now=NOW, max_lag_seconds=300)
    assert verdict is not None
    assert verdict.numbers["lag_seconds"] == max(seconds, 0)
    return verdict.passed, verdict.description


def batch(*, seconds_ago: float = 5, caught_up: bool = False) -> LatestBatch:
    ended = NOW - timedelta(seconds=seconds_ago)
    return LatestBatch(ended, "h.test", 400.0, 1000, caught_up, 5000.0)


def test_a_recent_event_passes() -> None:
    assert lag_verdict(12) == (True, "The newest event is 12 s old.")
    assert lag_verdict(300)[0]


def test_a_host_whose_clock_is_ahead_is_no_lag() -> None:
    assert lag_verdict(-5) == (True, "The newest event is 0 s old.")


@pytest.mark.parametrize(
    ("latest", "says"),
    [
        (None, "Nothing arrives"),
        (batch(seconds_ago=600), "Nothing arrives"),
        (batch(caught_up=True), "h.test has nothing newer"),
        (batch(), "read from h.test at 5000 events per second"),
    ],
)
def test_an_old_event_fails_and_says_what_the_reason_may_be(
    latest: LatestBatch | None, says: str
) -> None:
    passed, description = lag_verdict(3600 * 3, latest)
    assert not passed
    assert "3.0 h old" in description
    assert says in description


def test_before_the_first_tick_nothing_is_known() -> None:
    assert judge_lag(None, None, now=NOW, max_lag_seconds=1) is None


def host(name: str, failures: int) -> FailingHost:
    return FailingHost(name, "refused", failures, NOW)


TICK = FailedTick(NOW, "disk full")


@pytest.mark.parametrize(
    ("ticks", "hosts", "passed"),
    [
        ([], [], True),
        ([TICK] * 2, [], True),
        ([TICK] * 3, [], False),
        ([], [host("a", 99)], True),
        ([], [host("a", 99), host("b", 2)], True),
        ([], [host("a", 99), host("b", 3)], False),
        ([TICK], [host("a", 2), host("b", 2)], False),
    ],
    ids=[
        "nothing failed",
        "a few ticks",
        "many ticks",
        "one host of two",
        "both hosts, one twice",
        "both hosts, often",
        "ticks and both hosts",
    ],
)
def test_failures_count_when_ticks_fail_or_every_host_does(
    ticks: list[FailedTick], hosts: list[FailingHost], *, passed: bool
) -> None:
    verdict = judge_ticks(ticks, hosts, configured=2, max_failures=3)
    assert verdict.passed is passed
    assert len(verdict.rows) == len(ticks) + len(hosts)


def test_errors_and_reasons_stand_in_the_details() -> None:
    verdict = judge_ticks([TICK], [host("a", 1)], configured=1, max_failures=3)
    assert [row[-1] for row in verdict.rows] == ["disk full", "1 in a row: refused"]


def test_each_gap_is_named() -> None:
    gap = StreamGap(NOW - timedelta(hours=2), NOW - timedelta(hours=1), "h", "clamped", NOW)
    verdict = judge_gaps([gap])
    assert not verdict.passed
    assert verdict.numbers == {"gaps": 1, "seconds": 3600.0}
    assert verdict.rows == [(gap.from_time, gap.to_time, "h", "clamped", NOW)]
    other = judge_gaps([gap, StreamGap(NOW, NOW, "h", "clamped", NOW)])
    assert other.state != verdict.state


def test_of_many_gaps_the_latest_are_named_and_all_are_counted() -> None:
    gaps = [StreamGap(NOW, NOW + timedelta(seconds=1), f"h{n}", "clamped", NOW) for n in range(500)]
    verdict = judge_gaps(gaps)
    assert verdict.numbers == {"gaps": 500, "seconds": 500.0}
    assert [row[2] for row in verdict.rows] == [f"h{n}" for n in range(100)]
    assert len(verdict.state) < 5000


def test_without_gaps_the_check_passes() -> None:
    assert judge_gaps([]).passed


def test_a_new_type_of_anomaly_is_a_new_verdict_and_a_higher_count_is_not() -> None:
    odd = AnomalyType("odd", 3, NOW, NOW, "at://x")
    more = AnomalyType("odd", 5, NOW, NOW, "at://x")
    new = AnomalyType("new", 1, NOW, NOW, "at://y")
    assert judge_anomalies([]).passed
    assert not judge_anomalies([odd]).passed
    assert judge_anomalies([odd]).state == judge_anomalies([more]).state
    assert judge_anomalies([odd, new]).state != judge_anomalies([odd]).state
