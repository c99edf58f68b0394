"""The command line."""

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.commands import hashes
from phash_dagster.images.files import UnhashedImage
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


@pytest.fixture
def folder(picture: Path) -> Path:
    """A picture, a broken one and a text."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG")
    picture.with_name("broken.jpg").write_bytes(buffer.getvalue()[:200])
    picture.with_name("notes.txt").write_text("no image")
    return picture.parent


def test_what_cannot_be_hashed_is_a_line_of_its_own_and_the_others_go_on(folder: Path) -> None:
    broken, missing, picture = (folder / name for name in ("broken.jpg", "missing", "picture.png"))
    result = runner.invoke(app, ["hash", str(broken), str(missing), str(picture)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"phash-dagster: {broken}: corrupt: ")
    assert second == f"phash-dagster: {missing}: no such file"


def test_hash_finds_the_images_in_a_folder(folder: Path) -> None:
    result = runner.invoke(app, ["hash", str(folder)])
    assert result.exit_code == 1
    assert [line.partition("  ")[2] for line in result.stdout.splitlines()] == [
        str(folder / "picture.png")
    ]
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_without_images_is_a_failure_that_says_so(tmp_path: Path) -> None:
    result = runner.invoke(app, ["hash", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr == f"phash-dagster: there is no image in {tmp_path}\n"


def test_a_name_can_neither_steer_the_terminal_nor_forge_a_line(picture: Path) -> None:
    good, bad = picture.parent / "a\n\x1b[2Jb.png", picture.parent / "\x1b]0;c\x07.png"
    picture.rename(good)
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = runner.invoke(app, ["hash", str(picture.parent)])
    assert not set("\x1b\x07") & set(result.output)
    assert result.stdout.endswith("a\\n\\x1b[2Jb.png\n")
    assert len(result.stdout.splitlines()) == len(result.stderr.splitlines()) == 1


def test_a_name_that_is_no_text_is_written_with_escapes(picture: Path) -> None:
    picture.rename(picture.with_name(os.fsdecode(b"\xff.png")))
    program = str(Path(sys.executable).with_name("phash-dagster"))
    done = subprocess.run(
        [program, "hash", str(picture.parent)],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"/\\udcff.png\n")


def test_several_algorithms_make_a_line_each_with_their_name(picture: Path) -> None:
    options = ["--algorithm", "average,difference", "--algorithm", "perceptual", "-a", "average"]
    result = runner.invoke(app, ["hash", *options, str(picture)])
    rows = [line.split("  ") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["average", "difference", "perceptual"]
    alone = runner.invoke(app, ["hash", "-a", "difference", str(picture)])
    assert alone.stdout == f"{rows[1][1]}  {picture}\n"


def test_an_unknown_algorithm_is_refused_with_the_known_ones(picture: Path) -> None:
    result = runner.invoke(app, ["hash", "-a", "avrage", str(picture)])
    assert result.exit_code == 2
    assert "'avrage'" in result.stderr


def test_an_algorithm_whose_package_is_missing_says_how_to_install_it(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phash_dagster.hashing.pdq.find_spec", lambda _: None)
    result = runner.invoke(app, ["hash", "-a", "pdq", str(picture)])
    assert result.exit_code == 2
    assert "--extra pdq" in result.stderr


def test_json_has_an_object_per_image_and_algorithm(folder: Path) -> None:
    result = runner.invoke(app, ["hash", "--json", "-a", "average,difference", str(folder)])
    assert result.exit_code == 1
    assert result.stderr == ""
    broken, average, difference = map(json.loads, result.stdout.splitlines())
    assert broken.keys() == {"source", "error"}
    assert broken["error"].startswith("corrupt: ")
    assert average | {"hash": "", "quality": 0} == {
        "source": str(folder / "picture.png"),
        "algorithm": "average",
        "hash": "",
        "quality": 0,
        "width": 64,
        "height": 48,
        "format": "png",
        "rendition": None,
    }
    assert difference["algorithm"] == "difference"


def test_an_address_within_the_own_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORK", "false")
    result = runner.invoke(app, ["hash", "https://127.0.0.1/x.png"])
    assert result.exit_code == 1
    assert "a loopback address (set ALLOW_PRIVATE_NETWORK=true" in result.stderr


def test_a_bar_is_drawn_for_a_person_who_watches_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(hashes.BAR_FROM):
        pictures.photo(number, (64, 48)).save(tmp_path / f"{number:02}.png")
    quiet = runner.invoke(app, ["hash", str(tmp_path)])
    assert quiet.stderr == ""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    output = hashes._Output()
    failure = UnhashedImage("[bold]x.png", "no such file")
    with hashes._progress(iter([(failure,)] * 30), 30, output) as results:
        for _ in results:
            output.failure(failure)
    shown = stream.getvalue()
    assert "30/30" in shown
    assert shown.count("phash-dagster: [bold]x.png: no such file\n") == 30


def test_compare_prints_a_distance_per_algorithm(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    pictures.photo(2, (64, 48)).save(other)
    same = runner.invoke(app, ["compare", str(picture), str(picture)])
    assert same.exit_code == 0
    rows = {line.split()[0]: line for line in same.stdout.splitlines()}
    assert {"average", "average-integer", "difference", "perceptual"} <= rows.keys()
    assert all(" 0 of " in line and "; match at" in line for line in rows.values())
    different = runner.invoke(app, ["compare", "-a", "average", str(picture), str(other)])
    [line] = different.stdout.splitlines()
    assert "; no match at the usual threshold of 3" in line


def test_compare_takes_hashes(picture: Path) -> None:
    text = runner.invoke(app, ["hash", str(picture)]).stdout.split()[0]
    against_file = runner.invoke(app, ["compare", "-a", "average", text.upper(), str(picture)])
    assert against_file.stdout.startswith("average            0 of 64 bits")
    both = runner.invoke(app, ["compare", "-a", "average", "0" * 16, "0" * 15 + "7"])
    assert both.stdout.startswith("average            3 of 64 bits; match")


def test_hashes_of_different_lengths_are_not_compared() -> None:
    result = runner.invoke(app, ["compare", "0" * 16, "0" * 64])
    assert result.exit_code == 1
    assert result.stderr.startswith("phash-dagster: the two have no algorithm in common")


def test_compare_says_what_cannot_be_hashed(picture: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["compare", str(picture), str(tmp_path / "missing")])
    assert result.exit_code == 1
    assert result.stderr == f"phash-dagster: {tmp_path / 'missing'}: no such file\n"


def test_calibrate_tells_which_algorithm_made_a_list(tmp_path: Path) -> None:
    lines = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        pictures.photo(number, (64, 48)).save(path)
        text = runner.invoke(app, ["hash", "-a", "difference", str(path)]).stdout.split()[0]
        lines.append(f"{path.name},{text}")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\n".join(lines))
    result = runner.invoke(app, ["calibrate", str(pairs)])
    assert result.exit_code == 0
    *table, decision = result.stdout.splitlines()
    assert table[0].startswith("difference       identical 12 of 12")
    assert decision == "The list was made by difference."


def test_calibrate_fails_on_a_list_it_does_not_know(picture: Path) -> None:
    pairs = picture.with_name("pairs.csv")
    pairs.write_text(f"{picture.name},0123456789abcdef\nmissing.png,0123456789abcdef\n")
    result = runner.invoke(app, ["calibrate", str(pairs)])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "None of these algorithms made the list."
    assert "missing.png: no such file" in result.stderr
    pairs.write_text("nonsense\n")
    assert runner.invoke(app, ["calibrate", str(pairs)]).exit_code == 2


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
