"""What a batch tells about how it was read: on hosts in memory."""

from dataclasses import replace

from phash_dagster.jetstream.batch import BatchLimits
from phash_dagster.jetstream.cursor import Cursor
from tests.jetstream.fakes import (
    SECOND,
    FakeClock,
    FakeHost,
    every,
    network,
)
from tests.jetstream.frames import TIME_US


def test_the_tip_is_asked_once_and_only_far_behind() -> None:
    events = every(1, 500)
    clock = FakeClock(TIME_US + 400 * SECOND)
    net = network(clock, a=FakeHost(events, first_seq=1000))
    first = net.read(Cursor(TIME_US, "a", 1000, taken_us=TIME_US), BatchLimits(9, 10))
    assert first.tip_seq == 1401
    assert net.hosts["a"].asked == [1000, None]
    second = net.read(replace(first.cursor, time_us=clock.true_us, seq=1401))
    assert second.tip_seq is None
    assert net.hosts["a"].asked.count(None) == 1


def test_the_tip_is_not_asked_of_hosts_without_numbers() -> None:
    clock = FakeClock(TIME_US + 400 * SECOND)
    net = network(clock, a=FakeHost(every(1, 500)))
    assert net.read(Cursor(TIME_US, "a", taken_us=TIME_US)).tip_seq is None
    assert None not in net.hosts["a"].asked


def test_a_batch_tells_when_it_was_read_and_how_far_it_came() -> None:
    clock = FakeClock(TIME_US + 50 * SECOND)
    net = network(clock, a=FakeHost(every(1, 55)))
    began = clock.true_us
    capped = net.read(Cursor(TIME_US), BatchLimits(9, 10))
    assert (capped.newest_us, capped.caught_up) == (TIME_US + 9 * SECOND, False)
    rest = net.read(capped.cursor)
    assert (rest.newest_us, rest.caught_up) == (TIME_US + 54 * SECOND, True)
    assert (rest.started_us, rest.ended_us) == (began, began + 9 * SECOND)


def test_a_batch_with_anything_to_record_gives_the_next_another_name() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost(every(1, 1)))
    first = net.read(Cursor(TIME_US, batch=7))
    second = net.read(first.cursor)
    assert (first.cursor.batch, second.cursor.batch) == (8, 8)
    assert first.start.name != second.start.name
