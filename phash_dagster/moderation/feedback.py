"""Reads back from Ozone what became of our actions: taken back, confirmed, appealed.

Events are read from the cursor on, oldest first. The cursor is a time by Ozone's clock, kept in
one transaction with what the events told; whatever is killed when, they are read again, and the
same events tell the same. A time, because Ozone's numbers and times are given before an event can
be seen: one that took long to be stored appears behind others that were read already. So reading
begins some minutes before the cursor.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import pyarrow as pa

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.outcomes import (
    EVENT_TYPES,
    REVERSALS,
    ActionOutcome,
    OzoneEvent,
    outcomes_of,
)
from phash_dagster.moderation.ozone import EventPage
from phash_dagster.moderation.ozone_errors import OzoneUnavailableError
from phash_dagster.moderation.pds_client import QueryParameters
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse

OVERLAP: Final = timedelta(minutes=10)
"""How long an event may take from its time to being seen."""

_BEFORE_THE_FIRST: Final = timedelta(days=1)
"""The first reading begins this long before our first action: its time is by our clock."""

_PAGE: Final = 100
"""Events a page: the most that Ozone gives."""

_PAGES_AT_ONCE: Final = 10
"""Pages whose outcomes are stored together."""

_MOST_PAGES: Final = 300
"""Pages of one reading; the next goes on."""

_SPACING_SECONDS: Final = 1.0
"""Between two pages. The PDS counts all requests of this machine together, and sending goes first:
a page a second is a tenth of what it allows."""

_SHARE_FOR_SENDING: Final = 0.5
"""Reading stops while less than this share of the PDS's limit is left."""

_OUTCOMES: Final = pa.schema(
    {
        "action_id": pa.int64(),
        "ozone_event_id": pa.int64(),
        "outcome": pa.string(),
        "by_did": pa.string(),
        "by_kind": pa.string(),
        "happened_at": pa.timestamp("us", tz="UTC"),
        "comment": pa.string(),
    }
)


class EventSource(Protocol):
    """What reading needs of `OzoneClient`."""

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the PDS last said of how many requests it still takes."""

    def event_page(self, parameters: QueryParameters) -> EventPage:
        """One page of `queryEvents`, or an `OzoneError`."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far Ozone's events were read."""

    read_until: datetime
    """Time of the last event that was read, by Ozone's clock."""
    caught_up_at: datetime | None = None
    """When there was last nothing more to read, by ours; None: never yet."""


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """What one reading did."""

    events: int = 0
    """Events that were read, of the types that can tell something."""
    not_understood: int = 0
    """Those that could not be read."""
    outcomes: int = 0
    """Rows that are new in `action_outcomes`."""
    taken_back: int = 0
    """Actions of which the ledger learned that people took them back."""
    caught_up: bool = False
    """Whether there was nothing more to read."""
    stopped: str | None = None
    """Why reading ended early."""
    found: tuple[ActionOutcome, ...] = field(default=())
    """What the events told, for a look at it; known outcomes among them."""


def load_cursor(connection: Connection, labeler_did: str) -> Cursor | None:
    """How far the events of this labeler's Ozone were read; None if never."""
    rows = connection.execute(
        statement("moderation/event_cursor"), {"labeler_did": labeler_did}
    ).fetchall()
    return Cursor(*rows[0]) if rows else None


def read_feedback(
    ozone: EventSource,
    labeler_did: str,
    ledger: Ledger,
    warehouse: Warehouse,
    *,
    clock: Clock = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> FeedbackSummary:
    """Read Ozone's events since the last time and keep what they say about our actions.

    The ledger learns of what people took back, so that rules do not do the same again: on a post
    never, on an account not within the claim window.

    Ozone being down, slow or busy ends the reading, not the caller; the next one goes on.

    Raises:
        OzoneMisconfiguredError: Nothing can be read, e.g. because the login is refused.
    """
    with warehouse.read() as connection:
        cursor = load_cursor(connection, labeler_did)
    start = _start(cursor, ledger)
    if start is None:
        return FeedbackSummary(caught_up=True)
    store = _Store(ledger, warehouse, labeler_did, clock, cursor)
    reading = _Reading(ozone, start, sleep)
    while not reading.is_over:
        events = reading.some()
        store.keep(events, caught_up=reading.caught_up)
    return replace(
        store.summary,
        events=reading.count,
        not_understood=reading.not_understood,
        caught_up=reading.caught_up,
        stopped=reading.stopped,
    )


def _start(cursor: Cursor | None, ledger: Ledger) -> datetime | None:
    if cursor is not None:
        return cursor.read_until - OVERLAP
    first = ledger.first_attempt()
    return None if first is None else first - _BEFORE_THE_FIRST


class _Reading:
    """Pages of events, from a time on."""

    def __init__(self, ozone: EventSource, start: datetime, sleep: Callable[[float], None]) -> None:
        self._ozone = ozone
        self._parameters: Mapping[str, str | int | list[str]] = {
            "types": list(EVENT_TYPES),
            "sortDirection": "asc",
            "createdAfter": as_ozone_compares(start),
            "limit": _PAGE,
        }
        self._sleep = sleep
        self._pages = 0
        self.count = 0
        self.not_understood = 0
        self.caught_up = False
        self.stopped: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to read in this reading."""
        return self.caught_up or self.stopped is not None

    def some(self) -> list[OzoneEvent]:
        """Events of some pages, oldest first."""
        events: list[OzoneEvent] = []
        for _ in range(_PAGES_AT_ONCE):
            if self._pages:
                self._sleep(_SPACING_SECONDS)
            try:
                page = self._ozone.event_page(self._parameters)
            except OzoneUnavailableError as error:
                self.stopped = f"Ozone is unavailable: {error}"
                break
            self._pages += 1
            events += self._understood(page.events)
            self._go_on(page)
            if self.is_over:
                break
        return events

    def _understood(self, views: Sequence[Mapping[str, Any]]) -> Iterable[OzoneEvent]:
        self.count += len(views)
        for view in views:
            try:
                event = OzoneEvent.parse(view)
            except ValueError:
                self.not_understood += 1
            else:
                if event:
                    yield event

    def _go_on(self, page: EventPage) -> None:
        """Point to the next page, or say why there is none."""
        limit = self._ozone.rate_limit
        if len(page.events) < _PAGE or page.cursor is None:
            self.caught_up = True
        elif page.cursor == self._parameters.get("cursor"):
            self.stopped = "Ozone gives the same page again and again"
        elif self._pages >= _MOST_PAGES:
            self.stopped = f"{self._pages} pages were read; the next reading goes on"
        elif limit and limit.remaining < limit.limit * _SHARE_FOR_SENDING:
            self.stopped = "the PDS takes few requests more for now, which are left for sending"
        else:
            self._parameters = {**self._parameters, "cursor": page.cursor}


class _Store:
    """Keeps what events tell, and how far they were read."""

    def __init__(
        self,
        ledger: Ledger,
        warehouse: Warehouse,
        labeler_did: str,
        clock: Clock,
        cursor: Cursor | None,
    ) -> None:
        self._ledger = ledger
        self._warehouse = warehouse
        self._labeler_did = labeler_did
        self._clock = clock
        self._cursor = cursor
        self.summary = FeedbackSummary()

    def keep(self, events: Sequence[OzoneEvent], *, caught_up: bool) -> None:
        """Keep what these events tell, together with the cursor."""
        # After the events were read: an action that one of them is about is in the ledger by now.
        actions = self._ledger.on_accounts({event.did for event in events})
        found = list(outcomes_of(events, actions))
        # First the ledger. If this is killed before the cursor moves, it learns the same again.
        taken_back = self._ledger.reviews.note_taken_back(
            {
                outcome.action_id: outcome.by_did
                for outcome in found
                if outcome.by_kind == "people" and outcome.outcome in REVERSALS
            }
        )
        cursor = self._moved(events, caught_up=caught_up)
        with self._warehouse.write() as connection:
            new = _save_outcomes(connection, found)
            if cursor:
                _save_cursor(connection, self._labeler_did, cursor)
        self._cursor = cursor
        self.summary = replace(
            self.summary,
            outcomes=self.summary.outcomes + new,
            taken_back=self.summary.taken_back + taken_back,
            found=(*self.summary.found, *found),
        )

    def _moved(self, events: Sequence[OzoneEvent], *, caught_up: bool) -> Cursor | None:
        times = [event.created_at for event in events]
        if self._cursor:
            times.append(self._cursor.read_until)
        if not times:
            return None
        before = self._cursor.caught_up_at if self._cursor else None
        return Cursor(max(times), self._clock() if caught_up else before)


def as_ozone_compares(moment: datetime) -> str:
    """A time for `createdAfter`, as Ozone writes its own: it compares them as texts.

    `…:33Z` sorts behind `…:33.326Z`, so a time without milliseconds would leave out the events of
    that second.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _save_outcomes(connection: Connection, outcomes: Sequence[ActionOutcome]) -> int:
    if not outcomes:
        return 0
    rows = pa.Table.from_pylist([outcome._asdict() for outcome in outcomes], schema=_OUTCOMES)
    connection.register("read_outcomes", rows)
    new = connection.execute(statement("moderation/save_outcomes")).fetchall()
    connection.unregister("read_outcomes")
    return len(new)


def _save_cursor(connection: Connection, labeler_did: str, cursor: Cursor) -> None:
    connection.execute(
        statement("moderation/save_event_cursor"),
        {
            "labeler_did": labeler_did,
            "read_until": cursor.read_until,
            "caught_up_at": cursor.caught_up_at,
        },
    )
