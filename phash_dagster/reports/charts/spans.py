"""Charts of figures by span of time: bars, one for each hour, day or week."""

from collections.abc import Callable, Mapping
from datetime import datetime
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
from phash_dagster.reports.trends import Trend

if TYPE_CHECKING:
    import altair as alt

    from phash_dagster.reports.charts.drawing import AnyChart

FATES: Final[Mapping[str, str]] = {
    "sent": "sent",
    "shadow": "recorded in shadow mode",
    "held": "held for a person",
    "failed": "failed",
    "suppressed": "not needed any more",
    "waiting": "on their way",
}
"""What became of actions, in the order of their panels."""

_LABELS: Final = {"hour": "%d %b %H:%M", "day": "%a %d %b", "week": "%d %b %Y"}


def seen_chart(trend: Trend) -> Chart | None:
    """Images that were seen, and what of them is hashed."""
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
    data = values_of(
        {"span": _label(trend, start), "seen": seen, "hashed": hashed}
        for start, seen, hashed, *_ in rows
    )

    def at(width: int) -> "AnyChart":
        base = alt.Chart(data).encode(x=_bars(trend, width))
        count = count_axis("images")
        return alt.layer(
            base.mark_bar(fill=FILL).encode(y=alt.Y("hashed:Q", axis=count)),
            base.mark_bar(fill="none", stroke=INK).encode(y=alt.Y("seen:Q", axis=count)),
        ).properties(width=width - MARGIN, height=160)

    seen, hashed = sum(row[1] for row in rows), sum(row[2] for row in rows)
    most = max(rows, key=lambda row: row[1])
    words = Words(
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
    return drawn(words, at)


def matches_chart(trend: Trend) -> Chart | None:
    """Posts that each of the busiest rules matched."""
    return _panels(_matches, _busiest_first(trend))


def _matches(trend: Trend) -> Words:
    totals = ", ".join(f"{name} {trend.total(name):,}" for name in trend.series)
    return Words(
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


def actions_chart(trend: Trend) -> Chart | None:
    """Actions by what became of them."""
    return _panels(_actions, _named(trend))


def _actions(trend: Trend) -> Words:
    totals = ", ".join(f"{name} {trend.total(name):,}" for name in trend.series)
    return Words(
        "actions",
        f"Actions by what became of them, by {trend.span.name}",
        "By the time they were planned; one panel for each fate, each with a scale of its own. In "
        f"the whole period: {totals}.",
        (trend.span.name.capitalize(), *trend.series),
        _rows(trend),
    )


def rule_actions_chart(trend: Trend) -> Chart | None:
    """Actions of each of the rules with most of them."""
    return _panels(_rule_actions, _busiest_first(trend))


def _rule_actions(trend: Trend) -> Words:
    totals = ", ".join(f"{name} {trend.total(name):,}" for name in trend.series)
    return Words(
        "rule-actions",
        f"Actions of the busiest rules, by {trend.span.name}",
        "By the time they were planned, whatever became of them; one panel for each rule, each "
        f"with a scale of its own. In the whole period: {totals}.",
        (trend.span.name.capitalize(), *trend.series),
        _rows(trend),
    )


def _panels(describe: Callable[[Trend], Words], trend: Trend) -> Chart | None:
    """One small chart of bars for each series."""
    if not trend.series:
        return None
    import altair as alt

    def at(width: int) -> "AnyChart":
        panels = []
        for number, (name, counts) in enumerate(trend.series.items(), start=1):
            x = _bars(trend, width, labels=number == len(trend.series))
            data = values_of(
                {"span": _label(trend, start), "count": count}
                for start, count in zip(trend.starts, counts, strict=True)
            )
            panels.append(
                alt.Chart(data, title=f"{name}: {trend.total(name):,}")
                .mark_bar(fill=FILL)
                .encode(x=x, y=alt.Y("count:Q", axis=count_axis()))
                .properties(width=width - MARGIN, height=46)
            )
        return alt.vconcat(*panels, spacing=8)

    return drawn(describe(trend), at)


def _bars(trend: Trend, width: int, *, labels: bool = True) -> "alt.X":
    """A place for each span of time, with as many labels as there is room for."""
    import altair as alt

    every = -(-len(trend.starts) * LABEL_PIXELS // (width - MARGIN))
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


def _rows(trend: Trend) -> tuple[tuple[object, ...], ...]:
    columns = zip(*trend.series.values(), strict=True) if trend.series else ()
    return tuple(
        (_when(trend, start), *counts) for start, counts in zip(trend.starts, columns, strict=False)
    )


def _when(trend: Trend, start: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M}" if trend.span.name == "hour" else f"{start:%Y-%m-%d}"
