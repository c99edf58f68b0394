"""Positions that mean something else than they did: on hosts in memory."""

import pytest

from phash_dagster.jetstream.batch import BatchLimits
from phash_dagster.jetstream.cursor import Cursor
from tests.jetstream.fakes import (
    HOUR,
    SECOND,
    FakeClock,
    FakeHost,
    Happening,
    every,
    names,
    network,
    numbered,
)
from tests.jetstream.frames import TIME_US


@pytest.mark.parametrize("ahead", [5 * 60, -20])
def test_a_host_left_an_hour_behind_whose_clock_was_wrong_loses_nothing(ahead: int) -> None:
    events = every(1, 600)
    clock = FakeClock(TIME_US + HOUR)
    net = network(
        clock,
        a=FakeHost(events, ahead_us=ahead * SECOND, first_seq=1),
        b=FakeHost(events, first_seq=9000),
    )
    first = net.read(Cursor(TIME_US - 60 * SECOND), BatchLimits(9, 300))
    net.hosts["a"].down = True
    second = net.read(first.cursor)
    assert second.host == "b"
    assert {*names(first), *names(second)} == set(numbered(600))


def test_a_host_left_that_was_itself_an_hour_behind_loses_nothing() -> None:
    events = every(1, 600)
    clock = FakeClock(TIME_US + HOUR + 300 * SECOND)
    net = network(clock, a=FakeHost(events, late_us=HOUR), b=FakeHost(events))
    first = net.read(Cursor(TIME_US - 60 * SECOND))
    assert 0 < len(first.rows) < 400
    net.hosts["a"].down = True
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} == set(numbered(600))


def test_revisions_from_the_past_do_not_draw_the_position_back_for_ever() -> None:
    cursor = Cursor(TIME_US, "a", taken_us=TIME_US, lag_us=10**15)
    clock = FakeClock(TIME_US)
    net = network(clock, b=FakeHost([]))
    net.read(cursor)
    [start] = net.hosts["b"].asked
    assert start is not None
    assert start >= TIME_US - 7 * HOUR


@pytest.mark.parametrize("v2", [False, True])
def test_a_host_that_counts_anew_is_asked_again_by_time(v2: bool) -> None:
    events = every(1, 120)
    clock = FakeClock(TIME_US + 50 * SECOND)
    net = network(clock, a=FakeHost(events, first_seq=9_000_000, v2=v2))
    first = net.read(Cursor(TIME_US - SECOND))
    clock.true_us += 20 * SECOND
    net.hosts["a"] = FakeHost(events, first_seq=5, v2=v2)
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} >= set(numbered(75))
    assert second.gaps == []


def test_a_host_that_counts_anew_beyond_the_position_is_asked_again_by_time() -> None:
    events = every(1, 120)
    clock = FakeClock(TIME_US + 30 * SECOND)
    net = network(clock, a=FakeHost(events, first_seq=1))
    first = net.read(Cursor(TIME_US - SECOND))
    clock.true_us += 60 * SECOND
    # What was at the cursor's number is long before it now.
    net.hosts["a"] = FakeHost(every(1, 30, TIME_US - 30 * SECOND) + events, first_seq=1)
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} >= set(numbered(95))


def test_a_position_in_the_future_of_a_clock_that_was_set_right_loses_nothing() -> None:
    events = every(1, 120)
    clock = FakeClock(TIME_US + 30 * SECOND)
    net = network(clock, a=FakeHost(events, ahead_us=50 * SECOND))
    first = net.read(Cursor(TIME_US - SECOND))
    net.hosts["a"].ahead_us = 0
    clock.true_us += 20 * SECOND
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} >= set(numbered(65))
    third = net.read(second.cursor)
    assert len(third.rows) <= 12


def test_a_position_noted_while_our_clock_was_wrong_loses_nothing() -> None:
    events = every(1, 120)
    clock = FakeClock(TIME_US + 30 * SECOND)
    net = network(clock, a=FakeHost(events))
    clock.wrong_by_us = HOUR
    first = net.read(Cursor(TIME_US - SECOND))
    clock.wrong_by_us = 0
    clock.true_us += 20 * SECOND
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} >= set(numbered(65))
    assert second.gaps == []


def test_a_first_start_noted_by_a_clock_ahead_starts_now() -> None:
    clock = FakeClock(TIME_US + 30 * SECOND)
    net = network(clock, a=FakeHost(every(1, 120)))
    batch = net.read(Cursor(TIME_US + HOUR))
    assert names(batch)[0] == "r30"
    assert net.hosts["a"].asked == [TIME_US + 30 * SECOND]


@pytest.mark.parametrize("seq", [None, 77])
def test_a_fail_over_to_a_host_whose_clock_is_far_behind_loses_nothing(seq: int | None) -> None:
    events = every(1, 120)
    clock = FakeClock(TIME_US + 30 * SECOND)
    net = network(
        clock, a=FakeHost(events), b=FakeHost(events, ahead_us=-600 * SECOND, first_seq=seq)
    )
    first = net.read(Cursor(TIME_US - SECOND))
    net.hosts["a"].down = True
    clock.true_us += 20 * SECOND
    second = net.read(first.cursor)
    assert {*names(first), *names(second)} >= set(numbered(65))


def test_an_event_from_the_far_future_does_not_move_a_position_by_time() -> None:
    clock = FakeClock(TIME_US)
    net = network(clock, a=FakeHost([Happening("r0", TIME_US)], ahead_us=600 * SECOND))
    batch = net.read(Cursor(TIME_US - SECOND))
    assert names(batch) == ["r0"]
    assert batch.cursor.time_us == TIME_US - SECOND
    assert batch.newest_us is None


def test_a_host_whose_clock_is_far_ahead_does_not_hold_the_position() -> None:
    clock = FakeClock(TIME_US)
    net = network(clock, a=FakeHost(every(1, 400), ahead_us=120 * SECOND))
    cursor, counts, taken = Cursor(TIME_US - SECOND), [], set()
    for _ in range(40):
        batch = net.read(cursor)
        counts.append(len(batch.rows))
        taken.update(names(batch))
        cursor = batch.cursor
    assert taken == set(numbered(361))
    # At most the last events, too few to go by, are not behind it yet.
    assert TIME_US + (360 - 31 + 120) * SECOND < cursor.time_us <= TIME_US + (360 + 120) * SECOND
    assert max(counts) <= 120 + 60 + 20, "read again from ever further back"


def test_a_position_in_our_future_is_not_asked_for() -> None:
    clock = FakeClock(TIME_US)
    net = network(clock, a=FakeHost([]))
    net.read(Cursor(TIME_US + HOUR, "a", taken_us=TIME_US))
    [start] = net.hosts["a"].asked
    assert start is not None
    assert start < TIME_US
