"""The questions under `sql/analysis/`: what each asks, and with which parameters.

A question is one statement that runs in any DuckDB client against the snapshot. What may be set is
declared in its header, one parameter a line:

    -- Parameters:
    --   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
    --   account VARCHAR: DID of the account

A parameter is a variable of the session, set by `SET VARIABLE since = …`. The statement reads it as
`coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ`, so it runs as it stands too.
One without a default raises an error instead: `error('SET VARIABLE account first')`.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from phash_dagster.sql import statements

Value = str | int | float | bool | datetime
"""What a parameter can be set to."""

ParseTime = Callable[[str], datetime]
"""Reads what people write for a time.

Raises:
    ValueError: The text is no time; the message says what is allowed.
"""

_PARAMETER: Final = re.compile(
    r"^--   (?P<name>[a-z_]+) (?P<type>[A-Z]+)(?: = (?P<default>.+?))?: (?P<meaning>.+)$"
)


class QuestionError(ValueError):
    """There is no such question or parameter, or a value is of the wrong type."""


@dataclass(frozen=True)
class Parameter:
    """What can be set for a question.

    Attributes:
        name: Of the variable.
        type: Of DuckDB: TIMESTAMPTZ, INTEGER, DOUBLE, VARCHAR or BOOLEAN.
        default: What it is if it is not set, in SQL; None: it has to be set.
        meaning: In a few words.
    """

    name: str
    type: str
    default: str | None
    meaning: str

    @property
    def as_in_sql(self) -> str:
        """How the statement reads it."""
        fallback = self.default or f"error('SET VARIABLE {self.name} first')"
        return f"coalesce(getvariable('{self.name}'), {fallback})::{self.type}"


@dataclass(frozen=True)
class Question:
    """A question that people may have.

    Attributes:
        name: As on the command line: `busiest-hashes`.
        asks: The question itself.
        explanation: What else is to be known about the answer; may be empty.
        parameters: What can be set.
        sql: The statement.
    """

    name: str
    asks: str
    explanation: str
    parameters: tuple[Parameter, ...]
    sql: str

    def values(self, given: Mapping[str, str], parse_time: ParseTime) -> dict[str, Value]:
        """The parameters by name, as values to bind.

        Raises:
            QuestionError: One is unknown, has no value, or one that is not of its type.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise QuestionError(
                    f"{self.name} has no parameter {name!r}{_meant(name, known)}; "
                    f"it has {', '.join(known) or 'none'}"
                )
        for parameter in self.parameters:
            if parameter.default is None and parameter.name not in given:
                raise QuestionError(
                    f"{self.name} needs {parameter.name} ({parameter.meaning}): "
                    f"add --param {parameter.name}=…"
                )
        return {name: _value(known[name], text, parse_time) for name, text in given.items()}


def questions() -> dict[str, Question]:
    """All questions by name, in the order of names."""
    found = (_read(stem, text) for stem, text in statements("analysis").items())
    return {question.name: question for question in found}


def find_question(name: str) -> Question:
    """The question of this name; written with - or _.

    Raises:
        QuestionError: There is none; the message names those that are meant perhaps.
    """
    known = questions()
    try:
        return known[name.replace("_", "-")]
    except KeyError:
        raise QuestionError(
            f"there is no question {name!r}{_meant(name.replace('_', '-'), known)}; "
            "`phash-dagster query --list` lists them"
        ) from None


def _meant(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=3) or [
        other for other in known if set(name.split("-")) & set(other.split("-"))
    ]
    return f", perhaps {' or '.join(near)}" if near else ""


def _read(stem: str, text: str) -> Question:
    header = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        header.append(line)
    parameters = [found for line in header if (found := _PARAMETER.match(line))]
    words = [line.removeprefix("--").strip() for line in header if line.startswith("-- ")]
    prose = " ".join(words[: words.index("Parameters:")] if "Parameters:" in words else words)
    asks, _, explanation = prose.partition("? ")
    return Question(
        name=stem.replace("_", "-"),
        asks=asks if asks.endswith("?") else f"{asks}?",
        explanation=explanation,
        parameters=tuple(Parameter(**found.groupdict()) for found in parameters),
        sql=text,
    )


_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _value(parameter: Parameter, text: str, parse_time: ParseTime) -> Value:
    try:
        match parameter.type:
            case "TIMESTAMPTZ":
                return parse_time(text)
            case "INTEGER":
                return int(text)
            case "DOUBLE":
                return float(text)
            case "BOOLEAN":
                return _BOOLEANS[text.lower()]
            case _:
                return text
    except (ValueError, KeyError) as error:
        wanted = {"INTEGER": "a whole number", "DOUBLE": "a number", "BOOLEAN": "true or false"}
        reason = wanted.get(parameter.type)
        detail = f"{text!r} is not {reason}" if reason else str(error)
        raise QuestionError(f"{parameter.name}: {detail}") from None


def in_one_line(parameters: Sequence[Parameter]) -> str:
    """The parameters in one line: `since = now() - INTERVAL 7 DAYS, account (needed)`."""
    return ", ".join(
        f"{parameter.name} (needed)"
        if parameter.default is None
        else f"{parameter.name} = {parameter.default}"
        for parameter in parameters
    )
