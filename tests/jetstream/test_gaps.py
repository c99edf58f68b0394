"""When events are missing, and when they only seem to be: on hosts in memory."""

from dataclasses import replace

import pytest

from phash_dagster.jetstream.batch import BatchLimits, StreamGap
from phash_dagster.jetstream.cursor import Cursor
from tests.jetstream.fakes import (
    HOUR,
    SECOND,
    FakeClock,
    FakeHost,
    FakeNetwork,
    Happening,
    every,
    names,
    network,
)
from tests.jetstream.frames import TIME_US

OLD = 40 * HOUR


def after_forty_hours(**options: object) -> tuple[FakeNetwork, Cursor]:
    """A reader that was away for 40 hours, from a host that keeps 36."""
    events = [*every(1, 10), *every(1, 100, TIME_US + OLD - 100 * SECOND)]
    events = [replace(one, name=f"r{number}") for number, one in enumerate(events)]
    clock = FakeClock(TIME_US + 5 * SECOND)
    host = FakeHost(events, **options)  # type: ignore[arg-type]
    net = network(clock, a=host)
    first = net.read(Cursor(TIME_US - SECOND))
    clock.true_us = TIME_US + OLD
    host.oldest_us = TIME_US + 4 * HOUR
    return net, first.cursor


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "clamped"),
        ({"first_seq": 1}, "clamped"),
        ({"first_seq": 1, "v2": True}, "CursorTooOld"),
    ],
    ids=["v1 by time", "v1 by number", "v2"],
)
def test_a_position_older_than_the_hosts_window_is_a_gap_and_reading_goes_on(
    options: dict[str, object], reason: str
) -> None:
    net, cursor = after_forty_hours(**options)
    batch = net.read(cursor)
    first_held = TIME_US + OLD - 100 * SECOND
    assert batch.gaps == [StreamGap(cursor.time_us, first_held, "a", reason)]
    assert len(batch.rows) == 100
    assert net.read(batch.cursor).gaps == []


def test_a_fail_over_to_a_host_that_says_its_window_begins_later_is_a_gap() -> None:
    net, cursor = after_forty_hours()
    net.hosts = {
        "b": FakeHost(net.hosts["a"].happenings, first_seq=5, v2=True, oldest_us=TIME_US + HOUR)
    }
    [gap] = net.read(cursor).gaps
    assert (gap.reason, gap.host, gap.from_us) == ("OutdatedCursor", "b", cursor.time_us)


def test_a_fail_over_to_a_host_that_starts_later_without_a_word_is_a_gap() -> None:
    net, cursor = after_forty_hours()
    net.hosts = {"b": FakeHost(net.hosts["a"].happenings, oldest_us=TIME_US + HOUR)}
    [gap] = net.read(cursor).gaps
    assert (gap.reason, gap.host) == ("starts_later", "b")


def test_a_window_that_begins_before_the_position_is_no_gap() -> None:
    events = every(1, 100)
    clock = FakeClock(TIME_US + 50 * SECOND)
    net = network(clock, a=FakeHost(events))
    first = net.read(Cursor(TIME_US - SECOND), BatchLimits(9, 40))
    window = FakeHost(events, first_seq=5, v2=True, oldest_us=TIME_US + 20 * SECOND)
    net.hosts = {"b": window}
    second = net.read(first.cursor)
    assert second.rows
    assert second.gaps == []


HOSTS = [FakeHost([]), FakeHost([], first_seq=1), FakeHost([], first_seq=1, v2=True)]


@pytest.mark.parametrize("kind", HOSTS, ids=["v1", "v1 numbered", "v2"])
def test_a_quiet_network_is_no_gap(kind: FakeHost) -> None:
    events = [Happening("r0", TIME_US), Happening("r1", TIME_US + 5 * HOUR)]
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=replace(kind, happenings=events, asked=[]))
    first = net.read(Cursor(TIME_US - SECOND))
    clock.true_us = TIME_US + 6 * HOUR
    second = net.read(first.cursor)
    assert names(second) == ["r1"]
    assert first.gaps == second.gaps == []


@pytest.mark.parametrize("kind", HOSTS, ids=["v1", "v1 numbered", "v2"])
def test_a_first_start_on_a_quiet_network_is_no_gap(kind: FakeHost) -> None:
    clock = FakeClock(TIME_US + 5 * HOUR)
    events = [Happening("r0", TIME_US + 4 * HOUR)]
    net = network(clock, a=replace(kind, happenings=events, asked=[]))
    assert net.read(Cursor(TIME_US)).gaps == []


@pytest.mark.parametrize("kind", HOSTS, ids=["v1", "v1 numbered", "v2"])
def test_other_wanted_collections_hide_the_event_at_the_position_without_a_gap(
    kind: FakeHost,
) -> None:
    clock = FakeClock(TIME_US + 5 * HOUR)
    # The event at the position, a like, is not delivered any more.
    events = [Happening("r0", TIME_US + 4 * HOUR)]
    seq = None if kind.first_seq is None else 1
    net = network(clock, a=replace(kind, happenings=events, asked=[]))
    before = Cursor(TIME_US, "a", seq, subscribed=("app.bsky.feed.like",), taken_us=TIME_US)
    if seq is not None:
        net.hosts["a"].first_seq = 2
    batch = net.read(before)
    assert batch.gaps == []
    assert names(batch) == ["r0"]
    assert batch.cursor.subscribed == ("app.bsky.feed.post",)


@pytest.mark.parametrize("options", [{}, {"first_seq": 1}], ids=["v1 by time", "v1 by number"])
def test_more_wanted_collections_do_not_hide_a_gap(options: dict[str, object]) -> None:
    net, cursor = after_forty_hours(**options)
    net.wanted = frozenset({*net.wanted, "app.bsky.actor.profile"})
    [gap] = net.read(cursor).gaps
    assert (gap.reason, gap.from_us) == ("clamped", cursor.time_us)


def test_after_a_fail_over_other_wanted_collections_are_no_gap_either() -> None:
    clock = FakeClock(TIME_US + 5 * HOUR)
    net = network(clock, b=FakeHost([Happening("r0", TIME_US + 4 * HOUR)]))
    before = Cursor(TIME_US, "a", subscribed=("app.bsky.feed.like",), taken_us=TIME_US)
    batch = net.read(before)
    assert (names(batch), batch.gaps) == (["r0"], [])


def test_an_event_that_version_2_compacted_away_is_no_gap() -> None:
    clock = FakeClock(TIME_US + 5 * HOUR)
    events = [Happening("r9", TIME_US + HOUR)]
    net = network(clock, a=FakeHost(events, first_seq=50, v2=True))
    batch = net.read(Cursor(TIME_US, "a", 40, taken_us=TIME_US))
    assert (names(batch), batch.gaps) == (["r9"], [])


def test_what_was_subscribed_to_is_kept_until_an_event_comes() -> None:
    net = network(FakeClock(TIME_US + HOUR), a=FakeHost([]))
    before = Cursor(TIME_US, "a", subscribed=("app.bsky.feed.like",), taken_us=TIME_US)
    assert net.read(before).cursor.subscribed == ("app.bsky.feed.like",)
