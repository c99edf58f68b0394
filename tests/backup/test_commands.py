"""`phash-dagster backup` and `restore` at the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.settings import Settings
from phash_dagster.stack import exclusive
from tests.backup.conftest import Databases
from tests.backup.pipelines import Stores

pytestmark = pytest.mark.slow


@pytest.fixture
def storage() -> str:
    return "sqlite"


class Console:
    """Runs commands with the settings of a place, and none of the user's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        monkeypatch.chdir(folder)

    def run(self, stores: Stores, *arguments: str) -> Result:
        for name in (*Settings.model_fields, "dagster_home"):
            self._patch.delenv(name.upper(), raising=False)
        own = {"DATA_DIR": stores.settings.data_dir, "RULES_DIR": stores.settings.rules_dir}
        for name, value in {**own, **stores.variables}.items():
            self._patch.setenv(name, str(value))
        return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Console:
    return Console(monkeypatch, tmp_path)


def test_a_backup_in_a_folder_is_named_by_the_time_and_comes_back(
    console: Console, stores: Stores, tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir()
    said = console.run(stores, "backup", "backups")
    assert said.exit_code == 0, said.output
    assert "secrets are not in it" in said.stdout
    [file] = (tmp_path / "backups").iterdir()
    assert file.match("phash-dagster-20??????T??????Z.zip")

    checked = console.run(stores, "restore", "--check", str(file))
    assert (checked.exit_code, "is whole" in checked.stdout) == (0, True), checked.output

    other = Stores(tmp_path / "two")
    restored = console.run(other, "restore", str(file))
    assert restored.exit_code == 0, restored.output
    assert "asked of Ozone before anything is sent" in restored.stdout
    assert other.contents() == stores.contents()

    again = console.run(other, "restore", str(file))
    assert again.exit_code == 2
    assert "not empty" in again.stderr


def test_nothing_is_restored_under_a_running_pipeline(
    console: Console, stores: Stores, tmp_path: Path
) -> None:
    console.run(stores, "backup", "backup.zip")
    other = Stores(tmp_path / "two")
    with exclusive(other.settings):
        said = console.run(other, "restore", "backup.zip")
    assert said.exit_code == 2
    assert "another phash-dagster is running" in said.stderr


def test_a_backup_needs_the_settings_that_the_pipeline_has(
    console: Console, new_database: Databases, tmp_path: Path
) -> None:
    pipeline = Stores(tmp_path / "pg", {"DAGSTER_STORAGE_URL": new_database()})
    pipeline.fill()
    instance_file = pipeline.settings.data_dir / "dagster" / "dagster.yaml"
    before = instance_file.read_text()
    said = console.run(Stores(pipeline.folder), "backup", "backup.zip")
    assert said.exit_code == 2
    assert "DAGSTER_STORAGE_URL is not" in said.stderr
    assert instance_file.read_text() == before
    assert not (tmp_path / "backup.zip").exists()


def test_where_no_pipeline_was_there_is_nothing_to_back_up(
    console: Console, tmp_path: Path
) -> None:
    said = console.run(Stores(tmp_path / "none"), "backup", "backup.zip")
    assert said.exit_code == 2
    assert "no pipeline was started on this DATA_DIR" in said.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "nonsense"], ids=["empty", "nonsense"])
def test_a_file_that_is_none_is_said_to_be_none(
    text: str, console: Console, tmp_path: Path
) -> None:
    (tmp_path / "x.zip").write_text(text)
    said = console.run(Stores(tmp_path / "none"), "restore", "x.zip")
    assert said.exit_code == 2
    assert "no complete backup" in said.stderr
