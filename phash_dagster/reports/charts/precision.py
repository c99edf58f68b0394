"""The chart of how often rule hashes were right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from phash_dagster.reports.charts.drawing import FILL, INK, Chart, Words, drawn, values_of
from phash_dagster.reports.data import Row

if TYPE_CHECKING:
    from phash_dagster.reports.charts.drawing import AnyChart

_LONGEST_NAME: Final = 16


def precision_chart(hashes: Sequence[Row]) -> Chart | None:
    """How often rule hashes at a distance were right, and how certain that is."""
    if not hashes:
        return None
    import altair as alt

    shown = hashes[:10]
    data = values_of(
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
    words = Words(
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
    return drawn(words, at)


def _name(number: int, row: Row) -> str:
    """A rule hash at a distance, on its axis: short, and never the same as another."""
    rule = row["rule_id"]
    short = rule if len(rule) <= _LONGEST_NAME else f"{rule[: _LONGEST_NAME - 1]}…"
    return f"{number}. {short} {row['rule_hash'][:4]}… at {row['distance']}"
