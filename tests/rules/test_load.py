"""Rule files: what loads, what does not, and what is said about it."""

import json
from pathlib import Path

import pytest

from phash_dagster.rules import RulesError, load_folder
from tests.rules.rule_files import NOON, load_rules, only_problem, problems, rule, write

EXAMPLES = Path(__file__).parents[2] / "rules"


def test_a_predecessor_file_loads_unchanged(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule()])
    [loaded] = load_rules(tmp_path).rules
    assert loaded.phashes == ("07870707a1b2c3d4", "17870707a1b2c3d4")
    assert (loaded.label, loaded.comment) == ("troll", "Known troll meme")
    assert (loaded.report_account, loaded.label_account) == (False, True)
    assert (loaded.report_post, loaded.label_post) == (False, True)
    assert (loaded.takedown_post, loaded.takedown_account) == (False, False)
    assert (loaded.hamming_threshold, loaded.description) == (1, "Seen since May")
    assert loaded.ignore_dids == ("did:plc:ewvi7nxzyoun6zhxrhs64oiz",)
    assert (loaded.mode, loaded.report_reason) == (
        "live",
        "com.atproto.moderation.defs#reasonSpam",
    )


def test_optional_fields_may_be_missing_or_null(tmp_path: Path) -> None:
    optional = ("hammingThreshold", "description", "ignoreDID")
    missing = rule(*optional, "takedownPost", "takedownAcct", label="missing")
    null = rule(label="null", **dict.fromkeys(optional))
    write(tmp_path, "blobs.json", [missing, null])
    for loaded in load_rules(tmp_path).rules:
        assert (loaded.hamming_threshold, loaded.description) == (None, None)
        assert loaded.ignore_dids == ()


def test_ignored_authors_may_be_spelled_as_the_predecessor_also_did(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule("ignoreDID", ignore_did=["did:web:example.org"])])
    [loaded] = load_rules(tmp_path).rules
    assert loaded.ignore_dids == ("did:web:example.org",)


def test_a_hash_given_twice_counts_once(tmp_path: Path) -> None:
    write(
        tmp_path, "blobs.json", [rule(phashes=["AAAAAAAA00000001", "b" * 16, "aaaaaaaa00000001"])]
    )
    [loaded] = load_rules(tmp_path).rules
    assert loaded.phashes == ("aaaaaaaa00000001", "b" * 16)


def test_files_load_in_name_order_and_rules_in_file_order(tmp_path: Path) -> None:
    write(tmp_path, "b.json", [rule(label="third")])
    write(tmp_path, "a.json", [rule(label="first"), rule(label="second")])
    ruleset = load_rules(tmp_path)
    assert [loaded.label for loaded in ruleset.rules] == ["first", "second", "third"]
    assert ruleset.sources == ("a.json", "b.json")


def test_schema_hidden_and_other_files_are_no_rule_files(tmp_path: Path) -> None:
    for name in ("schema.json", ".#blobs.json", "README.md"):
        write(tmp_path, name, "not rules")
    write(tmp_path, "blobs.json", [rule()])
    assert load_rules(tmp_path).sources == ("blobs.json",)


def test_a_folder_without_rule_files_is_an_error_since_it_may_be_an_accident(
    tmp_path: Path,
) -> None:
    write(tmp_path, "schema.json", "{}")
    [problem] = problems(tmp_path)
    assert (problem.file, problem.found) == (str(tmp_path), "no rule file")
    assert "a file that holds []" in problem.allowed


def test_an_empty_array_is_a_file_without_rules(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [])
    assert load_rules(tmp_path).sources == ("blobs.json",)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", b"\xef\xbb\xbf" + json.dumps([rule()]).encode())
    assert len(load_rules(tmp_path).rules) == 1


def test_the_example_rules_load_without_danger_and_send_nothing() -> None:
    examples = load_folder(EXAMPLES, 3, NOON)
    assert examples.dangers == ()
    assert {loaded.mode for loaded in examples.ruleset.rules} == {"shadow"}


def test_a_missing_folder_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    [problem] = problems(tmp_path / "nowhere")
    assert problem.file == str(tmp_path / "nowhere")
    assert "RULES_DIR" in problem.allowed


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    [problem] = problems(write(tmp_path, "rules", "[]"))
    assert problem.found == "a file"


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "blobs.json").mkdir()
    [problem] = problems(tmp_path)
    assert "cannot be read" in problem.found


def test_a_json_error_names_line_and_column(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", '[\n  {"phashes" []}\n]')
    [problem] = problems(tmp_path)
    assert str(problem) == (
        "blobs.json, line 2, column 14: found text that is not JSON (Expecting ':' delimiter); "
        "allowed: a JSON array of rules, [{…}, …]"
    )


def test_a_file_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", b'[{"label": "\xff"}]')
    [problem] = problems(tmp_path)
    assert (problem.field, problem.allowed) == ("byte 13", "UTF-8 text")


@pytest.mark.parametrize("content", [{"rules": []}, None, "x", 3], ids=json.dumps)
def test_the_top_level_must_be_an_array(tmp_path: Path, content: object) -> None:
    write(tmp_path, "blobs.json", json.dumps(content))
    [problem] = problems(tmp_path)
    assert problem.found == json.dumps(content)


@pytest.mark.parametrize("content", [None, "07870707a1b2c3d4", []], ids=json.dumps)
def test_a_rule_must_be_an_object(tmp_path: Path, content: object) -> None:
    write(tmp_path, "blobs.json", [rule(), content])
    [problem] = problems(tmp_path)
    assert (problem.index, problem.found) == (1, json.dumps(content))


@pytest.mark.parametrize(
    "value", ["", "07870707a1b2c3d", "07870707a1b2c3d4e", "0x870707a1b2c3d4", " " * 16, 7, None]
)
def test_a_hash_has_16_hexadecimal_characters(tmp_path: Path, value: object) -> None:
    problem = only_problem(tmp_path, phashes=["07870707a1b2c3d4", value])
    assert (problem.field, problem.found) == ("phashes entry 2", json.dumps(value))
    assert "16 hexadecimal characters" in problem.allowed


@pytest.mark.parametrize("value", ["", " ", "a b", "a,b", "a;b", "a'b", 'a"b', "a\n", 1, None])
def test_labels_that_ozone_refuses_are_refused(tmp_path: Path, value: object) -> None:
    problem = only_problem(tmp_path, label=value)
    assert (problem.field, problem.found) == ("label", json.dumps(value))


@pytest.mark.parametrize("value", [-1, 65, 1.5, 3.0, "3", True])
def test_a_threshold_is_a_whole_number_up_to_64(tmp_path: Path, value: object) -> None:
    problem = only_problem(tmp_path, hammingThreshold=value)
    assert (problem.field, problem.found) == ("hammingThreshold", json.dumps(value))
    assert problem.allowed.startswith("a whole number from 0 to ")
    assert "64" in problem.allowed


@pytest.mark.parametrize(
    "name", ["reportAcct", "labelAcct", "reportPost", "toLabel", "takedownPost", "takedownAcct"]
)
@pytest.mark.parametrize("value", ["true", 1, None])
def test_what_to_do_is_true_or_false_and_nothing_like_it(
    tmp_path: Path, name: str, value: object
) -> None:
    problem = only_problem(tmp_path, **{name: value})
    assert (problem.field, problem.found) == (name, json.dumps(value))


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("comment", None, "comment"),
        ("description", 4, "description"),
        ("ignoreDID", "did:plc:abc", "ignoreDID"),
        ("ignoreDID", ["did:plc:abc", "alice.example.org"], "ignoreDID entry 2"),
        ("mode", "Live", "mode"),
        ("reportReason", "spam", "reportReason"),
        ("id", "", "id"),
        ("id", None, "id"),
        ("allow", "flat-hash", "allow"),
        ("allow", ["flat-hash", "flat"], "allow entry 2"),
    ],
)
def test_other_fields_say_what_they_allow(
    tmp_path: Path, name: str, value: object, field: str
) -> None:
    problem = only_problem(tmp_path, **{name: value})
    assert problem.field == field
    assert problem.allowed


@pytest.mark.parametrize(
    "name", ["phashes", "label", "comment", "reportAcct", "labelAcct", "reportPost", "toLabel"]
)
def test_a_required_field_that_is_missing_is_a_problem(tmp_path: Path, name: str) -> None:
    write(tmp_path, "blobs.json", [rule(name)])
    [problem] = problems(tmp_path)
    assert (problem.field, problem.found) == (name, "nothing")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("takedownpost", "takedownPost"),
        ("takeDownPost", "takedownPost"),
        ("takedownPots", "takedownPost"),
        ("report_account", "reportAcct"),
        ("ignoreDid", "ignoreDID"),
        ("treshold", "hammingThreshold"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(
    tmp_path: Path, name: str, suggestion: str
) -> None:
    problem = only_problem(tmp_path, **{name: True})
    assert (problem.field, problem.found) == (name, "an unknown field")
    assert problem.allowed == f"{suggestion} (did you mean that?)"


def test_an_unknown_field_near_none_is_answered_with_all(tmp_path: Path) -> None:
    assert "hammingThreshold, description" in only_problem(tmp_path, zzzzzz=True).allowed


def test_both_spellings_of_one_field_are_a_problem(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, ignore_did=["did:plc:abc"])
    assert (problem.field, problem.allowed) == ("ignore_did", "one of the two")


def test_a_field_given_twice_is_a_problem(tmp_path: Path) -> None:
    text = json.dumps([rule()]).replace(
        '"takedownPost": false', '"takedownPost": true, "takedownPost": false'
    )
    write(tmp_path, "blobs.json", text)
    [problem] = problems(tmp_path)
    assert (problem.field, problem.found) == ("takedownPost", "more than one value")


def test_a_list_of_samples_given_twice_is_a_problem(tmp_path: Path) -> None:
    text = json.dumps([rule()]).replace(
        '"takedownPost": false', '"samples": {"match": ["0f0f33550f0f3355"], "match": []}'
    )
    write(tmp_path, "blobs.json", text)
    [problem] = problems(tmp_path)
    assert (problem.field, problem.found) == ("samples.match", "more than one value")


@pytest.mark.parametrize(
    ("name", "shown"), [("x" * 999, f"{'x' * 59}…"), ("a\x1b[31m", r"a\u001b[31m"), ("", '""')]
)
def test_an_odd_name_of_a_field_is_shown_so_that_it_can_be_read(
    tmp_path: Path, name: str, shown: str
) -> None:
    assert only_problem(tmp_path, **{name: 1}).field == shown


def test_two_rules_may_not_name_the_same_id(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [rule(), rule(id="meme")])
    write(tmp_path, "b.json", [rule(id="meme", label="other")])
    [problem] = problems(tmp_path)
    assert (problem.file, problem.index, problem.field) == ("b.json", 0, "id")
    assert problem.found == '"meme", the id of rule 2 in a.json'


def test_all_problems_of_all_files_are_reported_at_once_a_line_each(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [rule(label="a b", toLabel="yes")])
    write(tmp_path, "b.json", "[")
    write(tmp_path, "c.json", [rule(), rule(hammingThreshold=99)])
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "4 problems in the rule files:"
    assert [line.split(":")[0] for line in lines] == [
        "a.json, rule 1, label",
        "a.json, rule 1, toLabel",
        "b.json, line 1, column 2",
        "c.json, rule 2, hammingThreshold",
    ]


def test_a_long_wrong_value_is_shortened_in_its_message(tmp_path: Path) -> None:
    assert len(str(only_problem(tmp_path, label="a " * 10_000))) < 300


def test_files_are_kept_as_they_were_read(tmp_path: Path) -> None:
    text = json.dumps([rule()], indent=3)
    write(tmp_path, "blobs.json", text)
    [file] = load_folder(tmp_path, 3, NOON).files
    assert (file.name, file.text) == ("blobs.json", text)
