from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.circuit import CLOSED, BreakerPolicy, Circuit
from phash_dagster.images.breaker import CircuitBreakers, CircuitOpenError, Host
from tests.images.hosts import NOW

PAUSE = timedelta(seconds=300)
POLICY = BreakerPolicy(failures=3, open_for=PAUSE)
PDS = Host("pds.example", trusted=False, policy=POLICY)
OTHER = Host("other.example", trusted=False, policy=POLICY)


class Times:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Bench:
    """Breakers and their clock."""

    def __init__(self, circuits: dict[str, Circuit] | None = None) -> None:
        self.times = Times()
        self.breakers = CircuitBreakers(self.times, circuits or {})

    def fail(self, times: int, host: Host = PDS) -> None:
        for _ in range(times):
            self.breakers.admit(host)
            self.breakers.failed(host)

    def refused(self, host: Host = PDS) -> bool:
        try:
            self.breakers.admit(host)
        except CircuitOpenError:
            return True
        return False


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_host_is_asked_until_it_failed_three_times_in_a_row(bench: Bench) -> None:
    bench.fail(2)
    assert not bench.refused()
    bench.breakers.failed(PDS)
    assert bench.refused()


def test_a_success_between_failures_starts_the_count_anew(bench: Bench) -> None:
    bench.fail(2)
    bench.breakers.succeeded(PDS)
    bench.fail(2)
    assert not bench.refused()


def test_one_host_does_not_close_another(bench: Bench) -> None:
    bench.fail(3)
    assert not bench.refused(OTHER)


def test_a_refusal_names_the_host_and_until_when(bench: Bench) -> None:
    bench.fail(3)
    with pytest.raises(CircuitOpenError) as caught:
        bench.breakers.admit(PDS)
    assert caught.value.until == NOW + PAUSE
    assert str(caught.value) == (
        "pds.example is not asked before 2026-11-23 12:05:00 UTC, after 3 failures in a row"
    )


def test_after_the_pause_exactly_one_probe_is_let_through(bench: Bench) -> None:
    bench.fail(3)
    bench.times.now += PAUSE
    assert bench.breakers.admit(PDS) is True
    assert [bench.refused() for _ in range(3)] == [True, True, True]


def test_a_probe_that_succeeds_lets_all_through(bench: Bench) -> None:
    bench.fail(3)
    bench.times.now += PAUSE
    bench.breakers.admit(PDS)
    bench.breakers.succeeded(PDS)
    assert [bench.breakers.admit(PDS) for _ in range(3)] == [False, False, False]


def test_a_probe_that_fails_begins_another_pause(bench: Bench) -> None:
    bench.fail(3)
    bench.times.now += PAUSE
    bench.breakers.admit(PDS)
    assert bench.breakers.failed(PDS) == NOW + 2 * PAUSE
    bench.times.now += PAUSE - timedelta(seconds=1)
    assert bench.refused()
    bench.times.now += timedelta(seconds=1)
    assert bench.breakers.admit(PDS) is True


def test_a_probe_that_tells_nothing_leaves_its_place_to_another(bench: Bench) -> None:
    bench.fail(3)
    bench.times.now += PAUSE
    bench.breakers.admit(PDS)
    bench.breakers.abandoned(PDS)
    assert bench.breakers.admit(PDS) is True


def test_failures_of_requests_from_before_do_not_lengthen_the_pause(bench: Bench) -> None:
    bench.fail(3)
    bench.times.now += timedelta(seconds=10)
    assert bench.breakers.failed(PDS) == NOW + PAUSE


def test_what_changed_is_taken_once(bench: Bench) -> None:
    bench.fail(1)
    bench.fail(3, OTHER)
    assert bench.breakers.take_changes() == {
        "pds.example": Circuit(1),
        "other.example": Circuit(3, NOW + PAUSE),
    }
    assert bench.breakers.take_changes() == {}
    bench.breakers.succeeded(OTHER)
    assert bench.breakers.take_changes() == {"other.example": CLOSED}


def test_a_host_that_always_answers_changes_nothing(bench: Bench) -> None:
    bench.breakers.admit(PDS)
    bench.breakers.succeeded(PDS)
    assert bench.breakers.take_changes() == {}


def test_the_state_goes_on_where_it_was_left() -> None:
    first = Bench()
    first.fail(2)
    second = Bench(first.breakers.take_changes())
    second.fail(1)
    third = Bench(second.breakers.take_changes())
    assert third.refused()
    third.times.now += PAUSE
    assert third.breakers.admit(PDS) is True


@given(
    st.lists(st.tuples(st.sampled_from(["ask", "succeed", "fail", "abandon"]), st.integers(0, 400)))
)
def test_a_host_that_pauses_gets_no_more_than_one_request_whatever_happens(
    steps: list[tuple[str, int]],
) -> None:
    bench = Bench()
    under_way: list[bool] = []
    for step, seconds in steps:
        bench.times.now += timedelta(seconds=seconds)
        if step == "ask":
            with suppress(CircuitOpenError):
                under_way.append(bench.breakers.admit(PDS))
        elif under_way:
            probe = under_way.pop()
            if step == "succeed":
                bench.breakers.succeeded(PDS)
                under_way = [False for _ in under_way]
            elif step == "fail":
                bench.breakers.failed(PDS)
            elif probe:
                bench.breakers.abandoned(PDS)
        assert sum(under_way) <= 1
