"""The JSON schema of rule files, for editors. Made from the model, so the two cannot differ."""

import ast
import inspect
import json
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, TypeAdapter

from phash_dagster.rules.fields import Samples
from phash_dagster.rules.model import Rule

_TITLE = "Rule file of phash-dagster"


def schema_text() -> str:
    """The schema as `rules/schema.json` holds it.

    An editor finds most mistakes with it; loading the file finds them all.
    """
    schema = TypeAdapter(list[Rule]).json_schema()
    for model in (Rule, Samples):
        fields = schema["$defs"][model.__name__]["properties"]
        for name, text in _docstrings(model).items():
            fields[_name_in_files(model, name)]["description"] = text
    rule = schema["$defs"]["Rule"]["properties"]
    # The model also reads null and a second spelling here, which pydantic leaves out.
    rule["ignoreDID"]["type"] = ["array", "null"]
    rule["ignore_did"] = {**rule["ignoreDID"], "deprecated": True}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": _TITLE}
    return json.dumps({**head, **_for_editors(schema)}, indent=2, ensure_ascii=False) + "\n"


def _name_in_files(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].serialization_alias or name


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field in the source.

    pydantic's `use_attribute_docstrings` does the same, but whenever the model is imported, which
    every run would pay for.
    """
    [definition] = ast.parse(inspect.getsource(model)).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _for_editors(value: Any) -> Any:
    """Patterns as JavaScript reads them, texts in one line, no titles that repeat the names."""
    if isinstance(value, list):
        return [_for_editors(item) for item in value]
    if isinstance(value, str):
        return value.replace(r"\A", "^").replace(r"\z", "$").replace("\n", " ")
    if not isinstance(value, dict):
        return value
    return {
        name: _for_editors(item)
        for name, item in value.items()
        if not (name == "title" and isinstance(item, str))
    }
