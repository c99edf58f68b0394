"""Whatever outages come and whichever rows Ozone breaks on, good rows arrive once and never die."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary
from phash_dagster.moderation.ledger import Ledger
from tests.moderation.builders import TTL, action_on_post
from tests.moderation.scripted_ozone import FakeTime
from tests.moderation.weather import Outage, StormyOzone

pytestmark = pytest.mark.timeout(300)
"""Hundreds of runs, each with dozens of transactions."""

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
OPTIONS = EmitOptions(rate_limit_ms=0, max_seconds=60.0)
BETWEEN_ATTEMPTS = 2.0
"""Longer than all attempts on one row take, where each fails at once."""
BETWEEN_HANGING_ATTEMPTS = 15.0
MOST_RUNS = 80


class Days:
    """Runs of the emitter, one after the other, with new rows between them."""

    def __init__(self, ledger: Ledger, time: FakeTime, ozone: StormyOzone) -> None:
        self.ledger, self.time, self.ozone = ledger, time, ozone
        self.good: list[Action] = []
        self.bad: list[Action] = []

    def arrive(self, good: int = 0, bad: int = 0, **of_bad: str) -> None:
        """Let rows come, each on a post of another account; `of_bad` is what the bad ones share."""

        def named(kind: str, number: int, **shared: Any) -> Action:
            name = f"{kind}{number:04}"
            return action_on_post(name, **{"did": f"did:plc:{name}", **shared})

        new_good = [named("g", len(self.good) + n) for n in range(good)]
        new_bad = [named("b", len(self.bad) + n, **of_bad) for n in range(bad)]
        # Bad ones first: they are older, and so it would be their turn.
        self.ledger.record([*new_bad, *new_good], claim_ttl=TTL)
        self.good += new_good
        self.bad += new_bad
        self.ozone.broken |= {str(row.subject_cid) for row in new_bad}

    def run(self) -> EmitSummary:
        return emit_actions(self.ledger, self.ozone, OPTIONS, pacing=self.time.pacing)

    def rows(self, of: list[Action]) -> list[Action]:
        wanted = {row.external_id for row in of}
        return [row for row in self.ledger.changed_since(OLD) if row.external_id in wanted]

    def go_on_until_settled(self) -> None:
        """Runs a minute apart, each with a new row, as on any ordinary day."""
        for _ in range(MOST_RUNS):
            self.time.now += 61
            self.arrive(good=1)
            self.run()
            waiting = self.ledger.counts().keys() & {State.PLANNED, State.SENDING}
            if not waiting and self.time.now > max((o.end for o in self.ozone.outages), default=0):
                return


OLD = action_on_post().planned_at - TTL


@contextmanager
def some_days() -> Iterator[Days]:
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    time = FakeTime()
    try:
        with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", time.clock) as ledger:
            yield Days(ledger, time, StormyOzone(time))
    finally:
        shutil.rmtree(folder)


def outages(kind: str, shortest: float, most: int) -> st.SearchStrategy[list[Outage]]:
    one = st.builds(
        Outage,
        start=st.floats(0, 400),
        seconds=st.floats(shortest, 200),
        kind=st.just(kind),
    )
    return st.lists(one, max_size=most)


steps = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.floats(0, 40)), min_size=1, max_size=8
)
"""For each run: good rows and bad rows that arrive before it, seconds after the last run."""

settled = settings(
    max_examples=20,
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)


def _live_through(days: Days, planned: list[tuple[int, int, float]]) -> None:
    for good, bad, pause in planned:
        days.time.now += pause
        days.arrive(good, bad)
        days.run()
    days.go_on_until_settled()


def _assert_good_rows_arrived_once_and_bad_ones_ended(days: Days) -> None:
    assert {row.state for row in days.rows(days.good)} == {State.SENT}
    assert {row.state for row in days.rows(days.bad)} <= {State.DEAD}
    assert set(days.ozone.applied) == {row.external_id for row in days.good}
    assert set(days.ozone.applied.values()) == {1}


@pytest.mark.slow
@given(outages("down", BETWEEN_ATTEMPTS, 4), steps)
@settled
def test_an_ozone_that_is_down_counts_against_no_good_row(
    weather: list[Outage], planned: list[tuple[int, int, float]]
) -> None:
    with some_days() as days:
        days.ozone.outages = weather
        _live_through(days, planned)
        _assert_good_rows_arrived_once_and_bad_ones_ended(days)
        assert {row.failed_runs for row in days.rows(days.good)} == {0}


@pytest.mark.slow
@given(outages("hanging", BETWEEN_HANGING_ATTEMPTS, 3), steps)
@settled
def test_an_ozone_that_hangs_counts_against_no_good_row_and_gets_none_twice(
    weather: list[Outage], planned: list[tuple[int, int, float]]
) -> None:
    with some_days() as days:
        days.ozone.outages = weather
        _live_through(days, planned)
        _assert_good_rows_arrived_once_and_bad_ones_ended(days)
        assert {row.failed_runs for row in days.rows(days.good)} == {0}


@pytest.mark.slow
@given(outages("read-only", 0.0, OPTIONS.runs - 1), steps)
@settled
def test_an_ozone_that_cannot_write_kills_no_good_row(
    weather: list[Outage], planned: list[tuple[int, int, float]]
) -> None:
    with some_days() as days:
        days.ozone.outages = weather
        _live_through(days, planned)
        _assert_good_rows_arrived_once_and_bad_ones_ended(days)


@pytest.mark.slow
@given(steps)
@settled
def test_rows_that_ozone_hangs_on_end_dead_and_the_others_arrive(
    planned: list[tuple[int, int, float]],
) -> None:
    with some_days() as days:
        days.ozone.broken_hangs = True
        _live_through(days, planned)
        _assert_good_rows_arrived_once_and_bad_ones_ended(days)


def test_an_hour_without_ozone_costs_one_request_a_minute_and_no_row() -> None:
    with some_days() as days:
        days.ozone.outages = [Outage(0.0, 3600.0)]
        days.arrive(good=20)
        while days.time.now < 3600:
            days.run()
            days.time.now += 5
        # Five rows by three attempts and a question, then a probe in each of 59 minutes.
        assert len(days.ozone.requests) <= 5 * 3 + 1 + 60
        assert days.ozone.applied == {}
        days.time.now += 60
        assert days.run().sent == 20
        assert {row.failed_runs for row in days.rows(days.good)} == {0}


@pytest.mark.parametrize(
    "cause",
    [{"rule_id": "broken"}, {"did": "did:plc:broken"}],
    ids=["of one rule", "on one account"],
)
def test_hundreds_of_rows_that_ozone_breaks_on_for_one_cause_hold_up_nobody(
    cause: dict[str, str],
) -> None:
    with some_days() as days:
        days.arrive(good=10, bad=300, **cause)
        days.run()
        assert len(days.ozone.applied) == 10


def test_rows_that_ozone_breaks_on_for_no_cause_hold_up_the_others_for_minutes() -> None:
    with some_days() as days:
        days.arrive(good=10, bad=20)
        while len(days.ozone.applied) < 10:
            days.run()
            days.time.now += 5
        assert days.time.now < 20 * 60


def test_a_row_that_ozone_breaks_on_is_dead_after_as_many_runs_as_allowed() -> None:
    with some_days() as days:
        days.arrive(good=1)
        days.run()
        days.arrive(bad=1)
        for _ in range(OPTIONS.runs + 1):  # in the first it came first, and nobody knew better
            days.arrive(good=1)
            days.run()
            days.time.now += 61
        [dead] = days.rows(days.bad)
        assert (dead.state, dead.failed_runs) == (State.DEAD, OPTIONS.runs)
        assert dead.reason == "502 InternalServerError"


def test_a_row_that_is_alone_is_tried_once_a_minute_and_does_not_die() -> None:
    with some_days() as days:
        days.arrive(bad=1)
        while days.time.now < 3600:
            days.run()
            days.time.now += 5
        [alone] = days.rows(days.bad)
        assert (alone.state, alone.failed_runs) == (State.PLANNED, 0)
        assert 55 <= alone.attempts <= 70


def test_a_clock_that_is_set_back_ends_a_pause_instead_of_making_it_longer() -> None:
    with some_days() as days:
        days.ozone.outages = [Outage(0.0, 10.0)]
        days.arrive(good=6)
        assert days.run().not_before is not None
        days.time.now += 11
        days.time.set_forward = -TTL
        assert days.run().sent == 6
