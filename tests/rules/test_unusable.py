"""Rule files and texts in them that JSON allows and that cannot be used."""

import os
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import rule_files
from tests.rules.rule_files import load_rules, only_problem, problems, rule, write


def test_rule_files_are_listed_in_name_order_without_schema_and_hidden_files(
    tmp_path: Path,
) -> None:
    for name in ("b.json", "a.json", "schema.json", ".hidden.json", "README.md"):
        write(tmp_path, name, "[]")
    (tmp_path / ".#a.json").symlink_to("user@host.1")
    assert [path.name for path in rule_files(tmp_path)] == ["a.json", "b.json"]


def test_links_to_nothing_and_folders_are_listed_and_are_problems(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("nowhere")
    (tmp_path / "b.json").mkdir()
    assert [path.name for path in rule_files(tmp_path)] == ["a.json", "b.json"]
    assert [problem.file for problem in problems(tmp_path)] == ["a.json", "b.json"]


def test_a_named_pipe_is_a_problem_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    [problem] = problems(tmp_path)
    assert problem.file == "pipe.json"
    assert "neither a file nor a folder" in problem.found


def test_a_folder_that_does_not_exist_has_no_rule_files(tmp_path: Path) -> None:
    assert rule_files(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('[{"phashes": ' + "[" * 900 + "]" * 900 + "}]", ""),
        ("[" + "9" * 5_000 + "]", "a longer number"),
        ('["\\ud800"]', '"\\ud800"'),
        ('"\\ud800"', '"\\ud800"'),
    ],
    ids=["nesting", "some nesting", "number", "surrogate in place of a rule", "surrogate"],
)
def test_what_json_allows_and_nobody_can_use_is_a_problem_of_its_file(
    tmp_path: Path, text: str, found: str
) -> None:
    write(tmp_path, "blobs.json", text)
    first, *_ = problems(tmp_path)
    assert first.file == "blobs.json"
    assert found in first.found


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"comment": "a\ud800"}, "comment"),
        ({"description": "\udc00"}, "description"),
        ({"ignoreDID": ["\ud800"]}, "ignoreDID"),
        ({"\ud800": 1}, "\\ud800"),
    ],
    ids=["comment", "description", "entry", "name"],
)
def test_half_a_surrogate_pair_is_a_problem_of_its_rule(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    problem = only_problem(tmp_path, **changes)
    assert problem.field == field
    assert "surrogate" in problem.found
    str(problem).encode()  # it can be printed


def test_a_file_name_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "a\udcff.json", [rule()])
    [problem] = problems(tmp_path)
    assert problem.found == "a name that is not UTF-8"
    str(problem).encode()


@pytest.mark.parametrize("field", ["label", "id"])
@pytest.mark.parametrize("character", ["\x00", "\x01", "\x7f", "\u200b", "\u202e", "\u2066"])
def test_labels_and_ids_show_all_their_characters(
    tmp_path: Path, field: str, character: str
) -> None:
    problem = only_problem(tmp_path, **{field: f"a{character}b"})
    assert problem.field == field
    assert problem.found.isprintable()


@pytest.mark.parametrize("label", ["x" * 129, "\u00fc" * 65])
def test_a_label_is_no_longer_than_atproto_allows(tmp_path: Path, label: str) -> None:
    assert only_problem(tmp_path, label=label).field == "label"


def test_a_label_of_128_bytes_and_a_comment_of_10_000_characters_load(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule(label="\u00fc" * 64, comment="x" * 10_000)])
    assert len(load_rules(tmp_path).rules) == 1


@pytest.mark.parametrize("comment", ["x" * 10_001, "a\x00b"], ids=["long", "NUL"])
def test_comments_that_ozone_or_the_ledger_cannot_take_are_refused(
    tmp_path: Path, comment: str
) -> None:
    assert only_problem(tmp_path, comment=comment).field == "comment"
