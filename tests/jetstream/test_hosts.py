"""Which host is read from, and which is left alone: on hosts in memory."""

import pytest

from phash_dagster.jetstream.cursor import Cursor, HostState
from phash_dagster.jetstream.hosts import Endpoint
from tests.jetstream.fakes import (
    HOUR,
    SECOND,
    FakeClock,
    FakeHost,
    Happening,
    every,
    network,
)
from tests.jetstream.frames import TIME_US


def test_a_host_that_fails_is_left_alone_for_doubling_times_up_to_five_minutes() -> None:
    clock = FakeClock()
    net = network(clock, a=FakeHost([], down=True))
    cursor, waits = Cursor(TIME_US), []
    for _ in range(9):
        batch = net.read(cursor)
        [failed] = batch.failures
        waits.append((failed.retry_at_us - clock.true_us) / SECOND)
        clock.true_us = failed.retry_at_us
        cursor = Cursor.from_json(batch.cursor.to_json())
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_time_a_host_is_left_alone_varies() -> None:
    clock = FakeClock()
    net = network(clock, a=FakeHost([], down=True))
    found = set()
    chances = iter((0.0, 0.5, 1.0))
    net.chance = lambda: next(chances)
    for _ in range(3):
        [failed] = net.read(Cursor(TIME_US)).failures
        found.add((failed.retry_at_us - clock.true_us) / SECOND)
    assert found == {4, 5, 6}


def test_while_all_hosts_are_left_alone_none_is_asked_and_each_is_named() -> None:
    clock = FakeClock()
    net = network(clock, a=FakeHost([], down=True), b=FakeHost([], down=True))
    once = net.read(Cursor(TIME_US))
    clock.true_us += SECOND
    again = net.read(once.cursor)
    assert [len(host.asked) for host in net.hosts.values()] == [1, 1]
    assert again.failures == once.failures
    assert (again.host, again.rows, again.ended_us) == ("", [], again.started_us)
    assert again.cursor.hosts == once.cursor.hosts
    assert [(one.host, one.reason) for one in again.failures] == [
        ("a", "it is down"),
        ("b", "it is down"),
    ]


def test_a_host_that_serves_again_is_forgiven() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost(every(1, 10), down=True))
    failed = net.read(Cursor(TIME_US))
    net.hosts["a"].down = False
    clock.true_us += 10 * SECOND
    assert net.read(failed.cursor).cursor.hosts == {}


def test_a_retry_time_beyond_any_backoff_comes_from_a_wrong_clock() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost(every(1, 10)))
    state = HostState(failures=1, retry_at_us=TIME_US + HOUR)
    assert net.read(Cursor(TIME_US, hosts={"a": state})).host == "a"


def test_the_next_host_in_turn_takes_over_and_keeps_it() -> None:
    clock = FakeClock(TIME_US + 5 * SECOND)
    events = every(1, 100)
    net = network(clock, a=FakeHost(events), b=FakeHost(events), c=FakeHost(events))
    cursor = net.read(Cursor(TIME_US, "b")).cursor
    assert cursor.host == "b"
    net.hosts["b"].down = True
    batch = net.read(cursor)
    assert (batch.host, [one.host for one in batch.failures]) == ("c", ["b"])
    net.hosts["b"].down = False
    clock.true_us += 400 * SECOND
    assert net.read(batch.cursor).host == "c"


def test_two_minutes_of_silence_over_many_ticks_lead_to_the_next_host() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost([Happening("r0", TIME_US)]), b=FakeHost([]))
    batch, served = net.read(Cursor(TIME_US)), []
    while not batch.failures:
        served.append(batch.host)
        batch = net.read(batch.cursor)
    assert set(served) == {"a"}
    assert 12 <= len(served) <= 14
    assert (batch.failures[0].host, batch.failures[0].reason) == ("a", "no new event for 120 s")
    clock.true_us += 20 * SECOND
    assert net.read(batch.cursor).host == "b"


def test_on_a_quiet_network_there_is_always_a_host_to_read_from() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost([]), b=FakeHost([]))
    cursor, served = Cursor(TIME_US), []
    for _ in range(100):
        batch = net.read(cursor)
        served.append(batch.host)
        cursor = batch.cursor
    assert set(served) == {"a", "b"}


def test_a_silent_host_is_read_on_while_no_other_serves_us() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost([Happening("r0", TIME_US)]), b=FakeHost([], down=True))
    cursor = Cursor(TIME_US)
    for _ in range(40):
        batch = net.read(cursor)
        assert batch.host == "a"
        cursor = batch.cursor


def test_the_only_host_is_not_left_for_being_silent() -> None:
    clock = FakeClock(TIME_US + SECOND)
    net = network(clock, a=FakeHost([]))
    cursor = Cursor(TIME_US)
    for _ in range(30):
        batch = net.read(cursor)
        assert (batch.host, batch.failures) == ("a", [])
        cursor = batch.cursor


@pytest.mark.parametrize("count", [1, 3, 9, 40])
def test_hosts_that_hang_take_no_longer_together_than_a_tick_has(count: int) -> None:
    clock = FakeClock()
    net = network(clock, **{f"h{number}": FakeHost([], hangs=True) for number in range(count)})
    net.read(Cursor(TIME_US))
    assert clock.true_us - TIME_US <= 20 * SECOND


def test_hosts_that_hang_do_not_use_up_the_time_to_read() -> None:
    clock = FakeClock(TIME_US)
    events = every(1, 60)
    hanging = {f"h{number}": FakeHost([], hangs=True) for number in range(3)}
    net = network(clock, **hanging, a=FakeHost(events))
    batch = net.read(Cursor(TIME_US))
    assert batch.newest_us == TIME_US + (15 + 9) * SECOND


@pytest.mark.parametrize(
    ("path", "is_v2"),
    [
        ("/subscribe", False),
        ("/", False),
        ("/xrpc/network.bsky.jetstream.subscribeEvents", True),
        ("/behind/a/proxy/xrpc/network.bsky.jetstream.subscribeEvents/?token=x", True),
    ],
)
def test_the_path_of_an_address_chooses_the_wire(path: str, is_v2: bool) -> None:
    assert Endpoint.of(f"wss://user:secret@host.test:443{path}").is_v2 is is_v2
    assert Endpoint.of(f"wss://user:secret@host.test:443{path}").host == "host.test:443"
