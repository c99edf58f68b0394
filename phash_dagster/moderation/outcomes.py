"""What became of our actions at the labeler, read out of Ozone's events. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Self

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.events import TOOL
from phash_dagster.moderation.undo import may_stand

ByKind = Literal["people", "pipeline", "schedule"]
"""`people`: a moderator, or the author who appeals. `pipeline`: an undo. `schedule`: Ozone itself,
at the end of a label or takedown that was for a time."""

_DEFS: Final = "tools.ozone.moderation.defs#"
_LABEL: Final = f"{_DEFS}modEventLabel"
_REPORT: Final = f"{_DEFS}modEventReport"
_TAKEDOWN: Final = f"{_DEFS}modEventTakedown"
_REVERSE_TAKEDOWN: Final = f"{_DEFS}modEventReverseTakedown"
_RESOLVE_APPEAL: Final = f"{_DEFS}modEventResolveAppeal"

EVENT_TYPES: Final = (_LABEL, _REPORT, _TAKEDOWN, _REVERSE_TAKEDOWN, _RESOLVE_APPEAL)
"""Types of the events that can tell something; comments, tags and the rest cannot."""

APPEALS: Final = frozenset(
    {"com.atproto.moderation.defs#reasonAppeal", "tools.ozone.report.defs#reasonAppeal"}
)
"""The `reportType` of appeals, in the older and the newer form."""

_SCHEDULED: Final = "[SCHEDULED_REVERSAL]"
"""How the comment begins with which Ozone ends what was for a time, as its author's event."""

REVERSALS: Final = frozenset({"label_negated", "takedown_reversed"})
"""Outcomes that say that the action was wrong, if people or an undo brought them about."""


class ActionOutcome(NamedTuple):
    """What one event in Ozone says about one action: a row of `action_outcomes`."""

    action_id: int
    ozone_event_id: int
    outcome: str
    by_did: str
    by_kind: ByKind
    happened_at: datetime
    comment: str | None


@dataclass(frozen=True, slots=True)
class OzoneEvent:
    """A moderation event as `queryEvents` answers with it, as far as it matters here."""

    event_id: int
    type: str
    subject: str
    """AT URI of a record, or DID of an account."""
    did: str
    """DID of the account, or of the record's author."""
    created_by: str
    created_at: datetime
    tool: str | None
    """`modTool.name`."""
    event: Mapping[str, Any]

    @classmethod
    def parse(cls, view: Mapping[str, Any]) -> Self | None:
        """Read an event; None if it is about something else than a record or an account.

        Raises:
            ValueError: It is no event.
        """
        try:
            subject, tool = view["subject"], view.get("modTool") or {}
            key = subject.get("uri") or subject.get("did")
            if not isinstance(key, str):
                return None
            return cls(
                event_id=int(view["id"]),
                type=str(view["event"]["$type"]),
                subject=key,
                did=key.removeprefix("at://").partition("/")[0],
                created_by=str(view["createdBy"]),
                created_at=datetime.fromisoformat(view["createdAt"]),
                tool=tool.get("name"),
                event=view["event"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"Ozone answered with something that is no event: {error}") from error

    @property
    def by_kind(self) -> ByKind:
        """Who brought it about."""
        if self.tool == TOOL:
            return "pipeline"
        return "schedule" if (self.comment or "").startswith(_SCHEDULED) else "people"

    @property
    def comment(self) -> str | None:
        """What was written with it."""
        found = self.event.get("comment")
        return found if isinstance(found, str) and found else None

    def labels(self, name: Literal["createLabelVals", "negateLabelVals"]) -> frozenset[str]:
        """Labels that it puts or takes back."""
        found = self.event.get(name)
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def outcomes_of(events: Iterable[OzoneEvent], actions: Iterable[Action]) -> Iterator[ActionOutcome]:
    """What these events say about these actions.

    An event concerns the actions with a label or takedown on the same subject that Ozone had, or
    may have had, before it. So one event can concern several actions, and an action can have
    several outcomes; what they come to is for who reads them.
    """
    by_subject: dict[str, list[Action]] = {}
    for action in actions:
        if action.mode == "live" and action.undoes is None and may_stand(action):
            by_subject.setdefault(action.subject, []).append(action)
    for event in events:
        for action in by_subject.get(event.subject, ()):
            outcome = _outcome(event, action) if _came_after(event, action) else None
            if outcome:
                yield ActionOutcome(
                    action.action_id,
                    event.event_id,
                    outcome,
                    event.created_by,
                    event.by_kind,
                    event.created_at,
                    event.comment,
                )


def _came_after(event: OzoneEvent, action: Action) -> bool:
    """Ozone numbers its events as they come. Of an action that was tried the number may be unknown;
    then times decide, of clocks that may differ a little."""
    if action.ozone_event_id is not None:
        return event.event_id > action.ozone_event_id
    # What is about to be sent may have waited for long; it was marked so before its request left.
    begun = action.updated_at if action.state is State.SENDING else None
    return event.created_at >= (begun or action.planned_at)


def _outcome(event: OzoneEvent, action: Action) -> str | None:
    if action.event is Event.LABEL and event.type == _LABEL:
        if action.value in event.labels("negateLabelVals"):
            return "label_negated"
        confirms = event.by_kind == "people" and action.value in event.labels("createLabelVals")
        return "label_confirmed" if confirms else None
    if action.event is Event.TAKEDOWN and event.type == _REVERSE_TAKEDOWN:
        return "takedown_reversed"
    if action.event is Event.TAKEDOWN and event.type == _TAKEDOWN:
        return "takedown_confirmed" if event.by_kind == "people" else None
    if event.type == _REPORT:
        return "appealed" if event.event.get("reportType") in APPEALS else None
    return "appeal_resolved" if event.type == _RESOLVE_APPEAL else None
