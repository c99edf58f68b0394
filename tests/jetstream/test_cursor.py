"""The stored position."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream import Cursor, CursorError, Event
from phash_dagster.jetstream.cursor import HostState, digest
from phash_dagster.jetstream.position import MAX_SEEN, Position
from phash_dagster.jetstream.start import LONGEST_REWIND_US
from tests.jetstream.frames import tid

NOW_US = 1_800_000_000_000_000
SECOND = 1_000_000


def after(cursor: Cursor, *events: Event, host: str = "a", now_us: int = NOW_US) -> Cursor:
    position = Position(cursor, host, now_us=now_us)
    for event in events:
        position.take(event)
    return position.cursor(now_us)


states = st.builds(
    HostState, st.integers(0, 99), st.integers(0, 2**53), st.text(max_size=9), st.integers(0, 2**53)
)


@given(
    time_us=st.integers(0, 2**53),
    host=st.text(max_size=20),
    seq=st.none() | st.integers(0, 2**53),
    seen=st.lists(st.text(max_size=10), max_size=3),
    batch=st.integers(0, 2**53),
    hosts=st.dictionaries(st.text(max_size=9), states, max_size=3),
)
def test_a_stored_cursor_reads_back(
    time_us: int,
    host: str,
    seq: int | None,
    seen: list[str],
    batch: int,
    hosts: dict[str, HostState],
) -> None:
    cursor = Cursor(
        time_us, host, seq, tuple(seen), batch, taken_us=time_us, subscribed=("x",), hosts=hosts
    )
    assert Cursor.from_json(cursor.to_json()) == cursor


def test_a_document_of_version_1_reads_and_keeps_its_name() -> None:
    old = '{"time_us":7,"host":"a","seq":null,"seen":["x","y"],"batch":3,"taken_us":9,"version":1}'
    cursor = Cursor.from_json(old)
    assert cursor == Cursor(7, "a", None, (digest("x"), digest("y")), batch=3, taken_us=9)
    assert cursor.name == "7-0-2-3"


def test_a_document_from_before_the_later_fields_reads_with_their_defaults() -> None:
    old = '{"time_us":7,"host":"a","seq":5,"seen":[],"version":1}'
    assert Cursor.from_json(old) == Cursor(7, "a", 5, (), batch=0, taken_us=0)


@pytest.mark.parametrize("text", ["", "17", "{}", '{"version":9,"time_us":1}', '{"time_us":"x"}'])
def test_a_document_of_another_shape_says_what_to_do(text: str) -> None:
    with pytest.raises(CursorError, match="Reset the cursor of jetstream_sensor"):
        Cursor.from_json(text)


def test_events_of_the_last_second_are_each_remembered() -> None:
    old = Event(NOW_US - 5 * SECOND, None, "old")
    first, second = Event(NOW_US - SECOND, None, "x"), Event(NOW_US, None, "y")
    assert after(Cursor(0), old, first, second).seen == (digest("x"), digest("y"))


def test_the_document_stays_small_however_many_events_a_second_has() -> None:
    cursor = after(Cursor(0), *[Event(NOW_US, None, str(number)) for number in range(9000)])
    assert len(cursor.seen) == MAX_SEEN
    assert digest("8999") in cursor.seen


def test_numbered_events_need_not_be_remembered() -> None:
    assert after(Cursor(0), Event(NOW_US, 1, "")).seen == ()


def test_a_little_late_an_event_does_not_move_the_position_back() -> None:
    cursor = after(Cursor(0), Event(NOW_US, None, "x"), Event(NOW_US - 33_000, None, "late"))
    assert cursor.time_us == NOW_US
    assert digest("late") in cursor.seen


def test_very_late_it_comes_from_a_clock_that_stepped_back_and_is_followed() -> None:
    cursor = after(
        Cursor(0), Event(NOW_US, None, "x"), Event(NOW_US - 50 * SECOND, None, "stepped")
    )
    assert cursor.time_us == NOW_US - 50 * SECOND


def test_sequence_numbers_are_followed_even_where_time_goes_back() -> None:
    cursor = after(Cursor(0), Event(200, 1, ""), Event(100, 2, ""))
    assert (cursor.time_us, cursor.seq) == (100, 2)


def test_an_event_from_the_future_does_not_move_the_cursor() -> None:
    before = Cursor(200, "a")
    assert after(before, Event(NOW_US + 3600 * SECOND, None, "x")).time_us == 200


def test_the_lag_of_a_host_is_the_median_of_its_commits() -> None:
    events = [Event(NOW_US, number, "", rev=tid(NOW_US - 30 * SECOND)) for number in range(1, 30)]
    liars = [Event(NOW_US, 30 + number, "", rev=tid(number)) for number in range(1, 9)]
    assert after(Cursor(0), *events, *liars).lag_us == pytest.approx(30 * SECOND, abs=1)


def test_a_few_commits_say_nothing_about_the_lag() -> None:
    before = Cursor(0, "a", lag_us=5)
    event = Event(NOW_US, 1, "", rev=tid(0))
    assert after(before, event).lag_us == 5
    assert after(before, event, host="b").lag_us == 0


def test_a_lag_is_bounded_and_never_negative() -> None:
    past = [Event(NOW_US, number, "", rev=tid(0)) for number in range(9)]
    future = [Event(NOW_US, number, "", rev=tid(NOW_US * 2)) for number in range(9)]
    assert after(Cursor(0), *past).lag_us == LONGEST_REWIND_US
    assert after(Cursor(0), *future).lag_us == 0


def test_an_event_happened_no_later_than_it_was_taken() -> None:
    assert Cursor(100, "a", lag_us=20).happened_us == 80
    assert Cursor(100, "a", lag_us=20, taken_us=90).happened_us == 80
    assert Cursor(100, "a", taken_us=90).happened_us == 90


def test_positions_have_different_names() -> None:
    same_time = after(Cursor(0), Event(100, None, "x"))
    later = after(same_time, Event(100, None, "x"), Event(100, None, "y"))
    assert same_time.name != later.name


def test_batches_from_the_same_position_have_different_names() -> None:
    cursor = Cursor(100, "a", None, ("x",))
    assert cursor.name != replace(cursor, batch=1).name


def test_the_count_of_batches_outlasts_every_event() -> None:
    cursor = Cursor(0, batch=3)
    for event in (Event(100, None, "x"), Event(100, None, "y"), Event(90, None, "z")):
        assert after(cursor, event).batch == 3
    assert after(cursor, Event(100, 5, "x")).batch == 3


def test_a_cursor_can_start_at_a_moment() -> None:
    assert Cursor.at(datetime(2026, 1, 1, tzinfo=UTC)).time_us == 1_767_225_600_000_000
