"""The stored position."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream import Cursor, CursorError, Event
from phash_dagster.jetstream.cursor import FAIL_OVER_MARGIN_US

NOW_US = 1_800_000_000_000_000


def advance(cursor: Cursor, *events: Event, host: str = "a") -> Cursor:
    for event in events:
        cursor = cursor.advanced(event, host, now_us=NOW_US)
    return cursor


@given(
    time_us=st.integers(0, 2**53),
    host=st.text(max_size=20),
    seq=st.none() | st.integers(0, 2**53),
    seen=st.lists(st.text(max_size=10), max_size=3),
    batch=st.integers(0, 2**53),
)
def test_a_stored_cursor_reads_back(
    time_us: int, host: str, seq: int | None, seen: list[str], batch: int
) -> None:
    cursor = Cursor(time_us, host, seq, tuple(seen), batch, taken_us=time_us)
    assert Cursor.from_json(cursor.to_json()) == cursor


def test_a_document_from_before_the_later_fields_reads_with_their_defaults() -> None:
    old = '{"time_us":7,"host":"a","seq":null,"seen":["x"],"version":1}'
    assert Cursor.from_json(old) == Cursor(7, "a", None, ("x",), batch=0, taken_us=0)


@pytest.mark.parametrize("text", ["", "17", "{}", '{"version":9,"time_us":1}', '{"time_us":"x"}'])
def test_a_document_of_another_shape_says_what_to_do(text: str) -> None:
    with pytest.raises(CursorError, match="Reset the cursor of jetstream_sensor"):
        Cursor.from_json(text)


def test_events_at_the_same_time_are_each_remembered() -> None:
    first, second = Event(100, None, "x"), Event(100, None, "y")
    cursor = advance(Cursor(0), first, second)
    assert cursor.has_seen(first, "a")
    assert cursor.has_seen(second, "a")
    assert not cursor.has_seen(Event(100, None, "z"), "a")


def test_the_same_host_resumes_by_sequence_number_and_another_by_time_with_a_margin() -> None:
    cursor = advance(Cursor(0), Event(NOW_US - 9, 55, "x"))
    assert cursor.start_on("a") == 55
    assert cursor.start_on("b") == NOW_US - 9 - FAIL_OVER_MARGIN_US


@pytest.mark.parametrize("seq", [None, 55])
def test_after_a_host_whose_clock_runs_ahead_another_starts_by_our_clock(seq: int | None) -> None:
    cursor = advance(Cursor(0), Event(NOW_US + 30_000_000, seq, "x"))
    assert cursor.start_on("b") == NOW_US - FAIL_OVER_MARGIN_US


def test_a_cursor_that_does_not_know_when_its_event_was_taken_goes_by_the_events_time() -> None:
    assert Cursor(NOW_US, "a", 55).start_on("b") == NOW_US - FAIL_OVER_MARGIN_US


def test_a_host_that_counts_anew_is_followed() -> None:
    cursor = advance(Cursor(0), Event(100, 9_000_000, "x"))
    anew = Event(200, 7, "y")
    assert not cursor.has_seen(anew, "a")
    assert advance(cursor, anew).start_on("a") == 7
    assert advance(cursor, anew).has_seen(anew, "a")


def test_on_the_same_host_time_does_not_go_back() -> None:
    cursor = advance(Cursor(0), Event(200, None, "x"), Event(100, None, "old import"))
    assert cursor.time_us == 200


def test_sequence_numbers_are_followed_even_where_time_goes_back() -> None:
    cursor = advance(Cursor(0), Event(200, 1, "x"), Event(100, 2, "old import"))
    assert cursor.start_on("a") == 2
    assert cursor.has_seen(Event(100, 2, "old import"), "a")


def test_an_event_from_the_future_does_not_move_the_cursor() -> None:
    cursor = advance(Cursor(200, "a"), Event(NOW_US + 3_600_000_000, None, "x"))
    assert cursor == Cursor(200, "a")


def test_positions_have_different_names() -> None:
    same_time = advance(Cursor(0), Event(100, None, "x"))
    later = advance(same_time, Event(100, None, "y"))
    assert same_time.name != later.name


def test_batches_from_the_same_position_have_different_names() -> None:
    cursor = Cursor(100, "a", None, ("x",))
    assert cursor.name != replace(cursor, batch=1).name


def test_the_count_of_batches_outlasts_every_event() -> None:
    cursor = Cursor(0, batch=3)
    for event in (Event(100, None, "x"), Event(100, None, "y"), Event(90, None, "z")):
        assert advance(cursor, event).batch == 3
    assert advance(cursor, Event(100, 5, "x")).batch == 3


def test_a_cursor_can_start_at_a_moment() -> None:
    assert Cursor.at(datetime(2026, 1, 1, tzinfo=UTC)).time_us == 1_767_225_600_000_000
