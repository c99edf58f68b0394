"""The charts of a report, as SVG that stands in the page.

Drawn by Vega-Altair, rendered by vl-convert: no browser, no script, no network. Both take a second
to import and are wanted by reports alone, so they are imported where they are used.

Colours are variables of the page's style sheet, so a chart follows light and dark as the text does.
None is needed to read a chart: each series has a panel, a dash or an outline of its own. Each chart
is drawn twice, for wide and narrow windows; the style sheet shows one.
"""

from phash_dagster.reports.charts.drawing import Chart
from phash_dagster.reports.charts.lag import lag_chart
from phash_dagster.reports.charts.precision import precision_chart
from phash_dagster.reports.charts.spans import (
    actions_chart,
    matches_chart,
    rule_actions_chart,
    seen_chart,
)
from phash_dagster.reports.data import MatchReport

__all__ = ["Chart", "draw"]


def draw(report: MatchReport) -> dict[str, Chart]:
    """The charts by id; those without anything to show are left out."""
    made = (
        seen_chart(report.reading.trend),
        lag_chart(report.reading.lag_per_hour),
        matches_chart(report.acting.matches_trend),
        actions_chart(report.acting.actions_trend),
        rule_actions_chart(report.acting.rule_actions_trend),
        precision_chart(report.judging.hashes),
    )
    return {chart.id: chart for chart in made if chart}
