"""Figures over time, in spans that fit the length of the period. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH: Final = datetime(2000, 1, 3, tzinfo=UTC)
"""A Monday: from here DuckDB's `time_bucket` counts days and weeks."""


@dataclass(frozen=True)
class Span:
    """How long one point of a trend is.

    Attributes:
        name: As people say it: hour, day or week.
        length: How long it is.
        interval: The same for DuckDB.
    """

    name: str
    length: timedelta
    interval: str

    def start(self, moment: datetime) -> datetime:
        """The beginning of the span that a moment lies in."""
        return _EPOCH + (moment - _EPOCH) // self.length * self.length


_HOUR: Final = Span("hour", timedelta(hours=1), "1 hour")
_DAY: Final = Span("day", timedelta(days=1), "1 day")
_WEEK: Final = Span("week", timedelta(weeks=1), "7 days")


def span_for(period: timedelta) -> Span:
    """The span that gives a period some 7 to 90 points."""
    if period <= timedelta(days=3):
        return _HOUR
    return _DAY if period <= timedelta(days=92) else _WEEK


@dataclass(frozen=True)
class Trend:
    """Several series over the same spans.

    Attributes:
        span: How long one is. The first and the last may be cut off.
        starts: Their beginnings, in UTC, without a gap.
        series: A value for each of them, by name.
    """

    span: Span
    starts: tuple[datetime, ...]
    series: dict[str, tuple[int, ...]]

    def total(self, name: str) -> int:
        """The sum of a series; 0 if there is none of that name."""
        return sum(self.series.get(name, ()))


def by_span(
    values: Iterable[tuple[str, datetime, int]], span: Span, since: datetime, until: datetime
) -> Trend:
    """Add up values by name and span, over the whole period.

    Args:
        values: Name of the series, a moment in UTC, and a value.
        span: How long one point is.
        since: Beginning of the period.
        until: End of the period. What comes before or after it is not counted.
    """
    first = span.start(since)
    length = 1 + (span.start(until) - first) // span.length
    series: dict[str, list[int]] = {}
    for name, moment, value in values:
        place = (span.start(moment) - first) // span.length
        if 0 <= place < length:
            series.setdefault(name, [0] * length)[place] += value
    return Trend(
        span=span,
        starts=tuple(first + place * span.length for place in range(length)),
        series={name: tuple(found) for name, found in series.items()},
    )


def busy_hours(rows: Sequence[dict[str, Any]], *, most: int) -> tuple[dict[str, Any], ...]:
    """The hours with most images that wait or were not tried, of those that have any."""
    open_rows = [row for row in rows if row["waiting"] + row["untried"]]
    open_rows.sort(key=lambda row: (-(row["waiting"] + row["untried"]), row["hour"]))
    return tuple(open_rows[:most])
