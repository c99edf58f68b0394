"""`phash-dagster query`: what it prints, writes and refuses."""

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from phash_dagster.analysis import make_snapshot
from phash_dagster.analysis.questions import questions
from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.warehouse import Warehouse
from tests.analysis.conftest import Snapped
from tests.preview.past import MEME, NOW, entry, near, post, uri

pytestmark = pytest.mark.slow


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["query", *map(str, arguments)])


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapped:
    """A past that ends now, which the command reads by the environment."""
    past = Snapped(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(past.settings.data_dir))
    past.hash({"x": MEME, "y": near(MEME, 2)})
    now = utc_now()
    past.posts.write_batch(
        [
            post("1", "x", at=now, hours_ago=30),
            post("2", "y", at=now, did="did:plc:b"),
            post("3", "y", at=now, did="did:plc:b"),
        ],
        start="1",
        now=now,
    )
    past.put_in_force(entry())
    return past


ASK = ("busiest-hashes", "--param", "since=1d")


def test_the_first_question_makes_the_snapshot(past: Snapped) -> None:
    result = run(*ASK)
    assert result.exit_code == 0
    assert "Making a snapshot, since there is no snapshot yet." in result.stderr
    assert past.path.exists()
    [line] = [line.split() for line in result.stdout.splitlines() if "meme" in line]
    assert line[:5] == ["meme", f"{MEME:016x}", "2", "1", "1"]
    again = run(*ASK)
    assert again.stdout == result.stdout
    assert "Making" not in again.stderr


def test_an_answer_says_as_of_when_it_is(past: Snapped) -> None:
    make_snapshot(past.sources, past.path, lambda: NOW - timedelta(days=9))
    assert run(*ASK).stderr == "As of 2026-11-14 20:15:00 UTC; --fresh makes a new snapshot.\n"
    assert run(*ASK, "--format", "csv").stderr == (
        "As of 2026-11-14 20:15:00 UTC; --fresh makes a new snapshot.\n"
    )


def test_a_fresh_one_knows_what_came_since(past: Snapped) -> None:
    run(*ASK)
    now = utc_now()
    past.posts.write_batch([post("4", "x", at=now)], start="2", now=now)
    past.hash({"z": MEME})
    past.put_in_force()
    assert "--fresh" not in run(*ASK).stderr
    answer = json.loads(run(*ASK, "--fresh", "-f", "json").stdout)
    assert answer[0]["posts"] == 3


def test_csv_is_for_spreadsheets(past: Snapped) -> None:
    result = run(*ASK, "-f", "csv")
    [row] = csv.DictReader(io.StringIO(result.stdout))
    assert row["rule_id"] == "meme"
    assert row["posts"] == "2"
    assert row["last_seen"].endswith("+00:00")
    assert row["set_aside"] == ""


def test_json_is_for_programs(past: Snapped) -> None:
    [row] = json.loads(run(*ASK, "-f", "json").stdout)
    assert row["rule_hash"] == f"{MEME:016x}"
    assert (row["posts"], row["set_aside"]) == (2, None)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "txt"])
def test_a_file_is_written_as_its_name_ends(past: Snapped, ending: str) -> None:
    path = past.settings.data_dir / f"answer.{ending}"
    result = run(*ASK, "--output", path)
    assert result.exit_code == 0
    assert result.stdout == ""
    if ending == "parquet":
        assert pq.read_table(path).column("posts").to_pylist() == [2]
        assert duckdb.execute("FROM read_parquet($1)", [str(path)]).fetchall()[0][0] == "meme"
    else:
        assert "meme" in path.read_text(encoding="utf-8")


def test_a_format_can_be_named_for_any_file(past: Snapped) -> None:
    path = past.settings.data_dir / "answer"
    run(*ASK, "-o", path, "-f", "json")
    assert json.loads(path.read_text())[0]["posts"] == 2


def test_parquet_needs_a_file(past: Snapped) -> None:
    result = run(*ASK, "-f", "parquet")
    assert result.exit_code == 2
    assert "parquet is for files: name one with --output FILE" in result.stderr


def test_a_file_that_cannot_be_written_is_an_error_in_words(past: Snapped) -> None:
    result = run(*ASK, "-o", past.settings.data_dir / "no" / "such" / "answer.csv")
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_list_has_every_question_and_its_parameters() -> None:
    result = run("--list")
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    for question in questions().values():
        assert question.name in lines
        place = lines.index(question.name)
        assert lines[place + 1] == f"    {question.asks}"
        for parameter in question.parameters:
            assert parameter.name in lines[place + 2]


def test_the_statement_is_shown_for_other_clients(past: Snapped) -> None:
    make_snapshot(past.sources, past.path, utc_now)
    text = run("busiest-hashes", "--sql").stdout
    assert text == questions()["busiest-hashes"].sql
    with past.open() as connection:
        connection.execute("SET VARIABLE since = now() - INTERVAL 1 DAY")
        assert connection.execute(text).fetchall()[0][:3] == ("meme", f"{MEME:016x}", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("busyest-hashes",), "there is no question 'busyest-hashes', perhaps busiest-hashes"),
        (("account-matches",), "account-matches needs account (DID of the account)"),
        (("busiest-hashes", "-p", "since"), "write --param since=…, a name and a value"),
        (("busiest-hashes", "-p", "since=soon"), "since: 'soon' is no time; write 30d, 12h, 2w"),
        (("busiest-hashes", "-p", "rule=x"), "has no parameter 'rule'; it has since, most"),
    ],
)
def test_a_mistake_is_said_in_words(
    past: Snapped, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not past.path.exists(), "nothing was begun"


def test_no_name_is_answered_with_what_to_do() -> None:
    result = run()
    assert result.exit_code == 2
    assert "--list" in result.stderr


def test_a_folder_without_data_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    result = run(*ASK)
    assert result.exit_code == 2
    assert "has no data yet: start the pipeline with `phash-dagster dev`" in result.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_value_is_bound_and_never_becomes_sql(past: Snapped) -> None:
    hostile = "x'); DROP VIEW post_matches; --"
    assert run("account-matches", "-p", f"account={hostile}", "-f", "json").stdout == "[]\n"
    assert run("account-matches", "-p", "account=did:plc:b", "-f", "json").stdout != "[]\n"


def test_what_a_stranger_wrote_cannot_steer_the_terminal(past: Snapped) -> None:
    now = utc_now()
    evil = post("\x1b[2J[red]\n", "x", at=now, did="did:plc:e")
    past.posts.write_batch([evil], start="9", now=now)
    result = run("account-matches", "-p", "account=did:plc:e")
    assert "\x1b" not in result.stdout
    assert uri("�[2J[red]�", "did:plc:e") in result.stdout


def test_a_snapshot_of_another_release_is_made_anew(past: Snapped) -> None:
    make_snapshot(past.sources, past.path, utc_now)
    with duckdb.connect(past.path) as connection:
        connection.execute("UPDATE about_snapshot SET made_by = 'an earlier one'")
    result = run(*ASK)
    assert result.exit_code == 0
    assert "since the snapshot was made by another release" in result.stderr
    past.path.unlink()
    past.path.symlink_to("elsewhere.duckdb")
    duckdb.connect(past.path.parent / "elsewhere.duckdb").close()
    assert "since the snapshot was made by another release" in run(*ASK).stderr


def test_a_shell_that_has_the_snapshot_open_for_writing_is_no_hindrance(past: Snapped) -> None:
    make_snapshot(past.sources, past.path, utc_now)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.analysis.shell", str(past.path), "--write"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdin is not None
        shell.stdout.readline()
        result = run(*ASK)
        shell.stdin.close()
    assert result.exit_code == 0
    assert "since a program has the snapshot open for writing" in result.stderr
    assert "meme" in result.stdout


def test_who_has_the_working_file_open_is_named(
    past: Snapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Warehouse.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Warehouse.__init__.__kwdefaults__, "lock_wait_seconds", 0.2)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.analysis.shell", str(past.warehouse.path), "--write"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdin is not None
        shell.stdout.readline()
        result = run(*ASK)
        shell.stdin.close()
    assert result.exit_code == 2
    assert "was in use by another process" in result.stderr
