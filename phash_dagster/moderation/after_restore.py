"""What Ozone got after the backup that a ledger was restored from.

A restored ledger knows nothing of it, and neither does planning: the posts are read once more and
the same is planned. Within one claim window Ozone itself refuses the second event, since it carries
the same `externalId`; but at the window's end identifiers change, and a record that was updated has
another. So after a restore, before anything is sent, Ozone is asked once what it got since the
backup, and what waits to be sent is held against that for as long as claims hold.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from phash_dagster.moderation.actions import Action, Event, State, external_id
from phash_dagster.moderation.events import TOOL, event_type
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EventPage
from phash_dagster.moderation.pds_client import QueryParameters

NOTE: Final = "restored.json"
"""The file in `DATA_DIR` that says that the ledger was restored."""

_MARGIN: Final = timedelta(hours=1)
"""By how much our clock and that of Ozone may differ."""

_SENT_ONCE: Final = frozenset({Event.LABEL, Event.REPORT, Event.COMMENT, Event.TAKEDOWN})


class KnownEvent(msgspec.Struct, frozen=True):
    """An event that Ozone got from this pipeline after the backup."""

    event_id: int
    type: str
    subject: str
    """AT URI of a post, or DID of an account."""
    cid: str | None
    """CID of the post's record as it was then."""
    labels: tuple[str, ...]
    """Those that it put on the subject."""
    external_id: str
    created_at: datetime


class RestoreNote(msgspec.Struct, frozen=True):
    """That and when a ledger was restored."""

    made_at: datetime
    """When the backup was made."""
    restored_at: datetime
    events: tuple[KnownEvent, ...] | None = None
    """What Ozone got since; None until it was asked."""


class EventPages(Protocol):
    """What is needed of `OzoneClient`."""

    def event_page(self, parameters: QueryParameters) -> EventPage:
        """One page of `queryEvents`."""


def note_restore(data_dir: Path, *, made_at: datetime, now: datetime) -> None:
    """Write down that the ledger is now that of a backup.

    Args:
        data_dir: `DATA_DIR`.
        made_at: When the backup was made.
        now: The current time.
    """
    _write(data_dir / NOTE, RestoreNote(made_at, now))


def settle_after_restore(
    ledger: Ledger, ozone: EventPages, data_dir: Path, *, now: datetime, ttl_days: int
) -> int:
    """Settle what waits to be sent and Ozone got after the backup; return how many rows.

    Does nothing where no ledger was restored, or so long ago that its claims hold no more.

    Raises:
        OzoneError: Ozone cannot be asked. Nothing may be sent.
    """
    path = data_dir / NOTE
    note = _read(path)
    if note is None:
        return 0
    if now - note.restored_at > timedelta(days=ttl_days) + _MARGIN:
        path.unlink(missing_ok=True)
        return 0
    if note.events is None:
        note = RestoreNote(note.made_at, note.restored_at, tuple(_ask(ozone, note.made_at)))
        _write(path, note)
    return _settle(ledger, note, ttl_days)


def already_sent(
    action: Action, events: Iterable[KnownEvent], made_at: datetime, ttl_days: int
) -> KnownEvent | None:
    """The event that did what this action would do, or None. Pure.

    Args:
        action: A row that waits to be sent.
        events: What Ozone got on its subject.
        made_at: When the backup was made: nothing that it lacks was planned before.
        ttl_days: Length of the claim window in days (`CLAIM_TTL_DAYS`).
    """
    if action.event not in _SENT_ONCE:
        return None  # what a person asked for, to take something back
    kind = event_type(action.event)
    for event in events:
        if event.type != kind or event.subject != action.subject:
            continue
        if action.event is Event.LABEL and action.value in event.labels:
            return event
        if action.event is Event.TAKEDOWN:
            return event
        if event.external_id in _identifiers(action, event, made_at, ttl_days):
            return event
    return None


def _settle(ledger: Ledger, note: RestoreNote, ttl_days: int) -> int:
    by_subject: dict[str, list[KnownEvent]] = {}
    for event in note.events or ():
        by_subject.setdefault(event.subject, []).append(event)
    settled = 0
    for row in ledger.in_state(State.PLANNED) if by_subject else ():
        event_found = already_sent(row, by_subject.get(row.subject, ()), note.made_at, ttl_days)
        # The emitter settles what it has tried by itself: it has kept its identifier.
        if event_found and row.attempts == 0:
            words = "sent before the ledger was restored from a backup"
            settled += ledger.mark_sent_before(
                row.action_id, event_found.event_id, event_found.created_at, words
            )
    return settled


def _identifiers(
    action: Action, event: KnownEvent, made_at: datetime, ttl_days: int
) -> frozenset[str]:
    """The identifiers that the event had if it was planned for this claim since the backup."""
    first, last = made_at - _MARGIN, event.created_at + _MARGIN
    days = range((last - first).days + 2)
    return frozenset(
        external_id(
            action.claim,
            event.cid,
            mode="live",
            suppressed=False,
            planned_at=min(first + timedelta(days=day), last),
            ttl=ttl_days,
        )
        for day in days
    )


def _ask(ozone: EventPages, made_at: datetime) -> Iterator[KnownEvent]:
    """Every event of this tool that Ozone got since the backup, oldest first."""
    since = (made_at - _MARGIN).astimezone(UTC).isoformat(timespec="milliseconds")
    parameters: dict[str, str | int | list[str]] = {
        "createdAfter": since,
        "modTool": [TOOL],
        "sortDirection": "asc",
        "limit": 100,
    }
    while True:
        page = ozone.event_page(parameters)
        for shown in page.events:
            with suppress(KeyError, TypeError, ValueError):
                yield _known(shown)
        if not page.events or page.cursor is None:
            return
        parameters = {**parameters, "cursor": page.cursor}


def _known(shown: Mapping[str, Any]) -> KnownEvent:
    subject, event = shown["subject"], shown["event"]
    return KnownEvent(
        event_id=int(shown["id"]),
        type=str(event["$type"]),
        subject=str(subject.get("uri") or subject["did"]),
        cid=subject.get("cid"),
        labels=tuple(map(str, event.get("createLabelVals") or ())),
        external_id=str(shown["modTool"]["meta"]["externalId"]),
        created_at=datetime.fromisoformat(shown["createdAt"]).astimezone(UTC),
    )


def _read(path: Path) -> RestoreNote | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RestoreNote)
    except FileNotFoundError:
        return None


def _write(path: Path, note: RestoreNote) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(note))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
