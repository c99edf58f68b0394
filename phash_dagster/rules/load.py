"""Reads rule files into a rule set, or says everything that is wrong with them."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.rules.problems import RuleProblem, RulesError, quote, rule_problems

SCHEMA_FILE = "schema.json"
"""The JSON schema for editors; lies among the rule files and is none."""

_ARRAY = "a JSON array of rules, [{…}, …]"


@dataclass(frozen=True)
class _Entry:
    """A rule and where it stands."""

    file: str
    index: int
    rule: Rule


@dataclass(frozen=True)
class _Parsed:
    """What a file holds: rules that are valid, and what is wrong with the others."""

    entries: Sequence[_Entry] = ()
    problems: Sequence[RuleProblem] = ()


class _Object(dict[str, Any]):
    """A JSON object that remembers the names it was given twice; plain JSON keeps the last."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.repeated = [name for name, count in counts.items() if count > 1]


def load_rules(rules_dir: Path, default_threshold: int) -> RuleSet:
    """Load every rule file of a folder, in name order.

    Rule files are those that `rule_files` lists. A folder without any is a set without rules.

    Args:
        rules_dir: The folder.
        default_threshold: Hamming distance in bits for rules that name no threshold.

    Raises:
        RulesError: The folder or a file cannot be read, or a rule is not valid; lists every
            problem of every file.
    """
    _check_folder(rules_dir)
    paths = rule_files(rules_dir)
    files = [_parse_file(path) for path in paths]
    entries = [entry for file in files for entry in file.entries]
    problems = [problem for file in files for problem in file.problems]
    problems += _shared_ids(entries)
    if problems:
        raise RulesError(problems)
    return RuleSet.of(
        _with_distinct_ids([entry.rule for entry in entries]),
        default_threshold=default_threshold,
        sources=tuple(path.name for path in paths),
    )


def rule_files(rules_dir: Path) -> list[Path]:
    """The rule files of a folder in name order: `*.json`, except `schema.json` and hidden files.

    Nothing is opened: a path may be a folder, or a link that leads nowhere, and `load_rules` says
    so. A folder that does not exist or cannot be read has no files.
    """
    return sorted(
        path
        for path in rules_dir.glob("*.json")
        if path.name != SCHEMA_FILE and not path.name.startswith(".")
    )


def _check_folder(rules_dir: Path) -> None:
    try:
        next(rules_dir.iterdir(), None)
    except OSError as error:
        found = {FileNotFoundError: "nothing", NotADirectoryError: "a file"}.get(
            type(error), f"a folder that cannot be read ({error.strerror})"
        )
        allowed = "a folder of rule files, *.json (RULES_DIR names it)"
        problem = RuleProblem(str(rules_dir), None, "", found, allowed)
        raise RulesError([problem]) from error


def _parse_file(path: Path) -> _Parsed:
    if _has_lone_surrogate(path.name):
        problem = RuleProblem(quote(path.name), None, "", "a name that is not UTF-8", "UTF-8")
        return _Parsed(problems=[problem])
    try:
        return _parse_text(path)
    except RecursionError:
        return _unusable(path, "", "arrays or objects nested too deeply", _ARRAY)


def _parse_text(path: Path) -> _Parsed:
    try:
        text = path.read_bytes().decode("utf-8-sig")
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
    return _Parsed(
        [entry for rule in rules for entry in rule.entries],
        [problem for rule in rules for problem in rule.problems],
    )


def _unusable(path: Path, place: str, found: str, allowed: str) -> _Parsed:
    return _Parsed(problems=[RuleProblem(path.name, None, place, found, allowed)])


def _parse_rule(file: str, index: int, item: object) -> _Parsed:
    if not isinstance(item, _Object):
        allowed = "a rule, a JSON object {…}"
        return _Parsed(problems=[RuleProblem(file, index, "", quote(item), allowed)])
    repeated = [
        RuleProblem(file, index, name, "more than one value", "each field once")
        for name in item.repeated
    ]
    if broken := [name for name, value in item.items() if _has_lone_surrogate((name, value))]:
        found = "half a surrogate pair, \\ud800 to \\udfff"
        return _Parsed(
            problems=[
                RuleProblem(file, index, quote(name)[1:-1], found, "whole characters")
                for name in broken
            ]
        )
    try:
        rule = Rule.model_validate(item, by_alias=True, by_name=False)
    except ValidationError as error:
        return _Parsed(problems=[*repeated, *rule_problems(file, index, error)])
    return _Parsed([_Entry(file, index, rule)], repeated)


def _has_lone_surrogate(value: object) -> bool:
    """Whether a text in it stands for no characters; JSON allows that, UTF-8 does not."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _shared_ids(entries: Sequence[_Entry]) -> list[RuleProblem]:
    """Rules that name an id which an earlier rule names too."""
    first: dict[str, _Entry] = {}
    problems = []
    for entry in entries:
        if not _names_its_id(entry.rule):
            continue
        earlier = first.setdefault(entry.rule.id, entry)
        if earlier is not entry:
            found = f"{quote(entry.rule.id)}, the id of rule {earlier.index + 1} in {earlier.file}"
            allowed = "an id that no other rule has"
            problems.append(RuleProblem(entry.file, entry.index, "id", found, allowed))
    return problems


def _with_distinct_ids(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Number derived ids that are taken already: rules of one label with the same first hash."""
    taken = {rule.id for rule in rules if _names_its_id(rule)}
    distinct = []
    for rule in rules:
        if not _names_its_id(rule):
            rule = rule.model_copy(update={"id": _free(rule.id, taken)})
            taken.add(rule.id)
        distinct.append(rule)
    return tuple(distinct)


def _free(wanted: str, taken: set[str]) -> str:
    number, candidate = 1, wanted
    while candidate in taken:
        number += 1
        candidate = f"{wanted}-{number}"
    return candidate


def _names_its_id(rule: Rule) -> bool:
    return "id" in rule.model_fields_set
