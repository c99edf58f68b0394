"""docs/data-model.md is what the schema is."""

import re

from tests.analysis.conftest import Snapped
from tests.analysis.data_model import DOCUMENT, NAMES, REFERENCES, document, entities, primary_keys


def test_the_page_is_made_from_the_schema() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make data-model`"


def test_what_the_diagram_connects_is_there(past: Snapped) -> None:
    past.take()
    with past.warehouse.read() as connection:
        keys = primary_keys(connection)
    assert ("image_hashes", "algorithm") in keys
    with past.open() as connection:
        found = entities(connection, keys)
    columns = {(table, column.name) for table, entity in found.items() for column in entity.columns}
    for one, column, other, other_column, *_ in REFERENCES:
        assert {(one, column), (other, other_column)} <= columns
    assert columns >= NAMES


def test_the_diagram_is_one_that_mermaid_can_read() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    [body] = re.findall(r"```mermaid\nerDiagram\n(.*?)```", text, flags=re.DOTALL)
    for line in body.splitlines():
        assert re.fullmatch(
            r'    \w+ [|}][|o]--[|o][|{] \w+ : "[a-z ]+"'  # one side, other side
            r"|    \w+ \{|    \}"
            r"|        [A-Z]+(\[\])? \w+( PK)?",
            line,
        ), line
