"""The chart of how late events were read."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from phash_dagster.reports.charts.drawing import (
    FILL,
    INK,
    LABEL_PIXELS,
    MARGIN,
    Chart,
    Words,
    count_axis,
    drawn,
    values_of,
)
from phash_dagster.reports.data import Row
from phash_dagster.warehouse.image_posts import moment_of

if TYPE_CHECKING:
    import altair as alt

    from phash_dagster.reports.charts.drawing import AnyChart

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def lag_chart(hours: Sequence[Row]) -> Chart | None:
    """How old the newest event was when a batch had been read, by hour."""
    rows = [row for row in reversed(hours) if row["p95_seconds"] is not None]
    if not rows:
        return None
    import altair as alt

    moments = [moment_of(f"{row['hour']}:00") for row in rows]
    data = values_of(
        {"start": moment, "median": row["median_seconds"], "p95": row["p95_seconds"]}
        for moment, row in zip(moments, rows, strict=True)
    )

    def at(width: int) -> "AnyChart":
        axis = _clock_axis(moments[0], moments[-1], width)
        x = alt.X("start:T", title=None, axis=axis, scale=alt.Scale(type="utc"))
        base = alt.Chart(data).encode(x=x)
        return alt.layer(
            base.mark_area(fill=FILL, stroke=FILL, strokeWidth=1.5).encode(
                y=alt.Y("p95:Q", axis=count_axis("seconds"))
            ),
            base.mark_line(stroke=INK, strokeWidth=1.5, point={"fill": INK, "size": 8}).encode(
                y="median:Q"
            ),
        ).properties(width=width - MARGIN, height=130)

    worst = max(rows, key=lambda row: row["p95_seconds"])
    words = Words(
        "lag",
        "How late events were read, by hour",
        "Age of the newest event when a batch had been read: the line with dots is the median, the "
        f"filled area what 95 of 100 batches stayed below. Worst hour: {worst['hour'][:10]} "
        f"{worst['hour'][11:]}:00, {worst['p95_seconds']:.1f} s.",
        ("Hour", "Batches", "Median, s", "95 of 100, s", "Longest, s"),
        tuple(
            (
                f"{moment:%Y-%m-%d %H:%M}",
                row["batches"],
                row["median_seconds"],
                row["p95_seconds"],
                row["longest_seconds"],
            )
            for moment, row in zip(moments, rows, strict=True)
        ),
    )
    return drawn(words, at)


def _clock_axis(first: datetime, last: datetime, width: int) -> "alt.Axis":
    """Full hours of a short period, days of a long one, as many as there is room for."""
    import altair as alt

    short = last - first <= timedelta(days=2)
    unit = timedelta(hours=1) if short else timedelta(days=1)
    step = unit * max(1, -(-(last - first) // unit * LABEL_PIXELS // (width - MARGIN)))
    start = _EPOCH - (_EPOCH - first) // step * step
    ticks = [start + number * step for number in range((last - start) // step + 1)]
    return alt.Axis(
        format="%d %b %H:%M" if short else "%a %d %b",
        values=[tick.timestamp() * 1000 for tick in ticks],
        grid=False,
        labelOverlap="greedy",
    )
