"""The command line."""

import io
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.sandbox import images as pictures

runner = CliRunner()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    pictures.photo(1, (64, 48)).save(path)
    return path


def test_hash_prints_a_line_per_file_as_sha256sum_does(picture: Path) -> None:
    result = runner.invoke(app, ["hash", str(picture), str(picture)])
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    value, _, path = first.partition("  ")
    assert (len(value), path) == (16, str(picture))
    assert first == second


def test_hash_reads_standard_input(picture: Path) -> None:
    by_path = runner.invoke(app, ["hash", str(picture)])
    by_input = runner.invoke(app, ["hash", "-"], input=picture.read_bytes())
    assert by_input.stdout.split() == [by_path.stdout.split()[0], "-"]


def test_a_file_that_cannot_be_hashed_is_a_line_of_its_own_and_the_others_go_on(
    picture: Path, tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG")
    broken.write_bytes(buffer.getvalue()[:200])
    result = runner.invoke(app, ["hash", str(broken), str(missing), str(tmp_path), str(picture)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert str(broken) in lines[0]
    assert "corrupt" in lines[0]
    assert "no such file" in lines[1]
    assert "directory" in lines[2].lower()


def test_a_wrong_setting_is_one_line_and_no_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSING_CONCURRENCY", "many")
    result = runner.invoke(app, ["report"])
    assert result.exit_code == 2
    assert result.stderr.startswith("PROCESSING_CONCURRENCY: ")
    assert "Traceback" not in result.output


def test_a_data_folder_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("DATA_DIR", str(in_the_way))
    result = runner.invoke(app, ["report"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"DATA_DIR: {in_the_way} cannot be written")


def test_report_writes_a_page_and_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    result = runner.invoke(app, ["report", "--days", "2"])
    assert result.exit_code == 0
    assert "Match report" in Path(result.stdout.strip()).read_text()


def test_the_demo_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years")
    result = runner.invoke(app, ["demo", "--data-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "not from an earlier demo" in result.stderr
    assert precious.read_text() == "ten years"


def test_a_port_that_is_taken_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = runner.invoke(app, ["dev", "--port", str(port)])
    assert result.exit_code == 2
    assert f"127.0.0.1:{port} cannot be used" in result.stderr
    assert not (tmp_path / "dagster").exists()


def test_the_command_is_installed_and_light() -> None:
    program = Path(sys.executable).with_name("phash-dagster")
    help_text = subprocess.run(
        [program, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "Image-hash moderation" in help_text
    imports = subprocess.run(
        [sys.executable, "-c", "import phash_dagster.cli, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"dagster", "duckdb", "pyarrow", "PIL", "atproto"} & set(imports)
