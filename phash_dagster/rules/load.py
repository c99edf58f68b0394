"""Reads rule files into a rule set, or says everything that is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from phash_dagster.rules.dangers import Danger, Place
from phash_dagster.rules.lint import PlacedRule, find_dangers, set_aside
from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.rules.origin import SourceFile
from phash_dagster.rules.parse import Entry, parse_file, read_rule_file
from phash_dagster.rules.problems import RuleProblem, RulesError, quote

SCHEMA_FILE = "schema.json"
"""The JSON schema for editors; lies among the rule files and is none."""


@dataclass(frozen=True)
class LoadedRules:
    """What rule files hold, checked.

    Attributes:
        ruleset: The rules; dangerous hashes are set aside in it.
        places: Where each rule stands, in the order of the rules.
        dangers: What is dangerous in them and not allowed.
        files: The files as they were read.
    """

    ruleset: RuleSet
    places: tuple[Place, ...]
    dangers: tuple[Danger, ...]
    files: tuple[SourceFile, ...]

    @property
    def summary(self) -> str:
        """In one line how much there is, and how much of it is set aside."""
        hashes = sum(len(rule.phashes) for rule in self.ruleset.rules)
        return (
            f"{_count(len(self.ruleset.rules), 'rule')}, {_count(hashes, 'hash', 'hashes')}: "
            f"{_count(len(self.dangers), 'danger')}, "
            f"{_count(len(self.ruleset.set_aside), 'hash', 'hashes')} set aside"
        )


def load_folder(rules_dir: Path, default_threshold: int, now: datetime) -> LoadedRules:
    """Load every rule file of a folder, in name order, and look for dangers.

    Rule files are those that `rule_files` lists. A folder without any is an error, since it is more
    often an accident than meant: a file that holds [] is a set without rules.

    Args:
        rules_dir: The folder.
        default_threshold: Hamming distance in bits for rules that name no threshold.
        now: The time by which rules have expired or not.

    Raises:
        RulesError: The folder or a file cannot be read, or a rule is not valid; lists every
            problem of every file.
    """
    return _load_files(_files_of(rules_dir), default_threshold, now)


def load_paths(paths: Sequence[Path], default_threshold: int, now: datetime) -> LoadedRules:
    """Load rule files, and the rule files of folders, in this order as one set of rules.

    Raises:
        RulesError: As `load_folder`.
    """
    files: list[Path] = []
    for path in paths:
        if is_file(path):
            files.append(path)
        else:
            files += _files_of(path)
    return _load_files(files, default_threshold, now)


def _load_files(paths: Sequence[Path], default_threshold: int, now: datetime) -> LoadedRules:
    files = [parse_file(path) for path in paths]
    entries = [entry for file in files for entry in file.entries]
    problems = [problem for file in files for problem in file.problems]
    problems += _shared_ids(entries)
    if problems:
        raise RulesError(problems)
    rules = _with_distinct_ids([entry.rule for entry in entries])
    places = tuple(entry.place for entry in entries)
    sources = tuple(path.name for path in paths)
    ruleset = RuleSet.of(rules, default_threshold=default_threshold, sources=sources)
    placed = [
        PlacedRule(place, rule, ruleset.threshold(rule))
        for place, rule in zip(places, rules, strict=True)
    ]
    dangers = tuple(find_dangers(placed, now))
    ruleset = replace(ruleset, set_aside=set_aside(placed, dangers))
    texts = tuple(SourceFile(path.name, file.text) for path, file in zip(paths, files, strict=True))
    return LoadedRules(ruleset, places, dangers, texts)


def is_file(path: Path) -> bool:
    """Whether this is a file; not, if nobody can say, e.g. of a name that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def are_as_read(rules_dir: Path, files: Sequence[SourceFile]) -> bool:
    """Whether the rule files of a folder are still those that were read, and hold the same."""
    try:
        now = [
            SourceFile(path.name, read_rule_file(path).decode("utf-8-sig"))
            for path in rule_files(rules_dir)
        ]
    except (OSError, UnicodeDecodeError):
        return False
    return now == list(files)


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


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def _files_of(rules_dir: Path) -> list[Path]:
    try:
        next(rules_dir.iterdir(), None)
    except OSError as error:
        found = {FileNotFoundError: "nothing", NotADirectoryError: "a file"}.get(
            type(error), f"a folder that cannot be read ({error.strerror})"
        )
        allowed = "a folder of rule files, *.json (RULES_DIR names it)"
        problem = RuleProblem(str(rules_dir), None, "", found, allowed)
        raise RulesError([problem]) from error
    files = rule_files(rules_dir)
    if not files:
        allowed = "at least one *.json; where no rules are meant, a file that holds []"
        raise RulesError([RuleProblem(str(rules_dir), None, "", "no rule file", allowed)])
    return files


def _shared_ids(entries: Sequence[Entry]) -> list[RuleProblem]:
    """Rules that name an id which an earlier rule names too."""
    first: dict[str, Entry] = {}
    problems = []
    for entry in entries:
        if not _names_its_id(entry.rule):
            continue
        earlier = first.setdefault(entry.rule.id, entry)
        if earlier is not entry:
            index, file = earlier.place.index, earlier.place.file
            found = f"{quote(entry.rule.id)}, the id of rule {index + 1} in {file}"
            allowed = "an id that no other rule has"
            problems.append(RuleProblem(entry.place.file, entry.place.index, "id", found, allowed))
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
