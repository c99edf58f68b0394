"""`phash-dagster import-legacy`."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from tests.legacy.dumps import CID, KEYS, URI, running_redis, write_rdb


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LEDGER_URL", "")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import-legacy", *arguments])


def test_a_dump_is_imported_once(folder: Path) -> None:
    expires = {f"claim:post:label:{URI}:troll": utc_now() + timedelta(days=1)}
    dump = str(write_rdb(folder / "dump.rdb", KEYS, expires))
    first = run(dump)
    assert first.exit_code == 0, first.output
    assert "Found 1 hashes and 2 claims; 1 other keys are left alone." in first.output
    assert "Imported 1 hashes and 2 claims" in first.output
    assert "Imported 0 hashes and 0 claims" in run(dump).output


def test_a_running_redis_is_imported_once(folder: Path) -> None:
    dumps = folder / "redis"
    dumps.mkdir()
    with running_redis(dumps) as server:
        for key, value in KEYS.items():
            server.set(key, value)
        address = f"redis://127.0.0.1:{server.get_connection_kwargs()['port']}"
        assert "Imported" not in run(address, "--dry-run").output
        assert not (folder / "data").exists()
        assert "Imported 1 hashes and 2 claims" in run(address).output
        assert "Imported 0 hashes and 0 claims" in run(address).output


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    dump = str(write_rdb(folder / "dump.rdb", KEYS, {}))
    assert "Imported" not in run(dump, "--dry-run").output
    assert not (folder / "data").exists()


def test_keys_that_cannot_be_understood_are_named(folder: Path) -> None:
    dump = str(write_rdb(folder / "dump.rdb", {f"phash:{CID}": "nonsense"}, {}))
    assert f"1 keys could not be understood, such as 'phash:{CID}'." in run(dump).output


def test_what_cannot_be_read_is_one_line() -> None:
    result = run("nothing.rdb")
    assert result.exit_code == 1
    assert result.stderr.startswith("phash-dagster: nothing.rdb cannot be read")
    assert "Traceback" not in result.output
