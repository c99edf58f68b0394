"""Which rows of the ledger are meant: by number, subject, rule, batch, state and so on."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, Self, cast, get_args

from sqlalchemy import ColumnElement, and_, or_, true

from phash_dagster.addresses import parse_address
from phash_dagster.moderation.actions import Event, Lane, State
from phash_dagster.moderation.ledger_schema import moderation_actions

_T = moderation_actions.c

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SHORT_RUN: Final = re.compile(r"[0-9a-f]{8}")
"""How Dagster's UI shows a run."""
_SHORT_VERSION: Final = re.compile(r"[0-9a-f]{6,63}")
"""Rules versions have 64 characters; what people see of one is its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """What rows must be like; a field that is empty excludes nothing."""

    action_ids: tuple[int, ...] = ()
    """Together with `subjects`: a row is meant by its number or by its subject."""
    subjects: tuple[str, ...] = ()
    """AT URIs of posts, and DIDs of accounts, each of which means its posts too."""
    states: tuple[State, ...] = ()
    events: tuple[Event, ...] = ()
    values: tuple[str, ...] = ()
    """Labels."""
    rules: tuple[str, ...] = ()
    """Rule ids."""
    hashes: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    """Rules versions, or the first six characters of one and more."""
    batches: tuple[str, ...] = ()
    """Batches; of those named after a Dagster run the first eight characters will do."""
    runs: tuple[str, ...] = ()
    """Dagster runs, or the first eight characters of one."""
    lanes: tuple[Lane, ...] = ()
    since: datetime | None = None
    """Planned or sent at this time or later."""

    @property
    def is_empty(self) -> bool:
        """Whether every row is meant."""
        return not self._named(leave_out=())

    @property
    def names_batches_only(self) -> bool:
        """Whether whole batches are meant, and nothing else."""
        return bool(self.batches) and not self._named(leave_out=("batches", "states"))

    def _named(self, leave_out: Sequence[str]) -> list[str]:
        names = [field.name for field in fields(self) if field.name not in leave_out]
        return [name for name in names if getattr(self, name)]

    def in_states(self, *states: State) -> Self:
        """The same, of those states only that both ask for.

        Raises:
            ValueError: There is none.
        """
        both = tuple(state for state in states if not self.states or state in self.states)
        if not both:
            raise ValueError(
                f"actions that are {any_of(self.states)} are not concerned; "
                f"it is about those that are {any_of(states)}"
            )
        return replace(self, states=both)

    def condition(self) -> ColumnElement[bool]:
        """The filter in SQL."""
        return and_(true(), *self._conditions())

    def _conditions(self) -> Iterable[ColumnElement[bool]]:
        if self.action_ids or self.subjects:
            yield or_(_T.action_id.in_(self.action_ids), *map(_is_subject, self.subjects))
        for column, wanted in (
            (_T.state, self.states),
            (_T.event, self.events),
            (_T.value, self.values),
            (_T.rule_id, self.rules),
            (_T.rule_hash, self.hashes),
            (_T.lane, self.lanes),
        ):
            if wanted:
                yield column.in_([str(each) for each in wanted])
        for column, texts, short in (
            (_T.rule_version, self.versions, _SHORT_VERSION),
            (_T.batch_id, self.batches, _SHORT_RUN),
            (_T.run_id, self.runs, _SHORT_RUN),
        ):
            if texts:
                yield or_(*(_is_or_begins(column, text, short) for text in texts))
        if self.since is not None:
            yield or_(_T.planned_at >= self.since, _T.sent_at >= self.since)


def parse_filter(
    *,
    targets: Iterable[str] = (),
    states: Iterable[str] = (),
    events: Iterable[str] = (),
    labels: Iterable[str] = (),
    rules: Iterable[str] = (),
    hashes: Iterable[str] = (),
    versions: Iterable[str] = (),
    batches: Iterable[str] = (),
    runs: Iterable[str] = (),
    lanes: Iterable[str] = (),
    since: datetime | None = None,
) -> RowFilter:
    """The filter that a person wrote down.

    Raises:
        ValueError: Something names nothing; the text says what it can name.
    """
    action_ids, subjects = _parse_targets(targets)
    return RowFilter(
        action_ids=action_ids,
        subjects=subjects,
        states=tuple(State(_one_of(State, "state", text)) for text in states),
        events=tuple(Event(_one_of(Event, "event", text)) for text in events),
        values=tuple(labels),
        rules=tuple(rules),
        hashes=tuple(text.lower() for text in hashes),
        versions=tuple(text.lower() for text in versions),
        batches=tuple(batches),
        runs=tuple(runs),
        lanes=tuple(cast("Lane", _one_of(get_args(Lane), "lane", text)) for text in lanes),
        since=since,
    )


def _parse_targets(texts: Iterable[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Split what a person names into numbers of actions, and subjects."""
    numbers: list[int] = []
    subjects: list[str] = []
    for text in texts:
        named = text.strip().removesuffix("/")
        if _NUMBER.fullmatch(named):
            numbers.append(int(named))
        else:
            subjects.append(_parse_subject(named))
    return tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(subjects))


def _parse_subject(text: str) -> str:
    """The AT URI of a post, or the DID of an account."""
    if text.startswith(("did:", "at://did:")):
        return text
    address = parse_address(text)
    if address is None:
        raise ValueError(
            f"{text!r} names no action; write its number, the at://did:… URI or the bsky.app "
            "address of a post, or the did:… of an account"
        )
    if not address.has_did:
        raise ValueError(
            f"{text} names an account by its handle, which can change hands and is not looked up: "
            f"`phash-dagster explain {text}` shows the numbers of its actions"
            if address.is_record
            else f"{text} names an account by its handle, which can change hands; write its did:…"
        )
    return address.uri


def _one_of(allowed: Iterable[str], what: str, text: str) -> str:
    if text not in (names := [str(each) for each in allowed]):
        raise ValueError(f"{text!r} is no {what}; write {', '.join(names)}")
    return text


def any_of(states: Sequence[State]) -> str:
    """The states in words, e.g. `held, failed or dead`."""
    *most, last = (state.value for state in states)
    return f"{', '.join(most)} or {last}" if most else last


def is_version(version: str, text: str) -> bool:
    """Whether a person who writes `text` means this rules version."""
    return version == text or bool(_SHORT_VERSION.fullmatch(text) and version.startswith(text))


def _is_subject(subject: str) -> ColumnElement[bool]:
    """A DID, also as `at://did:…`, means the account and its posts."""
    named = subject.removeprefix("at://")
    if "/" not in named:
        return _T.subject_did == named
    return _T.subject_uri == subject


def _is_or_begins(column: Any, text: str, short: re.Pattern[str]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = (
        column.startswith(text, autoescape=True) if short.fullmatch(text) else column == text
    )
    return condition
