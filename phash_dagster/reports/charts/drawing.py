"""What every chart of a report is made with: how it looks, its axes, and how it becomes SVG."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import altair as alt

    AnyChart = alt.LayerChart | alt.FacetChart | alt.VConcatChart

WIDE: Final = 1000
NARROW: Final = 350
"""Widths in pixels, axes included, more or less."""

INK: Final = "currentColor"
GRID: Final = "var(--line)"
FILL: Final = "var(--mark)"

LABEL_PIXELS: Final = 84
MARGIN: Final = 60
"""Room that a label of time, and what stands beside a chart, take in pixels."""

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
class Words:
    """What of a chart is text."""

    id: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def drawn(words: Words, draw_at: "Callable[[int], AnyChart]") -> Chart:
    """The chart that these words go with, for wide and narrow windows."""
    return Chart(
        id=words.id,
        title=words.title,
        text=words.text,
        wide=_svg(draw_at(WIDE), words),
        narrow=_svg(draw_at(NARROW), words),
        columns=words.columns,
        rows=words.rows,
    )


def _svg(chart: "AnyChart", words: Words) -> str:
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
    svg = vl_convert.vegalite_to_svg(styled.to_dict(), allowed_base_urls=[])
    label = escape(f"{words.title}. {words.text}")
    return _NOISE.sub("", svg).replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def count_axis(title: str = "") -> "alt.Axis":
    """An axis of numbers from 0, with few lines."""
    import altair as alt

    return alt.Axis(
        format="~s", tickCount=3, tickMinStep=1, domain=False, ticks=False, title=title or None
    )


def values_of(rows: Iterable[Mapping[str, Any]]) -> "alt.InlineData":
    """Data for Vega."""
    import altair as alt

    return alt.InlineData(
        values=[{key: _plain(value) for key, value in row.items()} for row in rows]
    )


def _plain(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
