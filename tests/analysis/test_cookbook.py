"""The questions of every page are asked, and what docs/sql-cookbook.md shows is run."""

import re
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from phash_dagster.analysis import questions as module
from phash_dagster.analysis.ask import ask
from phash_dagster.analysis.questions import find_question, questions
from phash_dagster.cli import app
from phash_dagster.sql import sql_root
from phash_dagster.warehouse import Connection
from tests.analysis.reading import opened
from tests.analysis.world import World, build
from tests.documents.commands import documented_commands
from tests.documents.running import COMPLETE
from tests.preview.past import NOW

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "sql-cookbook.md").read_text(encoding="utf-8")
SHELL = "duckdb -readonly var/analytics.duckdb"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("world"))


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    assert found
    return found


def commands() -> list[str]:
    """Every question that some page asks at the command line, each once."""
    asked = (
        COMPLETE.get(invocation.text, invocation.text).replace("NAME", "silent-rules")
        for command in documented_commands()
        for invocation in command.invocations()
        if invocation.text.startswith("phash-dagster query")
    )
    return list(dict.fromkeys(asked))


@pytest.mark.parametrize("command", commands())
def test_a_command_does_what_it_says(
    world: World, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command.split()[1:]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(world.settings.data_dir))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "Making" not in result.stderr
    if "--output" in arguments:
        assert (tmp_path / arguments[-1]).read_text().count("\n") > 1
    else:
        assert result.stdout.strip()


def sessions() -> list[list[str]]:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    found = [
        block.splitlines()
        for text in texts
        for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
        if re.search(r"^D ", block, flags=re.MULTILINE)
    ]
    assert len(found) > 3
    return found


@pytest.mark.parametrize("lines", sessions())
def test_a_session_in_duckdb_runs_as_it_is_written(world: World, lines: list[str]) -> None:
    first, *typed = lines
    assert first == f"$ {SHELL}"
    with opened(world.path) as connection:
        for line in typed:
            assert line.startswith("D "), line
            run(connection, line.removeprefix("D "))


def run(connection: Connection, line: str) -> None:
    """What the shell does with a line: `.read` is its own, the rest is SQL."""
    if line.startswith(".read "):
        connection.execute((ROOT / line.removeprefix(".read ")).read_text(encoding="utf-8"))
    else:
        assert line.endswith(";")
        connection.execute(line)
    connection.fetchall()


def test_variables_that_stay_set_can_be_let_go(world: World) -> None:
    assert "`RESET VARIABLE since`" in TEXT
    with opened(world.path) as connection:
        connection.execute("SET VARIABLE since = now()")
        connection.execute("RESET VARIABLE since")
        assert connection.execute("SELECT getvariable('since')").fetchall() == [(None,)]


def test_the_python_runs(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "var").symlink_to(world.settings.data_dir)
    (tmp_path / "sql").symlink_to(sql_root())
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    exec(code, {})
    assert f"{NOW:%Y-%m-%d}" in capsys.readouterr().out


def test_a_file_of_ones_own_becomes_a_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [text] = blocks("sql")
    monkeypatch.setattr(module, "statements", lambda _folder: {"labels_of_pds": text})
    question = find_question("labels-of-pds")
    assert question.asks == "Which labels did accounts of one PDS get?"
    assert [parameter.name for parameter in question.parameters] == ["pds", "since"]
    values = question.values({"pds": "https://pds.example:2583"}, lambda _: NOW)
    answer = ask(world.path, question, values | {"since": NOW.replace(year=2025)})
    assert answer.rows.num_rows
    with opened(world.path) as connection, pytest.raises(duckdb.Error, match="SET VARIABLE pds"):
        connection.execute(text)


def test_every_question_has_its_place_in_the_table() -> None:
    named = set(re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| .*", TEXT, re.MULTILINE))))
    assert named == set(questions())
