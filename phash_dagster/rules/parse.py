"""Reads one rule file: the rules that are valid in it, and what is wrong with the others."""

import errno
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phash_dagster.rules.dangers import Place
from phash_dagster.rules.model import Rule
from phash_dagster.rules.problems import RuleProblem, name_as_text, quote, rule_problems

_ARRAY = "a JSON array of rules, [{…}, …]"


@dataclass(frozen=True)
class Entry:
    """A rule and where it stands."""

    place: Place
    rule: Rule


@dataclass(frozen=True)
class ParsedFile:
    """What a file holds: rules that are valid, and what is wrong with the others."""

    entries: Sequence[Entry] = ()
    problems: Sequence[RuleProblem] = ()
    text: str = ""


class _Object(dict[str, Any]):
    """A JSON object that remembers the names it was given twice; plain JSON keeps the last."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.repeated = [name for name, count in counts.items() if count > 1]


def read_rule_file(path: Path) -> bytes:
    """What a rule file holds.

    Raises:
        OSError: It cannot be read, or is none: to open a named pipe would wait for a writer.
    """
    if not (path.is_file() or path.is_dir()) and path.exists():
        raise OSError(errno.EINVAL, "neither a file nor a folder")
    return path.read_bytes()


def parse_file(path: Path) -> ParsedFile:
    """What a file holds. Never raises for what is in it."""
    if _has_lone_surrogate(path.name):
        problem = RuleProblem(quote(path.name), None, "", "a name that is not UTF-8", "UTF-8")
        return ParsedFile(problems=[problem])
    try:
        return _parse_text(path)
    except RecursionError:
        return _unusable(path, "", "arrays or objects nested too deeply", _ARRAY)


def _parse_text(path: Path) -> ParsedFile:
    try:
        text = read_rule_file(path).decode("utf-8-sig")
        content = json.loads(text, object_pairs_hook=_Object)
    except OSError as error:
        return _unusable(path, "", f"a file that cannot be read ({error.strerror})", "a file")
    except UnicodeDecodeError as error:
        return _unusable(path, f"byte {error.start + 1}", "bytes that are not UTF-8", "UTF-8 text")
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return _unusable(path, place, f"text that is not JSON ({error.msg})", _ARRAY)
    except ValueError:  # Python's own limit for the digits of a number
        allowed = f"numbers of at most {sys.get_int_max_str_digits():,} digits"
        return _unusable(path, "", "a longer number", allowed)
    if not isinstance(content, list):
        return _unusable(path, "", quote(content), _ARRAY)
    rules = [_parse_rule(path.name, index, item) for index, item in enumerate(content)]
    return ParsedFile(
        [entry for rule in rules for entry in rule.entries],
        [problem for rule in rules for problem in rule.problems],
        text,
    )


def _unusable(path: Path, place: str, found: str, allowed: str) -> ParsedFile:
    return ParsedFile(problems=[RuleProblem(path.name, None, place, found, allowed)])


def _parse_rule(file: str, index: int, item: object) -> ParsedFile:
    if not isinstance(item, _Object):
        allowed = "a rule, a JSON object {…}"
        return ParsedFile(problems=[RuleProblem(file, index, "", quote(item), allowed)])
    repeated = [
        RuleProblem(file, index, name_as_text(name), "more than one value", "each field once")
        for name in _repeated(item)
    ]
    if broken := [name for name, value in item.items() if _has_lone_surrogate((name, value))]:
        found = "half a surrogate pair, \\ud800 to \\udfff"
        return ParsedFile(
            problems=[
                RuleProblem(file, index, name_as_text(name), found, "whole characters")
                for name in broken
            ]
        )
    try:
        rule = Rule.model_validate(item, by_alias=True, by_name=False)
    except ValidationError as error:
        return ParsedFile(problems=[*repeated, *rule_problems(file, index, error)])
    return ParsedFile([Entry(Place(file, index), rule)], repeated)


def _repeated(item: _Object) -> Iterator[str]:
    """Fields with more than one value, those of a field's own included: `samples.match`."""
    yield from item.repeated
    for name, value in item.items():
        if isinstance(value, _Object):
            yield from (f"{name}.{inner}" for inner in value.repeated)


def _has_lone_surrogate(value: object) -> bool:
    """Whether a text in it stands for no characters; JSON allows that, UTF-8 does not."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
