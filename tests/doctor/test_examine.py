"""How the doctor works: it changes nothing, it ends, and no fault of one check hides the others."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.doctor import Finding, Status, examine
from phash_dagster.doctor import machine as machine_checks
from phash_dagster.doctor.model import Patient
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import settings_from
from phash_dagster.warehouse import Warehouse
from tests.doctor.conftest import Practice

pytestmark = pytest.mark.slow

runner = CliRunner()


def fingerprints(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below, with its content and the time of its last change."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_is_changed_on_disk_or_at_ozone(practice: Practice, is_open: bool) -> None:
    settings = settings_from(practice.variables)
    with Warehouse(settings.warehouse_path).write():
        pass
    ledger = Ledger(settings.effective_ledger_url)
    if not is_open:
        ledger.close()
    before = fingerprints(practice.folder)
    practice.findings()
    after = fingerprints(practice.folder)
    ledger.close()
    # What SQLite keeps for those who have it open is no content.
    assert {name: found for name, found in after.items() if "-shm" not in name} == {
        name: found for name, found in before.items() if "-shm" not in name
    }
    assert practice.sandbox.world.moderation.events() == []


def test_a_folder_that_does_not_exist_is_not_made(practice: Practice) -> None:
    practice.findings()
    assert not practice.data_dir.exists()


def test_a_check_that_breaks_is_a_finding_and_the_others_are_there(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Patient) -> Iterator[Finding]:
        raise KeyError("oops")
        yield

    monkeypatch.setattr(machine_checks, "look_at_disk", broken)
    found = practice.about("disk")
    assert found.status == Status.PROBLEM
    assert "KeyError: 'oops'" in found.found


def test_a_check_that_hangs_is_a_finding(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hanging(_: Patient) -> Iterator[Finding]:
        release.wait(60)
        yield from ()

    monkeypatch.setattr(machine_checks, "look_at_disk", hanging)
    findings = examine(settings_from(practice.variables), practice.around, longest_seconds=5)
    release.set()
    [found] = [one for one in findings if one.about == "disk"]
    assert found.status == Status.PROBLEM
    assert found.found == "no result within 5 s"


def test_progress_names_every_check_once(practice: Practice) -> None:
    names: list[str] = []
    examine(settings_from(practice.variables), practice.around, progress=names.append)
    assert len(names) == len(set(names)) > 10


@pytest.fixture
def environment(practice: Practice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Practice:
    monkeypatch.chdir(tmp_path)
    for name, value in practice.variables.items():
        monkeypatch.setenv(name, value)
    return practice


def test_the_command_prints_a_table_and_what_to_do(environment: Practice) -> None:
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(line.split()[:2] == ["ok", "role"] for line in lines)
    environment.write_rules()
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0, "warnings are no problem"
    assert "→ Write some: rules/README.md." in result.stdout
    assert "Problems: 0, warnings: 1." in result.stdout


def test_a_problem_is_exit_code_1(environment: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMOD_PASSWORD", "aaaa-bbbb-cccc-dddd")
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["status"] == "problem"
    [login] = [one for one in answer["findings"] if one["about"] == "login"]
    assert login["status"] == "problem"
    assert login["advice"].startswith("Check AUTOMOD_HANDLE and AUTOMOD_PASSWORD")
    assert "aaaa-bbbb" not in result.output


def test_settings_that_cannot_be_used_are_a_finding_too(
    environment: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESSING_CONCURRENCY", "many")
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)["findings"]
    assert finding["about"] == "settings"
    assert finding["found"].startswith("PROCESSING_CONCURRENCY: ")


def test_what_servers_say_can_not_steer_the_terminal(
    environment: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = Finding("disk", Status.WARNING, "\x1b[2J[bold]x[/bold]\nok role", "\x1b]0;x\x07")
    monkeypatch.setattr("phash_dagster.doctor.examine", lambda *_, **__: [hostile])
    result = runner.invoke(app, ["doctor"])
    assert not set("\x1b\x07") & set(result.output)
    assert "[bold]x[/bold] ok role" in result.output
