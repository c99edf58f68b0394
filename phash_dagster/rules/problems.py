"""What is wrong with rule files, in words that say where, what was found and what is allowed."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from phash_dagster.rules.dangers import ALLOWED_DANGERS
from phash_dagster.rules.fields import LONGEST_COMMENT, LONGEST_DAYS, LONGEST_LABEL, MOST

_LONGEST_QUOTE = 60
"""Characters of a wrong value that a message repeats."""

_BOOLEAN = "true or false"
_HASH = "16 hexadecimal characters (0-9, a-f), or 64 where the algorithm has hashes of 256 bits"
_SAMPLES = '{"match": [hashes], "noMatch": [hashes]}'
_ALLOWED: Mapping[str, str] = {
    "phashes": "a list of hashes",
    "phashes entry": _HASH,
    "label": (
        f"a text of at most {LONGEST_LABEL} bytes, all of it visible, without spaces and without "
        ", ; ' \" (Ozone refuses such labels)"
    ),
    "comment": f"a text of at most {LONGEST_COMMENT:,} characters, without NUL",
    "reportAcct": _BOOLEAN,
    "labelAcct": _BOOLEAN,
    "reportPost": _BOOLEAN,
    "toLabel": _BOOLEAN,
    "takedownPost": _BOOLEAN,
    "takedownAcct": _BOOLEAN,
    "hammingThreshold": "a whole number from 0 to the bits of the algorithm's hashes, 64 or 256",
    "description": "a text",
    "ignoreDID": "a list of DIDs",
    "ignoreDID entry": "a DID such as did:plc:ewvi7nxzyoun6zhxrhs64oiz (not a handle)",
    "id": "a text, all of it visible, without spaces and without , ; ' \"",
    "mode": '"live" or "shadow"',
    "maxActionsPerDay": f"a whole number from 0 to {MOST:,}",
    "backfill": '"none", "shadow", "report" or "same"',
    "backfillMaxAgeDays": f"a whole number of days from 1 to {LONGEST_DAYS:,}",
    "reportReason": "a report reason such as com.atproto.moderation.defs#reasonSpam",
    "algorithm": "the name of a hash algorithm",
    "expires": "a date such as 2026-12-31, or a date with a time such as 2026-12-31T18:00:00Z",
    "exceptHashes": "a list of hashes",
    "exceptHashes entry": _HASH,
    "samples": _SAMPLES,
    "samples.match": "a list of hashes",
    "samples.match entry": _HASH,
    "samples.noMatch": "a list of hashes",
    "samples.noMatch entry": _HASH,
    "allow": "a list of dangers",
    "allow entry": ", ".join(ALLOWED_DANGERS),
}
_FIELDS = tuple(name for name in _ALLOWED if " entry" not in name and "." not in name)
_OTHER_SPELLINGS = {"ignore_did": "ignoreDID"}
_SPELLINGS = {name.lower(): name for name in _FIELDS} | _OTHER_SPELLINGS


@dataclass(frozen=True)
class RuleProblem:
    """One thing that makes rule files unusable.

    Attributes:
        file: Name of the file.
        index: Place of the rule in it, from 0; None if the problem is the file's.
        field: Field of the rule, or a place in the file's text; may be empty.
        found: What is there.
        allowed: What may be there.
    """

    file: str
    index: int | None
    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        """One line; rules are counted from 1, as people do."""
        rule = "" if self.index is None else f"rule {self.index + 1}"
        where = ", ".join(filter(None, (self.file, rule, self.field)))
        return f"{where}: found {self.found}; allowed: {self.allowed}"

    def as_row(self) -> dict[str, str | int | None]:
        """For tables and JSON; rules are counted from 1."""
        return {
            "file": self.file,
            "rule": None if self.index is None else self.index + 1,
            "field": self.field,
            "found": self.found,
            "allowed": self.allowed,
        }


class RulesError(ValueError):
    """The rule files cannot be used; every problem in all of them, one line each."""

    def __init__(self, problems: Iterable[RuleProblem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join((f"{count} in the rule files:", *map(str, self.problems))))


def rule_problems(file: str, index: int, error: ValidationError) -> Iterator[RuleProblem]:
    """What pydantic found wrong with one rule."""
    for detail in error.errors(include_url=False, include_context=False):
        # An id is not derived while the fields it comes from are wrong: no problem of its own.
        if detail["type"] == "default_factory_not_called":
            continue
        names = [part for part in detail["loc"] if isinstance(part, str)]
        if detail["type"] == "extra_forbidden":
            yield _unknown_field(file, index, *names)
            continue
        yield RuleProblem(
            file,
            index,
            ".".join(names) + "".join(f" entry {number + 1}" for number in _numbers(detail["loc"])),
            "nothing" if detail["type"] == "missing" else quote(detail["input"]),
            detail["msg"] if detail["type"] == "not_allowed" else _allowed(detail["loc"]),
        )


def _numbers(location: tuple[int | str, ...]) -> list[int]:
    return [part for part in location if isinstance(part, int)]


def _allowed(location: tuple[int | str, ...]) -> str:
    name, *nested = (part for part in location if isinstance(part, str))
    field = ".".join((_OTHER_SPELLINGS.get(name, name), *nested))
    return _ALLOWED[f"{field} entry" if _numbers(location) else field]


def quote(value: object) -> str:
    """A wrong value as JSON, shortened; what cannot be seen in it as an escape."""
    text = "".join(
        character if character.isprintable() else json.dumps(character)[1:-1]
        for character in json.dumps(value, ensure_ascii=False, default=str)[: _LONGEST_QUOTE + 1]
    )
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def name_as_text(name: str) -> str:
    """A name that somebody gave a field, as `quote` shows values."""
    return quote(name).removeprefix('"').removesuffix('"')


def _unknown_field(file: str, index: int, name: str, *nested: str) -> RuleProblem:
    if nested:
        place = name_as_text(f"{name}.{nested[0]}")
        return RuleProblem(file, index, place, "an unknown field", _ALLOWED[name])
    if name in _OTHER_SPELLINGS:
        known = _OTHER_SPELLINGS[name]
        return RuleProblem(file, index, name, f"{known} by another name too", "one of the two")
    near = difflib.get_close_matches(name.lower(), _SPELLINGS, n=1)
    allowed = f"{_SPELLINGS[near[0]]} (did you mean that?)" if near else ", ".join(_FIELDS)
    return RuleProblem(file, index, name_as_text(name) or '""', "an unknown field", allowed)
