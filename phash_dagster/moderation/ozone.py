"""Sends moderation events to Ozone, through the PDS of the sending account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.events import TOOL, event_body, event_type
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ozone_errors import (
    AnswerError,
    OzoneError,
    OzoneUnavailableError,
    event_error,
    is_already_so,
    is_duplicate,
)
from phash_dagster.moderation.pds_client import QueryParameters
from phash_dagster.moderation.pds_session import OzoneAccount, PdsSession
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.moderation.undo_look import TOLD_BY, whose_too

_EMIT_EVENT: Final = "tools.ozone.moderation.emitEvent"
_QUERY_LABELS: Final = "com.atproto.label.queryLabels"
_MOST_LABELS: Final = 250
_QUERY_EVENTS: Final = "tools.ozone.moderation.queryEvents"


@dataclass(frozen=True, slots=True)
class EmitResult:
    """Ozone has the event."""

    event_id: int | None
    """Ozone's own id; None where it is not known."""
    duplicate: bool = False
    """Ozone had the event, or what it asks for, before this request."""
    note: str | None = None
    """Ozone's words, where it had some."""
    by_others: bool = False
    """What the event asks for is so, and not by an event of ours."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of `queryEvents`."""

    events: Sequence[Mapping[str, Any]]
    cursor: str | None
    """For the next page. Ozone names one on every page with an event, be it the last or not."""


class OzoneClient:
    """One session with one Ozone; logs in at the first request and not before.

    With `keep_session_in` the session is kept in this file, for the next run to go on with.
    Use as a context manager, or call `close`. Not for use by several threads at once.
    """

    def __init__(
        self,
        account: OzoneAccount,
        *,
        clock: Clock = utc_now,
        transport: httpx.BaseTransport | None = None,
        keep_session_in: Path | None = None,
    ) -> None:
        self._session = PdsSession(account, clock, transport, keep_in=keep_session_in)
        self._proxy = f"{account.labeler_did}#atproto_labeler"
        self._labeler_did = account.labeler_did
        self._service = f"{account.labeler_did} by {account.pds}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def service(self) -> str:
        """Names the Ozone, and the way to it."""
        return self._service

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the PDS last said of how many requests it still takes."""
        return self._session.rate_limit

    def emit(self, action: Action) -> EmitResult:
        """Send the event of an action.

        An `externalId` that Ozone has had counts as sent. A takedown of what is taken down
        already may be one of ours whose answer was lost, or somebody else's: that is looked up.
        So is the reversal of what is not taken down.

        Raises:
            OzoneRefusedError: Ozone refuses the event for good.
            OzoneUnavailableError: No usable answer; the event may have arrived.
            OzoneMisconfiguredError: Nothing can be sent with these settings, e.g. because the
                login is refused.
        """
        body = event_body(action, created_by=self._session.did())
        try:
            answer = self._session.procedure(_EMIT_EVENT, body, self._proxy)
        except AnswerError as error:
            said = str(error.answer)
            if is_duplicate(error.answer):
                return EmitResult(self._id_of_earlier(action), duplicate=True, note=said)
            if is_already_so(action.event, error.answer):
                event_id = self.find_event(action)
                others = event_id is None
                return EmitResult(event_id, duplicate=True, note=said, by_others=others)
            raise event_error(error.answer) from error
        event_id = answer.get("id")
        if not isinstance(event_id, int):
            raise OzoneUnavailableError("the answer to emitEvent has no event id")
        return EmitResult(event_id)

    def query_events(self, parameters: QueryParameters) -> list[Mapping[str, Any]]:
        """The events of one page of `queryEvents`, newest first unless asked otherwise.

        Args:
            parameters: As for `event_page`.

        Raises:
            OzoneError: As for `emit`.
        """
        return list(self.event_page(parameters).events)

    def event_page(self, parameters: QueryParameters) -> EventPage:
        """One page of `queryEvents`.

        Args:
            parameters: As the lexicon names them, e.g. `subject`, `types`, `modTool`, `limit`.

        Raises:
            OzoneError: As for `emit`.
        """
        try:
            answer = self._session.query(_QUERY_EVENTS, parameters, self._proxy)
        except AnswerError as error:
            raise event_error(error.answer) from error
        events = answer.get("events")
        if not isinstance(events, list):
            raise OzoneUnavailableError("the answer to queryEvents has no events")
        cursor = answer.get("cursor")
        return EventPage(events, cursor if isinstance(cursor, str) else None)

    def find_event(self, action: Action) -> int | None:
        """Ozone's id of the event that this action sent, or None.

        Found by `modTool.meta.externalId` among the newest hundred of our events of this type on
        the subject, since Ozone neither echoes nor filters its own `externalId`.

        Raises:
            OzoneError: As for `emit`.
        """
        parameters: QueryParameters = {
            "subject": action.subject,
            "types": [event_type(action.event)],
            "modTool": [TOOL],
            "limit": 100,
        }
        for event in self.query_events(parameters):
            if _external_id(event) == action.external_id and isinstance(event.get("id"), int):
                return int(event["id"])
        return None

    def whose_too(self, action: Action) -> str | None:
        """Who else put what an action takes back, so that it is to stay; None if nobody did.

        Found among the newest hundred events that can tell.

        Raises:
            OzoneError: As for `emit`.
        """
        parameters: QueryParameters = {
            "subject": action.subject,
            "types": list(TOLD_BY[action.event]),
            "limit": 100,
        }
        return whose_too(action, self.query_events(parameters), self._session.did())

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        """The labels that the labeler has put on these subjects, those taken back included.

        Ozone has no order of labels, so that its pages may leave some out. Where a page is full
        the question is asked in halves.

        Raises:
            OzoneError: As for `emit`.
        """
        parameters: QueryParameters = {
            "uriPatterns": list(subjects),
            "sources": [self._labeler_did],
            "limit": _MOST_LABELS,
        }
        try:
            answer = self._session.query(_QUERY_LABELS, parameters, self._proxy)
        except AnswerError as error:
            raise event_error(error.answer) from error
        found = _labels(answer)
        if len(found) < _MOST_LABELS or len(subjects) < 2:
            return found
        half = len(subjects) // 2
        return self.labels_on(subjects[:half]) + self.labels_on(subjects[half:])

    def _id_of_earlier(self, action: Action) -> int | None:
        try:
            return self.find_event(action)
        except OzoneError:
            return None  # good to know, but that the event arrived is already certain


def _labels(answer: Mapping[str, Any]) -> list[Label]:
    labels = answer.get("labels")
    try:
        return [Label.of(label) for label in labels or []]
    except (ValueError, TypeError, AttributeError):
        raise OzoneUnavailableError("the answer to queryLabels has no labels") from None


def _external_id(event: Mapping[str, Any]) -> str | None:
    tool = event.get("modTool") or {}
    meta = tool.get("meta") or {}
    found = meta.get("externalId")
    return found if isinstance(found, str) else None
