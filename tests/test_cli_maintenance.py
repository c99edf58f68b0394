"""`phash-dagster maintenance`."""

from pathlib import Path

import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.settings import settings_from
from phash_dagster.stack import exclusive, prepare_home
from tests.maintenance.past import NOW, full_past

pytestmark = pytest.mark.slow

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the pipeline has run; posts are kept for 5 days."""
    monkeypatch.chdir(tmp_path)
    variables = {"DATA_DIR": str(tmp_path / "data"), "RETENTION_DAYS": "5"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("phash_dagster.clock.utc_now", lambda: NOW)
    full_past(tmp_path / "data")
    environment = prepare_home(settings_from(variables), {})
    with DagsterInstance.from_config(environment["DAGSTER_HOME"]):
        pass
    return tmp_path / "data"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in (folder / "image_posts").rglob("*.parquet")
        if not path.name.startswith("_")
    }


def test_a_dry_run_tells_what_would_go_and_changes_nothing(folder: Path) -> None:
    before = files(folder)
    result = runner.invoke(app, ["maintenance", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "hours of posts to remove" in result.output
    assert "Nothing was changed." in result.output
    assert files(folder) == before


def test_it_removes_what_has_expired(folder: Path) -> None:
    before = len(files(folder))
    result = runner.invoke(app, ["maintenance"])
    assert result.exit_code == 0, result.output
    assert "images forgotten" in result.output
    assert 0 < len(files(folder)) < before


def test_while_the_pipeline_runs_it_says_what_to_do_instead(folder: Path) -> None:
    settings = settings_from({"DATA_DIR": str(folder)})
    with exclusive(settings):
        result = runner.invoke(app, ["maintenance"])
    assert result.exit_code == 2
    assert "the job `maintain`" in result.output


def test_where_nothing_ran_yet_it_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    result = runner.invoke(app, ["maintenance", "--dry-run"])
    assert result.exit_code == 0
    assert "Nothing has run" in result.output
    assert not (tmp_path / "none").exists()
