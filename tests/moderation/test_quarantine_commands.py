"""`phash-dagster quarantine`, and the job that does the same."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.defs.lift_quarantine import lift_quarantine
from phash_dagster.moderation.budgets import HashKey
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import Settings, settings_from
from tests.moderation.builders import HASH, NOW, ManualClock


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LEDGER_URL", "")
    return settings_from({"DATA_DIR": str(tmp_path)})


@pytest.fixture
def flooded(settings: Settings) -> Settings:
    """Two rules have a hash that is flooded."""
    hour = NOW.replace(minute=0)
    counts = {(HashKey(rule_id, HASH), hour): 500 for rule_id in ("rule-1", "rule-2")}
    with Ledger(settings.effective_ledger_url, ManualClock()) as ledger:
        ledger.limits.note_posts(counts, min_posts=50, factor=10)
    return settings


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["quarantine", *arguments])


def quarantined(settings: Settings) -> set[str]:
    with Ledger(settings.effective_ledger_url) as ledger:
        return {each.rule_id for each in ledger.limits.quarantined()}


def test_without_a_ledger_nothing_is_quarantined_and_none_is_made(settings: Settings) -> None:
    assert run("list").output == "No rule hash is quarantined.\n"
    assert not (settings.data_dir / "ledger.sqlite").exists()


def test_quarantined_hashes_are_listed_with_the_reason(flooded: Settings) -> None:
    text = run("list").output
    assert "rule-1" in text
    assert HASH in text
    assert "flood: 500 posts in the hour" in text
    rows = json.loads(run("list", "--json").output)
    assert {row["rule_id"] for row in rows} == {"rule-1", "rule-2"}
    assert rows[0]["since"] == NOW.isoformat()


def test_a_hash_is_lifted_for_all_its_rules_or_for_one(flooded: Settings) -> None:
    assert run("lift", HASH.upper(), "--rule", "rule-1").exit_code == 0
    assert quarantined(flooded) == {"rule-2"}
    assert "actions list --state held" in run("lift", HASH).output
    assert quarantined(flooded) == set()


def test_a_hash_that_is_not_quarantined_is_named(flooded: Settings) -> None:
    result = run("lift", "0" * 16)
    assert result.exit_code == 1
    assert f"{'0' * 16} is not quarantined" in result.stderr
    assert len(quarantined(flooded)) == 2


def test_the_job_lifts_it_too(flooded: Settings) -> None:
    found = lift_quarantine.execute_in_process(
        run_config={"ops": {"lift": {"config": {"rule_hash": HASH}}}},
        resources={"settings": flooded, "clock": ManualClock()},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert found.success
    assert quarantined(flooded) == set()
