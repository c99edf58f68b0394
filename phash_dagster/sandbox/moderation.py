"""What Ozone keeps: moderation events, the status of their subjects, and labels.

Follows @atproto/ozone 0.4.2, as far as a moderation bot can see it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from phash_dagster.clock import Clock
from phash_dagster.sandbox import moderation_input as inputs
from phash_dagster.sandbox.labels import TAKEDOWN_LABEL, LabelStore
from phash_dagster.sandbox.moderation_input import (
    ACKNOWLEDGE,
    COMMENT,
    LABEL,
    REPORT,
    REVERSE_TAKEDOWN,
    TAG,
    TAKEDOWN,
    EmitInput,
    Subject,
    check_labels,
)
from phash_dagster.sandbox.moderation_model import (
    ModerationEvent,
    SubjectStatus,
    content_tags,
    report_tag,
    stored_form,
)
from phash_dagster.sandbox.xrpc import XrpcError, invalid_request

Json = dict[str, Any]
Role = Literal["admin", "moderator", "triage"]

TakedownListener = Callable[[Subject, tuple[str, ...], bool], None]
"""Called with a subject, its blobs, and whether it was taken down or put back."""

RecordLookup = Callable[[str], Mapping[str, Any] | None]


class Moderation:
    """The moderation service of one labeler. Thread-safe.

    `check` and `log` are two steps, because the real Ozone does not lock between them: the same
    external id sent several times at once is stored several times.
    """

    def __init__(
        self,
        labeler_did: str,
        clock: Clock,
        *,
        find_record: RecordLookup,
        on_takedown: TakedownListener,
    ) -> None:
        self.labeler_did = labeler_did
        self.labels = LabelStore(labeler_did)
        self._clock = clock
        self._find_record = find_record
        self._on_takedown = on_takedown
        self._lock = threading.RLock()
        self._team: dict[str, Role] = {}
        self._events: list[ModerationEvent] = []
        self._statuses: dict[str, SubjectStatus] = {}

    def set_role(self, did: str, role: Role | None) -> None:
        """Take an account into the team, or out of it."""
        with self._lock:
            if role is None:
                self._team.pop(did, None)
            else:
                self._team[did] = role

    def member(self, did: str) -> Role:
        """The role of a team member.

        Raises:
            XrpcError: 401, not a member.
        """
        with self._lock:
            if did not in self._team:
                raise XrpcError(401, "AuthenticationRequired", "not a moderator account")
            return self._team[did]

    def events(self) -> list[ModerationEvent]:
        """Every event, oldest first."""
        with self._lock:
            return list(self._events)

    def statuses(self) -> list[SubjectStatus]:
        """The status of every subject, in order of first event."""
        with self._lock:
            return list(self._statuses.values())

    def check(self, given: EmitInput, role: Role) -> None:
        """Refuse what may not be done.

        Raises:
            XrpcError: 401 for the role, 400 for labels, takedowns and external ids.
        """
        takes_down = given.type in (TAKEDOWN, REVERSE_TAKEDOWN)
        if role == "triage" and takes_down:
            raise XrpcError(
                401,
                "AuthenticationRequired",
                "Must be a full moderator to take this type of action",
            )
        if role == "triage" and given.type == LABEL:
            raise XrpcError(
                401, "AuthenticationRequired", "Must be a full moderator to label content"
            )
        check_labels(given.labels)
        with self._lock:
            status = self._statuses.get(given.subject.key)
            taken_down = status is not None and status.taken_down
            if given.type == TAKEDOWN and taken_down:
                raise invalid_request("Subject is already taken down")
            if given.type == REVERSE_TAKEDOWN and not taken_down:
                raise invalid_request("Subject is not taken down")
            if given.external_id and any(self._same_id(given, event) for event in self._events):
                raise XrpcError(
                    400,
                    "DuplicateExternalId",
                    "An event with the same external ID already exists for the subject.",
                )

    def log(self, given: EmitInput, created_by: str) -> ModerationEvent:
        """Store an event with everything that follows from it."""
        with self._lock:
            blob_cids = given.blob_cids
            if given.type == REVERSE_TAKEDOWN:
                blob_cids = self._statuses[given.subject.key].blob_cids
            event = self._store(given, blob_cids, created_by)
            self._update_labels(event)
            self._add_tags(event)
        if given.type in (TAKEDOWN, REVERSE_TAKEDOWN):
            self._on_takedown(given.subject, blob_cids, given.type == TAKEDOWN)
        return event

    @staticmethod
    def _same_id(given: EmitInput, event: ModerationEvent) -> bool:
        """Per author: another record by the same author collides."""
        return (
            event.external_id == given.external_id
            and event.type == given.type
            and event.subject.did == given.subject.did
        )

    def _store(
        self, given: EmitInput, blob_cids: tuple[str, ...], created_by: str
    ) -> ModerationEvent:
        event = ModerationEvent(
            id=len(self._events) + 1,
            event=stored_form(given.event),
            subject=given.subject,
            blob_cids=blob_cids,
            created_by=created_by,
            created_at=self._clock(),
            external_id=given.external_id or None,
            mod_tool=given.mod_tool,
        )
        self._events.append(event)
        self._update_status(event)
        return event

    def _update_status(self, event: ModerationEvent) -> None:
        now = event.created_at
        status = self._statuses.setdefault(
            event.subject.key, SubjectStatus(len(self._statuses) + 1, event.subject, now, now)
        )
        status.updated_at = now
        status.blob_cids = event.blob_cids or status.blob_cids
        if event.type in (ACKNOWLEDGE, TAKEDOWN, REVERSE_TAKEDOWN, COMMENT):
            status.last_reviewed_by, status.last_reviewed_at = event.created_by, now
        match event.type:
            case inputs.REPORT if event.event["reportType"] in inputs.APPEALS:
                status.review_state, status.last_reported_at = "reviewEscalated", now
                status.appealed, status.last_appealed_at = True, now
            case inputs.REPORT:
                status.review_state, status.last_reported_at = "reviewOpen", now
            case inputs.RESOLVE_APPEAL if status.appealed:
                status.appealed = False
            case inputs.ACKNOWLEDGE:
                status.review_state = "reviewClosed"
            case inputs.TAKEDOWN:
                status.review_state, status.taken_down = "reviewClosed", True
            case inputs.REVERSE_TAKEDOWN:
                status.review_state, status.taken_down = "reviewClosed", False
            case inputs.TAG:
                kept = [tag for tag in status.tags if tag not in event.event["remove"]]
                status.tags = list(dict.fromkeys([*kept, *event.event["add"]]))

    def _update_labels(self, event: ModerationEvent) -> None:
        now, hours = event.created_at, event.event.get("durationInHours")
        expires = now + timedelta(hours=hours) if hours else None
        create: Sequence[str] = event.event.get("createLabelVals", ())
        negate: Sequence[str] = event.event.get("negateLabelVals", ())
        if event.type == TAKEDOWN:
            create, expires = (TAKEDOWN_LABEL,), None
        elif event.type == REVERSE_TAKEDOWN:
            negate = (TAKEDOWN_LABEL,)
        for value in create:
            self.labels.put(event.subject, value, now, expires=expires)
        for value in negate:
            self.labels.put(event.subject, value, now, negated=True)

    def _add_tags(self, event: ModerationEvent) -> None:
        """Ozone tags subjects by itself; such events are authored by the labeler."""
        present = self._statuses[event.subject.key].tags
        tags = []
        if event.type == REPORT:
            tags.append(report_tag(event.event["reportType"]))
        if event.subject.uri is not None:
            tags += content_tags(self._find_record(event.subject.uri), present)
        new = [tag for tag in tags if tag not in present]
        if new:
            tag_event = {"$type": TAG, "add": new, "remove": []}
            given = EmitInput(tag_event, event.subject, event.blob_cids, None, None)
            self._store(given, event.blob_cids, self.labeler_did)
