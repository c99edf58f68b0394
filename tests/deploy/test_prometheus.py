"""Prometheus's own tool takes alert rules, scrape job and metrics, and tries the rules."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.warehouse import Warehouse
from tests.programs import needed

pytestmark = pytest.mark.slow

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
CASES = Path(__file__).with_name("alerts.test.yaml")


def promtool(*arguments: str | Path, given: str | None = None) -> None:
    command = [needed("promtool", package="prometheus"), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_fire_when_they_should_and_keep_quiet_otherwise() -> None:
    promtool("test", "rules", CASES)


def test_every_rule_is_seen_to_fire() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired: set[str] = set()
    for case in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]:
        for asked in case.get("alert_rule_test", []):
            fired |= {asked["alertname"]} if asked.get("exp_alerts") else set()
        for asked in case.get("promql_expr_test", []):
            fired |= {
                name
                for sample in asked.get("exp_samples", [])
                for name in re.findall(r'alertname="(\w+)"', sample["labels"])
            }
    assert fired == alerts


def test_the_scrape_job_and_the_rules_it_names_are_taken() -> None:
    promtool("check", "config", PROMETHEUS / "scrape.yaml")


def test_metrics_have_names_and_help_as_prometheus_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LEDGER_URL", raising=False)
    with Warehouse(tmp_path / "warehouse.duckdb").write():
        pass
    Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").close()
    IngestRecords.under(tmp_path)
    metrics = CliRunner().invoke(app, ["metrics"])
    assert metrics.stdout.count("# HELP phash_dagster_") > 20
    promtool("check", "metrics", given=metrics.stdout)
