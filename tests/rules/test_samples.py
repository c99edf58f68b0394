"""Samples: what a rule is meant to find, held against what it finds."""

from pathlib import Path
from typing import Any

from tests.rules.test_lint import FAR, NEAR, PLAIN, entry, lint, set_aside

SAMPLE = "0f1e2d3c4b5a697a"
"""1 bit from PLAIN, 1 bit from NEAR."""


def sampled(**samples: list[str]) -> dict[str, Any]:
    return entry(PLAIN, FAR, id="r", samples=samples)


def test_samples_that_the_rule_gets_right_are_no_danger(tmp_path: Path) -> None:
    right = sampled(match=[SAMPLE, PLAIN.upper()], noMatch=["1f0d4b6ad2f0b8c4"])
    assert lint(tmp_path, right).dangers == ()


def test_a_sample_that_should_match_and_does_not_sets_the_rule_aside(tmp_path: Path) -> None:
    loaded = lint(tmp_path, sampled(match=["1f0d4b6ad2f0b8c4"]))
    [danger] = loaded.dangers
    assert (danger.name, danger.field) == ("failed-sample", "samples.match")
    assert "nearest hash is" in danger.found
    assert [text for _, text, _ in set_aside(loaded)] == [PLAIN, FAR]


def test_a_sample_that_should_not_match_and_does_sets_the_hash_aside(tmp_path: Path) -> None:
    loaded = lint(tmp_path, sampled(noMatch=[SAMPLE]))
    assert set_aside(loaded) == [("r", PLAIN, "failed-sample")]


def test_an_exception_makes_a_sample_not_match(tmp_path: Path) -> None:
    excepting = sampled(noMatch=[SAMPLE]) | {"exceptHashes": [NEAR]}
    assert lint(tmp_path, excepting).dangers == ()
    assert len(lint(tmp_path, sampled(match=[SAMPLE]) | {"exceptHashes": [NEAR]}).dangers) == 1
