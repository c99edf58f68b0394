"""The event log: strictly in the order of time, whoever writes."""

import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.sandbox.event_log import EventLog

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_US = 1_795_435_200_000_000


def _log() -> EventLog:
    return EventLog(lambda: NOON)


def _times(log: EventLog) -> list[int]:
    return [entry.time_us for entry in log.since(0, 1000)]


def test_events_at_the_same_instant_get_times_of_their_own() -> None:
    log = _log()

    for _ in range(3):
        log.append({"did": "did:plc:a"})

    assert _times(log) == [NOON_US, NOON_US + 1, NOON_US + 2]


def test_an_event_of_the_past_takes_its_place() -> None:
    log = _log()
    log.append({"did": "did:plc:new"})

    log.append({"did": "did:plc:old"}, NOON_US - 10)

    assert [entry.did for entry in log.since(0, 10)] == ["did:plc:old", "did:plc:new"]


def test_an_event_without_a_time_comes_after_one_of_the_future() -> None:
    log = _log()
    log.append({"did": "did:plc:future"}, NOON_US + 10**9)

    assert log.append({"did": "did:plc:now"}).time_us == NOON_US + 10**9 + 1


@given(st.lists(st.one_of(st.none(), st.integers(NOON_US - 5, NOON_US + 5)), max_size=40))
def test_times_always_rise_strictly(times: list[int | None]) -> None:
    log = _log()

    for time_us in times:
        log.append({}, time_us)

    found = _times(log)
    assert len(found) == len(times)
    assert found == sorted(set(found))


def test_a_reader_starts_at_a_time_inclusively() -> None:
    log = _log()
    for offset in range(5):
        log.append({}, NOON_US + offset)

    assert [entry.time_us - NOON_US for entry in log.since(NOON_US + 2, 2)] == [2, 3]


def test_what_leaves_the_window_is_forgotten() -> None:
    log = _log()
    for offset in range(5):
        log.append({}, NOON_US + offset)

    log.forget_before(NOON_US + 3)

    assert _times(log) == [NOON_US + 3, NOON_US + 4]


def test_what_is_forgotten_was_there() -> None:
    log = _log()
    log.append({}, NOON_US)

    assert not log.has_before(NOON_US)
    log.forget_before(NOON_US)
    assert not log.has_before(NOON_US)
    log.forget_before(NOON_US + 1)
    assert log.has_before(NOON_US)
    assert log.forgotten_us == NOON_US + 1


def test_listeners_hear_of_each_event_until_they_leave() -> None:
    log, heard = _log(), []
    leave = log.subscribe(lambda: heard.append(len(log)))

    log.append({})
    leave()
    log.append({})

    assert heard == [1]


def test_what_is_written_together_is_heard_of_once() -> None:
    log, heard = _log(), []
    log.subscribe(lambda: heard.append(len(log)))

    with log.together():
        log.append({})
        log.append({})

    assert heard == [2]


def test_many_writers_lose_nothing() -> None:
    log = _log()
    writers = [
        threading.Thread(target=lambda: [log.append({}) for _ in range(200)]) for _ in range(4)
    ]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = _times(log)
    assert found == list(range(NOON_US, NOON_US + 800))
