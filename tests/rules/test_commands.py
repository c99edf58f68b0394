"""`phash-dagster rules`: what it prints and its exit codes."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.rules import load_folder, save_version
from phash_dagster.settings import load_settings
from phash_dagster.warehouse import Warehouse
from tests.rules.rule_files import NOON, rule, write

FLAT = rule(phashes=["f" * 16], label="flat")


@pytest.fixture(autouse=True)
def rules_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RULES_DIR, and nothing else in the environment or the working directory."""
    folder = tmp_path / "rules"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RULES_DIR", str(folder))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["rules", *map(str, arguments)])


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


def test_lint_of_good_files_counts_them_and_exits_with_0(rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule()])
    result = run("lint")
    assert (result.exit_code, result.stdout) == (
        0,
        "1 rule, 2 hashes: 0 dangers, 0 hashes set aside\n",
    )


def test_lint_of_files_that_cannot_be_used_lists_the_errors_and_exits_with_1(
    rules_dir: Path,
) -> None:
    write(rules_dir, "blobs.json", [rule(label="a b", toLabel=1)])
    result = run("lint")
    assert result.exit_code == 1
    assert "blobs.json, rule 1, label" in result.stdout
    assert "blobs.json, rule 1, toLabel" in result.stdout


def test_lint_of_dangerous_files_lists_the_dangers_and_exits_with_3(rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule(), FLAT])
    result = run("lint")
    assert result.exit_code == 3
    danger, summary = result.stdout.splitlines()
    assert danger.startswith("blobs.json, rule 2, phashes: flat-hash: ")
    assert summary == "2 rules, 3 hashes: 1 danger, 1 hash set aside"


def test_lint_as_json(rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule(), FLAT])
    found = as_json(run("lint", "--json"))
    assert found["errors"] == []
    [danger] = found["dangers"]
    assert (danger["file"], danger["rule"], danger["danger"]) == ("blobs.json", 2, "flat-hash")
    write(rules_dir, "blobs.json", [rule(hammingThreshold=99)])
    found = as_json(run("lint", "--json"))
    assert found["dangers"] == []
    assert found["errors"][0]["field"] == "hammingThreshold"


def test_lint_takes_files_and_folders_as_one_set(tmp_path: Path, rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule()])
    new = write(tmp_path, "new.json", [rule(label="other")])
    assert run("lint", new).exit_code == 0
    assert run("lint", rules_dir, new).exit_code == 3  # the same hashes in two rules


def test_lint_of_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run("lint", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "nowhere" in result.stdout


@pytest.mark.parametrize("command", ["lint", "preview", "diff"])
def test_a_name_that_no_file_can_have_is_an_error(command: str) -> None:
    result = run(command, "a" * 5000)
    assert result.exit_code == 1
    assert "File name too long" in result.output


def test_a_wrong_setting_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASH_HAMMING_THRESHOLD", "x")
    assert run("lint").exit_code == 2


def test_schema_prints_the_schema() -> None:
    assert as_json(run("schema"))["type"] == "array"


def put_in_force(folder: Path) -> str:
    loaded = load_folder(folder, 3, NOON)
    with Warehouse(load_settings().warehouse_path).write() as connection:
        save_version(connection, loaded.ruleset, NOON)
    return loaded.ruleset.version


def test_diff_compares_the_files_with_what_is_in_force(rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule(id="r")])
    assert "no rules →" in run("diff").stdout
    put_in_force(rules_dir)
    assert "changes: 0, hashes to match with the past: 0" in run("diff").stdout
    write(rules_dir, "blobs.json", [rule(id="r", hammingThreshold=2)])
    first, last = run("diff").stdout.splitlines()
    assert first == "r: loosened: threshold 1 → 2"
    assert "changes: 1, hashes to match with the past: 2" in last


def test_diff_takes_versions_and_files(tmp_path: Path, rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule(id="r")])
    version = put_in_force(rules_dir)
    other = write(tmp_path, "other.json", [rule(id="r", mode="shadow")])
    found = as_json(run("diff", version[:8], other, "--json"))
    assert (found["old"], found["hashes_to_match"]) == (version, 0)
    assert [change["kind"] for change in found["changes"]] == ["mode changed"]


def test_diff_while_the_database_is_in_use_is_one_line(
    rules_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Warehouse.__init__, "__kwdefaults__", {"lock_wait_seconds": 0.1})
    write(rules_dir, "blobs.json", [rule()])
    put_in_force(rules_dir)
    with duckdb.connect(load_settings().warehouse_path):
        result = run("diff")
    assert result.exit_code == 2
    assert "in use by another process" in result.stderr


@pytest.mark.parametrize("name", ["abcd", "0123456789"])
def test_diff_with_a_version_that_never_was_says_where_versions_are_listed(
    rules_dir: Path, name: str
) -> None:
    write(rules_dir, "blobs.json", [rule()])
    result = run("diff", name)
    assert result.exit_code == 2
    assert f"'{name}' begins no version" in result.stderr
    assert "phash-dagster query rule_history" in result.stderr


def test_diff_of_what_is_not_there_is_an_error(rules_dir: Path) -> None:
    write(rules_dir, "blobs.json", [rule()])
    result = run("diff", "other.json")
    assert result.exit_code == 1
    assert "other.json" in result.stderr
