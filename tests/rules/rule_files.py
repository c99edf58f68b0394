"""Rule files for tests."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import RuleProblem, RulesError, RuleSet, fields, load_folder

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

PREDECESSOR_RULE: dict[str, Any] = {
    "phashes": ["07870707a1b2c3d4", "17870707A1B2C3D4"],
    "label": "troll",
    "comment": "Known troll meme",
    "reportAcct": False,
    "labelAcct": True,
    "reportPost": False,
    "toLabel": True,
    "takedownPost": False,
    "takedownAcct": False,
    "hammingThreshold": 1,
    "description": "Seen since May",
    "ignoreDID": ["did:plc:ewvi7nxzyoun6zhxrhs64oiz"],
}


def rule(*without: str, **changes: Any) -> dict[str, Any]:
    """A valid rule as JSON with these fields set, and others left out."""
    merged = PREDECESSOR_RULE | changes
    return {name: value for name, value in merged.items() if name not in without}


def write(folder: Path, name: str, content: object) -> Path:
    """Write a rule file; text and bytes as they are, anything else as JSON."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def load_rules(folder: Path, default_threshold: int = 3) -> RuleSet:
    """The rules of a folder."""
    return load_folder(folder, default_threshold, NOON).ruleset


def problems(folder: Path) -> tuple[RuleProblem, ...]:
    """What is wrong with the rule files of a folder."""
    with pytest.raises(RulesError) as caught:
        load_rules(folder)
    return caught.value.problems


def only_problem(folder: Path, **changes: Any) -> RuleProblem:
    """The one problem of a file whose second rule has these fields."""
    write(folder, "blobs.json", [rule(), rule(**changes)])
    [problem] = problems(folder)
    assert (problem.file, problem.index) == ("blobs.json", 1)
    return problem


def pretend_algorithms(monkeypatch: pytest.MonkeyPatch, **widths: int) -> None:
    """Let these hash algorithms be installed besides `average`."""
    monkeypatch.setattr(fields, "hash_bits", {"average": 64, **widths}.get)
