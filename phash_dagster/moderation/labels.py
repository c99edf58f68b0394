"""What Ozone says of a subject's labels, and which actions ask for nothing new. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import quote

from phash_dagster.moderation.actions import Action, Event

TAKEDOWN_LABEL: Final = "!takedown"
"""Ozone puts it on whatever it takes down, and takes it back with the takedown."""

ASKED: Final = frozenset({Event.LABEL, Event.TAKEDOWN, Event.NEGATE_LABEL, Event.REVERSE_TAKEDOWN})
"""Events that do nothing where their subject is as they want it."""

_MOST_SUBJECTS: Final = 50
_MOST_CHARACTERS: Final = 6_000
"""A server of Node refuses requests whose address and headers have more than 16 kB, with 431."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of ours, as `com.atproto.label.queryLabels` names it."""

    subject: str
    """AT URI or DID."""
    cid: str | None
    """The version of the record that it is on; None for an account, or for any version."""
    value: str
    negated: bool
    """It was taken back."""
    expires_at: datetime | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read one of the answer's labels.

        Raises:
            ValueError, TypeError: It is none.
        """
        subject, value, cid = answer.get("uri"), answer.get("val"), answer.get("cid")
        expires = answer.get("exp")
        if not isinstance(subject, str) or not isinstance(value, str):
            raise TypeError("a label without uri or val")
        expires_at = None if expires is None else datetime.fromisoformat(str(expires))
        if expires_at is not None and expires_at.tzinfo is None:
            raise ValueError("a label that expires at a time without time zone")
        return cls(subject, str(cid) if cid else None, value, answer.get("neg") is True, expires_at)

    def is_in_force(self, now: datetime) -> bool:
        """Whether it was neither taken back nor is over."""
        return not self.negated and (self.expires_at is None or now < self.expires_at)


def already_so(action: Action, labels: Iterable[Label], now: datetime) -> str | None:
    """Why an action would change nothing; None if it would.

    Args:
        action: One of an event that is `ASKED` about.
        labels: The labels that Ozone has on its subject, those that were taken back included.
        now: The time by which labels have expired.
    """
    in_force = [
        label
        for label in labels
        if label.subject == action.subject and label.is_in_force(now) and _is_meant(label, action)
    ]
    match action.event:
        case Event.LABEL if in_force:
            return f"already labelled {action.value}{_until(in_force)}"
        case Event.TAKEDOWN if in_force:
            return "already taken down"
        case Event.NEGATE_LABEL if not in_force:
            return f"no longer labelled {action.value}"
        case Event.REVERSE_TAKEDOWN if not in_force:
            return "no longer taken down"
        case _:
            return None


def _is_meant(label: Label, action: Action) -> bool:
    if action.event in (Event.TAKEDOWN, Event.REVERSE_TAKEDOWN):
        # Taken down is a record whatever its version.
        return label.value == TAKEDOWN_LABEL
    # The label of an earlier version says nothing of what the record shows now.
    return label.value == action.value and label.cid in (None, action.subject_cid)


def _until(labels: Iterable[Label]) -> str:
    """For labels that somebody put on for a time; that is left as they decided."""
    ends = [label.expires_at for label in labels]
    last = max((end for end in ends if end is not None), default=None)
    return f" until {last:%Y-%m-%d %H:%M} UTC" if last and None not in ends else ""


def subject_batches(actions: Iterable[Action]) -> Iterator[tuple[str, ...]]:
    """The subjects of these actions, each once, as many at a time as fit into one question."""
    batch: list[str] = []
    length = 0
    for subject in dict.fromkeys(action.subject for action in actions):
        if "*" in subject:
            continue  # a pattern for many; no AT URI has one
        characters = len(quote(subject, safe="")) + len("&uriPatterns=")
        if batch and (len(batch) >= _MOST_SUBJECTS or length + characters > _MOST_CHARACTERS):
            yield tuple(batch)
            batch, length = [], 0
        batch.append(subject)
        length += characters
    if batch:
        yield tuple(batch)
