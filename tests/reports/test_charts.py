"""The charts of a report: whole, in the colours of the page, and in words too."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from phash_dagster.reports.charts import Chart, draw
from phash_dagster.reports.data import MatchReport

pytestmark = pytest.mark.slow

HOSTILE = '</svg><script>alert("1")</script>'


def drawings(charts: dict[str, Chart]) -> Iterator[tuple[Chart, ElementTree.Element]]:
    for chart in charts.values():
        for text in (chart.wide, chart.narrow):
            yield chart, ElementTree.fromstring(text)


def test_there_is_a_chart_for_each_question(charts: dict[str, Chart]) -> None:
    assert list(charts) == ["seen", "lag", "matches", "actions", "rule-actions", "precision"]


def test_over_nothing_nothing_is_drawn(empty: MatchReport) -> None:
    assert draw(empty) == {}


def test_a_chart_is_an_image_with_its_title_and_text(charts: dict[str, Chart]) -> None:
    for chart, svg in drawings(charts):
        assert svg.get("role") == "img"
        assert svg.get("aria-label") == f"{chart.title}. {chart.text}"


def test_nothing_in_a_chart_has_a_colour_of_its_own(charts: dict[str, Chart]) -> None:
    allowed = {None, "none", "transparent", "currentColor", "var(--mark)", "var(--line)"}
    for _, svg in drawings(charts):
        for element in svg.iter():
            assert {element.get("fill"), element.get("stroke")} <= allowed
            assert element.get("style") is None, "the page allows no styles but its own"


def test_the_narrow_drawing_fits_a_telephone(charts: dict[str, Chart]) -> None:
    for chart in charts.values():
        narrow, wide = (ElementTree.fromstring(text) for text in (chart.narrow, chart.wide))
        assert float(narrow.get("width", "")) <= 400
        assert 600 < float(wide.get("width", "")) <= 1120


def test_the_table_holds_what_is_drawn(report: MatchReport, charts: dict[str, Chart]) -> None:
    seen = charts["seen"]
    assert seen.columns[:3] == ("Day", "Seen", "Hashed")
    assert [row[2] for row in seen.rows] == list(report.reading.trend.series["hashed"])
    for chart in charts.values():
        assert {len(row) for row in chart.rows} == {len(chart.columns)}


def test_the_words_name_the_figures(report: MatchReport, charts: dict[str, Chart]) -> None:
    worst = report.judging.hashes[0]
    assert f"{worst['rule_id']}, hash {worst['rule_hash']}" in charts["precision"].text
    for rule, counts in report.acting.rule_actions_trend.series.items():
        assert f"{rule} {sum(counts)}" in charts["rule-actions"].text
    assert f"sent {report.acting.actions_trend.total('sent')}" in charts["actions"].text
    assert "50.0 s" not in charts["lag"].text, "an hour is as bad as 95 of 100 batches"
    assert "Worst hour: 2026-11-23 18:00" in charts["lag"].text


@pytest.mark.parametrize("name", ["matches", "rule-actions"])
def test_the_busiest_rules_stand_first(charts: dict[str, Chart], name: str) -> None:
    chart = charts[name]
    totals = [
        sum(int(str(row[place])) for row in chart.rows) for place in range(1, len(chart.columns))
    ]
    assert len(totals) > 1
    assert totals == sorted(totals, reverse=True)


def test_names_are_only_text(report: MatchReport) -> None:
    trend = report.acting.matches_trend
    series = {HOSTILE: next(iter(trend.series.values()))}
    hostile = replace(
        report, acting=replace(report.acting, matches_trend=replace(trend, series=series))
    )
    for _, svg in drawings({"matches": draw(hostile)["matches"]}):
        assert not [element for element in svg.iter() if element.tag.endswith("script")]
        assert any((element.text or "").startswith(HOSTILE) for element in svg.iter())


def test_the_pipeline_does_not_import_what_draws() -> None:
    code = (
        "import sys, phash_dagster.definitions, phash_dagster.cli, phash_dagster.reports.render; "
        "phash_dagster.definitions.definitions(); "
        "print({'altair', 'vl_convert', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip().splitlines()[-1] == "set()"
