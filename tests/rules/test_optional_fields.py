"""The optional fields: what they take, and what is said about what they do not."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import Rule
from tests.rules.rule_files import load_rules, only_problem, pretend_algorithms, rule, write


def loaded(folder: Path, **changes: Any) -> Rule:
    write(folder, "blobs.json", [rule(**changes)])
    [only] = load_rules(folder).rules
    return only


def test_a_rule_expires_after_its_day_in_utc(tmp_path: Path) -> None:
    expiring = loaded(tmp_path, expires="2026-12-31")
    assert expiring.expires == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_rule_without_a_date_does_not_expire(tmp_path: Path) -> None:
    assert not loaded(tmp_path).has_expired(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tomorrow",
        "2026-13-01",
        "2026-12-31T12:00:00",
        "2026-12-31 12:00",
        "2026-W53",
        "20261231",
        "9999-12-31",
        "0001-01-01T00:00:00+10:00",
        5,
        True,
    ],
)
def test_expires_takes_a_date_or_a_date_with_a_time_and_an_offset(
    tmp_path: Path, value: object
) -> None:
    problem = only_problem(tmp_path, expires=value)
    assert problem.field == "expires"
    assert "2026-12-31T18:00:00Z" in problem.allowed


def test_exceptions_and_samples_are_read_in_lower_case(tmp_path: Path) -> None:
    read = loaded(
        tmp_path,
        exceptHashes=["ABCDEF0123456789"],
        samples={"match": ["ABCDEF0123456780"], "noMatch": ["ABCDEF0123456781"]},
    )
    assert read.except_hashes == ("abcdef0123456789",)
    assert read.samples.match == ("abcdef0123456780",)
    assert read.samples.no_match == ("abcdef0123456781",)


def test_a_hash_cannot_be_looked_for_and_left_alone(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, exceptHashes=["0" * 16, "17870707a1b2c3d4"])
    assert problem.field == "exceptHashes entry 2"
    assert "not among the rule's own phashes" in problem.allowed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"exceptHashes": "0" * 16}, "exceptHashes"),
        ({"exceptHashes": ["0" * 16, "xyz"]}, "exceptHashes entry 2"),
        ({"exceptHashes": ["0" * 15]}, "exceptHashes entry 1"),
        ({"samples": []}, "samples"),
        ({"samples": {"match": "0" * 16}}, "samples.match"),
        ({"samples": {"noMatch": ["0" * 16, 4]}}, "samples.noMatch entry 2"),
        ({"samples": {"nomatch": []}}, "samples.nomatch"),
        ({"samples": {"match": ["0" * 64]}}, "samples"),
        ({"algorithm": None}, "algorithm"),
    ],
)
def test_wrong_values_are_named_with_their_place(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    problem = only_problem(tmp_path, **changes)
    assert problem.field == field
    assert problem.allowed


def test_hashes_of_another_64_bit_algorithm_can_be_named(tmp_path: Path) -> None:
    assert loaded(tmp_path, algorithm="average-integer").algorithm == "average-integer"


def test_an_unknown_algorithm_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, algorithm="md5")
    assert (problem.field, problem.found) == ("algorithm", '"md5"')
    assert "average-integer" in problem.allowed


@pytest.mark.parametrize("bits", [32, 128, 192])
def test_an_algorithm_of_a_width_that_is_not_matched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    pretend_algorithms(monkeypatch, odd=bits)
    problem = only_problem(tmp_path, algorithm="odd", phashes=["0" * 16])
    assert problem.field == "algorithm"
    assert f"hashes of {bits} bits are not matched" in problem.allowed


def test_an_algorithm_whose_package_is_missing_is_answered_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phash_dagster.hashing.pdq.find_spec", lambda _: None)
    pretend_algorithms(monkeypatch)
    problem = only_problem(tmp_path, algorithm="pdq")
    assert problem.field == "algorithm"
    assert "uv sync --extra pdq" in problem.allowed


def test_hashes_and_thresholds_are_checked_against_the_width_of_the_algorithm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_algorithms(monkeypatch, pdq=256)
    wide = {"phashes": ["0123456789abcdef" * 4], "algorithm": "pdq"}
    assert loaded(tmp_path, **wide, hammingThreshold=70).hamming_threshold == 70
    assert only_problem(tmp_path, algorithm="pdq", phashes=["0" * 16]).allowed.startswith("64 hex")
    assert only_problem(tmp_path, phashes=["0" * 64]).allowed.startswith("16 hex")
    assert only_problem(tmp_path, hammingThreshold=65).allowed == "a whole number from 0 to 64"
    for wrong in (257, -1, "31"):
        problem = only_problem(tmp_path, **wide, hammingThreshold=wrong)
        assert problem.field == "hammingThreshold"
        assert "256" in problem.allowed
    assert "64 where" in only_problem(tmp_path, **wide | {"phashes": ["0" * 63]}).allowed


def test_wide_hashes_match_up_to_31_bits_where_the_rule_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_algorithms(monkeypatch, pdq=256, other=64)
    wide = rule("hammingThreshold", phashes=["0123456789abcdef" * 4], algorithm="pdq")
    write(tmp_path, "blobs.json", [wide, rule("hammingThreshold", algorithm="other")])
    rules = load_rules(tmp_path, default_threshold=5)
    assert [rules.threshold(each) for each in rules.rules] == [31, 5]
    write(tmp_path, "blobs.json", [wide])
    assert load_rules(tmp_path, 3).version == load_rules(tmp_path, 5).version
    said = load_rules(tmp_path).version
    write(tmp_path, "blobs.json", [wide | {"hammingThreshold": 31}])
    assert load_rules(tmp_path).version == said


def test_what_a_rule_may_do_in_a_day_and_in_the_past_is_read(tmp_path: Path) -> None:
    read = loaded(tmp_path, maxActionsPerDay=0, backfill="report", backfillMaxAgeDays=30)
    assert (read.max_actions_per_day, read.backfill, read.backfill_max_age_days) == (
        0,
        "report",
        30,
    )


def test_the_past_is_only_recorded_unless_the_rule_says_more(tmp_path: Path) -> None:
    read = loaded(tmp_path)
    assert (read.max_actions_per_day, read.backfill, read.backfill_max_age_days) == (
        None,
        "shadow",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"maxActionsPerDay": -1}, "a whole number from 0"),
        ({"maxActionsPerDay": "10"}, "a whole number from 0"),
        ({"backfill": "live"}, '"none", "shadow", "report" or "same"'),
        ({"backfillMaxAgeDays": 0}, "a whole number of days from 1"),
        ({"backfillMaxAgeDays": True}, "a whole number of days from 1"),
    ],
)
def test_limits_of_the_past_are_checked(
    tmp_path: Path, changes: dict[str, Any], allowed: str
) -> None:
    assert allowed in only_problem(tmp_path, **changes).allowed
