"""Documents and alert rules name the metrics that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from phash_dagster.metrics.catalogue import BY_NAME, PREFIX
from tests.metrics.documented import DOCUMENT, table

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
SELECTOR = re.compile(r"(phash_dagster_[a-z_]+)(?:\{([^}]*)\})?")


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8"), "python -m tests.metrics.documented"


def test_the_predecessors_counters_lead_to_metrics_that_there_are() -> None:
    text = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:_total|_seconds))(?:\{([^}]*)\})?`", text)
    assert len(named) >= 10
    for name, labels in named:
        metric = BY_NAME[PREFIX + name]
        assert set(re.findall(r"([a-z_]+)=", labels)) <= set(metric.labels), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    found = SELECTOR.findall(rule["expr"])
    assert found
    for name, labels in found:
        assert set(re.findall(r"([a-z_]+)\s*=", labels)) <= set(BY_NAME[name].labels)
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_takes_rates_of_counters_and_of_nothing_else(rule: dict[str, Any]) -> None:
    for name, _ in SELECTOR.findall(rule["expr"]):
        rated = re.search(rf"(?:rate|increase)\({name}\b", rule["expr"]) is not None
        assert rated == BY_NAME[name].is_counter


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_the_scrape_job_leaves_time_for_the_answer() -> None:
    from phash_dagster.metrics.collector import READ_SECONDS

    job = yaml.safe_load((PROMETHEUS / "scrape.yaml").read_text(encoding="utf-8"))
    [scrape] = job["scrape_configs"]
    assert float(scrape["scrape_timeout"].removesuffix("s")) > READ_SECONDS
    assert scrape["static_configs"] == [{"targets": ["127.0.0.1:9477"]}]
    assert job["rule_files"] == ["alerts.yaml"]
