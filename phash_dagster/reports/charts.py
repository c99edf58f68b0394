"""The charts of a report, as SVG that stands in the page.

Drawn by Vega-Altair, rendered by vl-convert: no browser, no script, no network. Both take a second
to import and are wanted by reports alone, so they are imported where they are used.

Colours are variables of the page's style sheet, so a chart follows light and dark as the text does.
None is needed to read a chart: each series has a panel, a dash or an outline of its own. Each chart
is drawn twice, for wide and narrow windows; the style sheet shows one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from phash_dagster.reports.data import MatchReport, Row
from phash_dagster.reports.trends import Trend
from phash_dagster.warehouse.image_posts import moment_of

if TYPE_CHECKING:
    import altair as alt

    AnyChart = alt.LayerChart | alt.FacetChart | alt.VConcatChart

WIDE: Final = 1000
NARROW: Final = 350
"""Widths in pixels, axes included, more or less."""

INK: Final = "currentColor"
GRID: Final = "var(--line)"
FILL: Final = "var(--mark)"

FATES: Final[Mapping[str, str]] = {
    "sent": "sent",
    "shadow": "recorded in shadow mode",
    "held": "held for a person",
    "failed": "failed",
    "suppressed": "not needed any more",
    "waiting": "on their way",
}
"""What became of actions, in the order of their panels."""

_NOISE: Final = re.compile(
    r' (?:class|role|aria-[a-z]+|pointer-events|xmlns:xlink|version)="[^"]*"'
)


@dataclass(frozen=True)
class Chart:
    """A chart for the page.

    Attributes:
        id: In the page.
        title: What it shows.
        text: The same in words, for those who do not see it and those in a hurry.
        wide: SVG for wide windows.
        narrow: SVG for narrow ones.
        columns: Heads of the table of its data.
        rows: The table.
    """

    id: str
    title: str
    text: str
    wide: str
    narrow: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class _Words:
    """What of a chart is text."""

    id: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def draw(report: MatchReport) -> dict[str, Chart]:
    """The charts by id; those without anything to show are left out."""
    made = (
        _seen(report.reading.trend),
        _lag(report.reading.lag_per_hour),
        _panels(_matches, _busiest_first(report.acting.matches_trend)),
        _panels(_actions, _named(report.acting.actions_trend)),
        _precision(report.judging.hashes),
    )
    return {chart.id: chart for chart in made if chart}


def _drawn(words: _Words, draw_at: "Callable[[int], AnyChart]") -> Chart:
    return Chart(
        id=words.id,
        title=words.title,
        text=words.text,
        wide=_svg(draw_at(WIDE), words),
        narrow=_svg(draw_at(NARROW), words),
        columns=words.columns,
        rows=words.rows,
    )


def _svg(chart: "AnyChart", words: _Words) -> str:
    import vl_convert
    from markupsafe import escape

    axis = {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": GRID,
        "tickColor": GRID,
        "gridColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    styled = chart.configure(
        background="transparent",
        font="system-ui, sans-serif",
        padding={"left": 8, "right": 8, "top": 4, "bottom": 4},
        axis=axis,
        view={"stroke": None},
        title={"color": INK, "fontSize": 13, "anchor": "start", "fontWeight": "bold"},
    )
    drawn = vl_convert.vegalite_to_svg(styled.to_dict(), allowed_base_urls=[])
    label = escape(f"{words.title}. {words.text}")
    return _NOISE.sub("", drawn).replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


_LONGEST_NAME: Final = 16
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LABELS: Final = {"hour": "%d %b %H:%M", "day": "%a %d %b", "week": "%d %b %Y"}
_LABEL_PIXELS: Final = 84
_MARGIN: Final = 60
"""Room that a label of time, and what stands beside a chart, take in pixels."""


def _bars(trend: Trend, width: int, *, labels: bool = True) -> "alt.X":
    """A place for each span of time, with as many labels as there is room for."""
    import altair as alt

    every = -(-len(trend.starts) * _LABEL_PIXELS // (width - _MARGIN))
    shown = [_label(trend, start) for start in trend.starts[::every]]
    return alt.X(
        "span:O",
        title=None,
        sort=None,
        axis=alt.Axis(values=shown, labels=labels, labelAngle=0, grid=False, labelOverlap="greedy"),
        scale=alt.Scale(paddingInner=0.15, paddingOuter=0.1),
    )


def _label(trend: Trend, start: datetime) -> str:
    return f"{start:{_LABELS[trend.span.name]}}"


def _count_axis(title: str = "") -> "alt.Axis":
    import altair as alt

    return alt.Axis(
        format="~s", tickCount=3, tickMinStep=1, domain=False, ticks=False, title=title or None
    )


def _seen(trend: Trend) -> Chart | None:
    if not any(map(trend.total, trend.series)):
        return None
    import altair as alt

    empty = (0,) * len(trend.starts)
    series = [trend.series.get(name, empty) for name in ("hashed", "not_hashable", "waiting")]
    untried = trend.series.get("untried", empty)
    rows = [
        (start, hashed + bad + waiting + new, hashed, bad, waiting, new)
        for start, hashed, bad, waiting, new in zip(trend.starts, *series, untried, strict=True)
    ]
    data = _values(
        {"span": _label(trend, start), "seen": seen, "hashed": hashed}
        for start, seen, hashed, *_ in rows
    )

    def at(width: int) -> "AnyChart":
        base = alt.Chart(data).encode(x=_bars(trend, width))
        count = _count_axis("images")
        return alt.layer(
            base.mark_bar(fill=FILL).encode(y=alt.Y("hashed:Q", axis=count)),
            base.mark_bar(fill="none", stroke=INK).encode(y=alt.Y("seen:Q", axis=count)),
        ).properties(width=width - _MARGIN, height=160)

    seen, hashed = sum(row[1] for row in rows), sum(row[2] for row in rows)
    most = max(rows, key=lambda row: row[1])
    words = _Words(
        "seen",
        f"Images seen and hashed, by {trend.span.name}",
        f"The outline is what was seen, {seen:,} images, and the filled part what of it is hashed, "
        f"{hashed:,} or {100 * hashed / seen:.1f} %. Most in one {trend.span.name}: {most[1]:,}, "
        f"{_when(trend, most[0])}. The first and the last {trend.span.name} may not be whole.",
        (
            trend.span.name.capitalize(),
            "Seen",
            "Hashed",
            "Not hashable",
            "Waiting",
            "Not tried yet",
        ),
        tuple((_when(trend, row[0]), *row[1:]) for row in rows),
    )
    return _drawn(words, at)


def _clock_axis(first: datetime, last: datetime, width: int) -> "alt.Axis":
    """Full hours of a short period, days of a long one, as many as there is room for."""
    import altair as alt

    short = last - first <= timedelta(days=2)
    unit = timedelta(hours=1) if short else timedelta(days=1)
    step = unit * max(1, -(-(last - first) // unit * _LABEL_PIXELS // (width - _MARGIN)))
    start = _EPOCH - (_EPOCH - first) // step * step
    ticks = [start + number * step for number in range((last - start) // step + 1)]
    return alt.Axis(
        format="%d %b %H:%M" if short else "%a %d %b",
        values=[tick.timestamp() * 1000 for tick in ticks],
        grid=False,
        labelOverlap="greedy",
    )


def _lag(hours: Sequence[Row]) -> Chart | None:
    rows = [row for row in reversed(hours) if row["p95_seconds"] is not None]
    if not rows:
        return None
    import altair as alt

    moments = [moment_of(f"{row['hour']}:00") for row in rows]
    data = _values(
        {"start": moment, "median": row["median_seconds"], "p95": row["p95_seconds"]}
        for moment, row in zip(moments, rows, strict=True)
    )

    def at(width: int) -> "AnyChart":
        axis = _clock_axis(moments[0], moments[-1], width)
        x = alt.X("start:T", title=None, axis=axis, scale=alt.Scale(type="utc"))
        base = alt.Chart(data).encode(x=x)
        return alt.layer(
            base.mark_area(fill=FILL, stroke=FILL, strokeWidth=1.5).encode(
                y=alt.Y("p95:Q", axis=_count_axis("seconds"))
            ),
            base.mark_line(stroke=INK, strokeWidth=1.5, point={"fill": INK, "size": 8}).encode(
                y="median:Q"
            ),
        ).properties(width=width - _MARGIN, height=130)

    worst = max(rows, key=lambda row: row["p95_seconds"])
    words = _Words(
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
    return _drawn(words, at)


def _matches(trend: Trend) -> _Words:
    totals = ", ".join(f"{name} {trend.total(name):,}" for name in trend.series)
    return _Words(
        "matches",
        f"Posts matched by the busiest rules, by {trend.span.name}",
        f"One panel for each rule, each with a scale of its own. In the whole period: {totals}.",
        (trend.span.name.capitalize(), *trend.series),
        _rows(trend),
    )


def _busiest_first(trend: Trend) -> Trend:
    series = sorted(trend.series.items(), key=lambda item: (-sum(item[1]), item[0]))
    return Trend(trend.span, trend.starts, dict(series))


def _named(trend: Trend) -> Trend:
    """The fates of actions by the names and in the order that people see."""
    series = {FATES[fate]: trend.series[fate] for fate in FATES if fate in trend.series}
    return Trend(trend.span, trend.starts, series)


def _actions(trend: Trend) -> _Words:
    totals = ", ".join(f"{name} {trend.total(name):,}" for name in trend.series)
    return _Words(
        "actions",
        f"Actions by what became of them, by {trend.span.name}",
        "By the time they were planned; one panel for each fate, each with a scale of its own. In "
        f"the whole period: {totals}.",
        (trend.span.name.capitalize(), *trend.series),
        _rows(trend),
    )


def _panels(describe: Callable[[Trend], _Words], trend: Trend) -> Chart | None:
    """One small chart of bars for each series."""
    if not trend.series:
        return None
    import altair as alt

    def at(width: int) -> "AnyChart":
        panels = []
        for number, (name, counts) in enumerate(trend.series.items(), start=1):
            x = _bars(trend, width, labels=number == len(trend.series))
            data = _values(
                {"span": _label(trend, start), "count": count}
                for start, count in zip(trend.starts, counts, strict=True)
            )
            panels.append(
                alt.Chart(data, title=f"{name}: {trend.total(name):,}")
                .mark_bar(fill=FILL)
                .encode(x=x, y=alt.Y("count:Q", axis=_count_axis()))
                .properties(width=width - _MARGIN, height=46)
            )
        return alt.vconcat(*panels, spacing=8)

    return _drawn(describe(trend), at)


def _precision(hashes: Sequence[Row]) -> Chart | None:
    if not hashes:
        return None
    import altair as alt

    shown = hashes[:10]
    data = _values(
        {
            "name": _name(number, row),
            "low": row["precision_low"],
            "share": row["precision"],
        }
        for number, row in enumerate(shown, start=1)
    )

    def at(width: int) -> "AnyChart":
        y = alt.Y(
            "name:N",
            title=None,
            sort=None,
            axis=alt.Axis(labelLimit=200, ticks=False, domain=False),
        )
        scale = alt.Scale(domain=[0, 1])
        base = alt.Chart(data).encode(y=y)
        axis = alt.Axis(format="%", tickCount=width // 150, title=None)
        return alt.layer(
            base.mark_rule(stroke=INK, strokeWidth=1.5).encode(
                x=alt.X("low:Q", scale=scale, axis=axis), x2="share:Q"
            ),
            base.mark_tick(color=INK, thickness=1.5, size=10).encode(x="low:Q"),
            base.mark_point(shape="circle", fill=FILL, stroke=INK, opacity=1, size=60).encode(
                x="share:Q"
            ),
        ).properties(width=width - 230, height=alt.Step(24))

    worst = shown[0]
    words = _Words(
        "precision",
        "Share of right labels and takedowns, least certain rule hashes first",
        "The circle is the share that nobody took back, and the line reaches down to what it is at "
        "least, with 97.5 % confidence: a long line says that little is known. Lowest: "
        f"{worst['rule_id']}, hash {worst['rule_hash']} at distance {worst['distance']}, "
        f"{worst['precision']:.0%} of {worst['actions']:,}, at least {worst['precision_low']:.0%}.",
        ("Rule", "Hash", "Distance", "Actions", "Right", "At least"),
        tuple(
            (
                row["rule_id"],
                row["rule_hash"],
                row["distance"],
                row["actions"],
                f"{row['precision']:.1%}",
                f"{row['precision_low']:.1%}",
            )
            for row in shown
        ),
    )
    return _drawn(words, at)


def _name(number: int, row: Row) -> str:
    """A rule hash at a distance, on its axis: short, and never the same as another."""
    rule = row["rule_id"]
    short = rule if len(rule) <= _LONGEST_NAME else f"{rule[: _LONGEST_NAME - 1]}…"
    return f"{number}. {short} {row['rule_hash'][:4]}… at {row['distance']}"


def _rows(trend: Trend) -> tuple[tuple[object, ...], ...]:
    columns = zip(*trend.series.values(), strict=True) if trend.series else ()
    return tuple(
        (_when(trend, start), *counts) for start, counts in zip(trend.starts, columns, strict=False)
    )


def _when(trend: Trend, start: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M}" if trend.span.name == "hour" else f"{start:%Y-%m-%d}"


def _values(rows: Any) -> "alt.InlineData":
    """Data for Vega."""
    import altair as alt

    return alt.InlineData(
        values=[{key: _plain(value) for key, value in row.items()} for row in rows]
    )


def _plain(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
