"""Figures over time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.reports.trends import busy_hours, by_span, span_for

NOW = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "name"),
    [
        (timedelta(hours=1), "hour"),
        (timedelta(days=3), "hour"),
        (timedelta(days=7), "day"),
        (timedelta(days=92), "day"),
        (timedelta(days=365), "week"),
    ],
)
def test_the_span_fits_the_period(period: timedelta, name: str) -> None:
    assert span_for(period).name == name


def test_spans_without_a_value_are_zero() -> None:
    since = NOW - timedelta(hours=3)
    trend = by_span([("a", since, 2), ("b", NOW, 5)], span_for(NOW - since), since, NOW)
    assert [start.hour for start in trend.starts] == [17, 18, 19, 20]
    assert trend.series == {"a": (2, 0, 0, 0), "b": (0, 0, 0, 5)}
    assert trend.total("a") == 2
    assert trend.total("c") == 0


def test_weeks_begin_on_mondays() -> None:
    since = NOW - timedelta(days=100)
    trend = by_span([], span_for(NOW - since), since, NOW)
    assert {start.weekday() for start in trend.starts} == {0}


@given(
    st.lists(st.integers(0, 400 * 24), max_size=30),
    st.integers(1, 400 * 24),
)
def test_nothing_of_the_period_is_lost(hours_ago: list[int], length: int) -> None:
    since = NOW - timedelta(hours=length)
    span = span_for(NOW - since)
    values = [("x", NOW - timedelta(hours=hours), 1) for hours in hours_ago]
    trend = by_span(values, span, since, NOW)
    assert trend.total("x") == sum(moment >= span.start(since) for _, moment, _ in values)


def test_the_hours_with_most_to_do_come_first() -> None:
    rows = [
        {"hour": hour, "waiting": waiting, "untried": untried}
        for hour, waiting, untried in (("1", 0, 0), ("2", 1, 0), ("3", 0, 5), ("4", 1, 1))
    ]
    assert [row["hour"] for row in busy_hours(rows, most=2)] == ["3", "4"]
