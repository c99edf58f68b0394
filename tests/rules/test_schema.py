"""The JSON schema for editors: equal to the model."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import problems
from phash_dagster.rules.schema import schema_text

ROOT = Path(__file__).parents[2]
FIELDS: dict[str, Any] = json.loads(schema_text())["$defs"]["Rule"]["properties"]


def test_the_schema_beside_the_rules_is_the_models() -> None:
    written = (ROOT / "rules/schema.json").read_text(encoding="utf-8")
    assert written == schema_text(), "run: phash-dagster rules schema > rules/schema.json"


def test_every_field_is_explained_in_the_schema_and_in_the_readme() -> None:
    readme = (ROOT / "rules/README.md").read_text(encoding="utf-8")
    for name, field in FIELDS.items():
        assert field["description"]
        assert f"`{name}`" in readme, f"rules/README.md does not explain {name}"


def test_every_field_has_a_word_on_what_it_allows() -> None:
    assert set(FIELDS) - {"ignore_did"} == set(problems._FIELDS)


@pytest.mark.parametrize("name", ["phashes", "exceptHashes"])
def test_patterns_are_those_of_javascript(name: str) -> None:
    pattern = FIELDS[name]["items"]["pattern"]
    assert re.search(pattern, "0123456789abcdeF")
    assert not re.search(pattern, "0123456789abcde")
    assert r"\A" not in schema_text()
    assert r"\z" not in schema_text()


def test_unknown_fields_are_marked() -> None:
    assert json.loads(schema_text())["$defs"]["Rule"]["additionalProperties"] is False
