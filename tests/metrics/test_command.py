"""`phash-dagster metrics`."""

import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.warehouse import Warehouse
from tests.ingest.records import record
from tests.metrics.scraped import Scraped

runner = CliRunner()
STORES = ("warehouse", "ledger", "ingest")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stores of a pipeline that has run, in DATA_DIR."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LEDGER_URL", raising=False)
    with Warehouse(tmp_path / "warehouse.duckdb").write():
        pass
    Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").close()
    IngestRecords.under(tmp_path).write(record(ended=utc_now()))
    return tmp_path


def test_it_prints_the_metrics_of_every_store(pipeline: Path) -> None:
    result = runner.invoke(app, ["metrics"])
    assert result.exit_code == 0, result.output
    found = Scraped(result.stdout)
    assert found.with_labels("source_up", "source") == dict.fromkeys(STORES, 1)
    assert found.value("ingest_events_total") == 0
    lag = found.value("ingest_lag_seconds")
    assert lag is not None
    assert 0 <= lag < 600
    assert result.stderr == ""


def test_what_cannot_be_read_is_said_and_the_rest_is_there(pipeline: Path) -> None:
    (pipeline / "ledger.sqlite").write_bytes(b"this is no database at all")
    result = runner.invoke(app, ["metrics"])
    assert result.exit_code == 1
    assert result.stderr.startswith("phash-dagster: no metrics of the ledger: ")
    assert "Traceback" not in result.stderr
    found = Scraped(result.stdout)
    assert found.value("source_up", source="ledger") == 0
    assert found.value("source_up", source="warehouse") == 1


def test_before_the_first_run_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LEDGER_URL", raising=False)
    result = runner.invoke(app, ["metrics"])
    assert result.exit_code == 1
    assert result.stderr.count("yet") == len(STORES)
    assert list(tmp_path.iterdir()) == []


def test_a_textfile_takes_its_name_in_one_step(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pipeline / "textfile"
    folder.mkdir()
    path = folder / "phash.prom"
    path.write_text("what was there before")
    renamed: list[str] = []
    rename = os.rename

    def watched(source: str, target: str) -> None:
        assert path.read_text() == "what was there before"
        assert "phash_dagster_build_info" in Path(source).read_text()
        renamed.append(str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    result = runner.invoke(app, ["metrics", "--textfile", str(path)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert renamed == [str(path)]
    assert Scraped(path.read_text()).value("source_up", source="ingest") == 1
    assert list(folder.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_an_error_in_words(pipeline: Path) -> None:
    path = pipeline / "missing" / "phash.prom"
    result = runner.invoke(app, ["metrics", "--textfile", str(path)])
    assert result.exit_code == 2
    assert "cannot be written (No such file or directory)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--textfile", "metrics.txt"], "end with .prom"),
        (["--serve", "everywhere"], "write a port"),
        (["--serve", "70000"], "write a port"),
        (["--serve", "9477", "--textfile", "a.prom"], "do not go together"),
    ],
)
def test_wrong_arguments_are_explained(pipeline: Path, arguments: list[str], said: str) -> None:
    result = runner.invoke(app, ["metrics", *arguments], terminal_width=200)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_port_that_is_taken_is_an_error_in_words(pipeline: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = runner.invoke(app, ["metrics", "--serve", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in result.stderr


@pytest.mark.slow
def test_scrapes_are_answered_on_the_loopback_address_alone(pipeline: Path) -> None:
    command = [sys.executable, "-m", "phash_dagster.cli", "metrics", "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.fullmatch(r"Metrics are on (http://127\.0\.0\.1:\d+/metrics)\n", line)
            assert match, line
            with urllib.request.urlopen(match[1], timeout=60) as answer:
                found = Scraped(answer.read().decode())
        finally:
            process.terminate()
    assert found.with_labels("source_up", "source") == dict.fromkeys(STORES, 1)
