"""Whether a label or takedown that is to be taken back is somebody else's, too. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from phash_dagster.moderation.actions import Action, Event
from phash_dagster.moderation.events import TOOL, event_type
from phash_dagster.moderation.undo import undo_id

TOLD_BY: Final[Mapping[Event, tuple[str, ...]]] = {
    Event.NEGATE_LABEL: (event_type(Event.LABEL),),
    Event.REVERSE_TAKEDOWN: (event_type(Event.TAKEDOWN), event_type(Event.REVERSE_TAKEDOWN)),
}
"""The types of the events in Ozone that tell, by what is to be sent."""


def whose_too(action: Action, events: Iterable[Mapping[str, Any]], own_did: str) -> str | None:
    """Who else put what an action takes back, so that it is to stay; None if nobody did.

    Ozone keeps one label for a subject, whoever put it, and takes down once. So what others did
    counts from the last time that it was taken back.

    Args:
        action: The row that takes something back.
        events: Ozone's events of the types `TOLD_BY` on its subject, newest first.
        own_did: DID of the sending account.
    """
    for event in events:
        body, subject = event.get("event") or {}, event.get("subject") or {}
        other_version = subject.get("cid", action.subject_cid) != action.subject_cid
        if action.event is Event.NEGATE_LABEL and other_version:
            continue  # a label is on one version of a record, a takedown on all
        if _takes_back(body, action):
            return None
        if _puts(body, action) and not _is_ours(event, action, own_did):
            return _named(event, own_did)
    return None


def _puts(body: Mapping[str, Any], action: Action) -> bool:
    if action.event is Event.REVERSE_TAKEDOWN:
        return body.get("$type") == event_type(Event.TAKEDOWN)
    return action.value in (body.get("createLabelVals") or ())


def _takes_back(body: Mapping[str, Any], action: Action) -> bool:
    if action.event is Event.REVERSE_TAKEDOWN:
        return body.get("$type") == event_type(Event.REVERSE_TAKEDOWN)
    return action.value in (body.get("negateLabelVals") or ())


def _is_ours(event: Mapping[str, Any], action: Action, own_did: str) -> bool:
    """A person may sign in with our account, and an earlier tool may have used it.

    The very event that the action takes back is ours, though AUTOMOD_HANDLE was another then.
    """
    tool = event.get("modTool") or {}
    if tool.get("name") != TOOL:
        return False
    put = str((tool.get("meta") or {}).get("externalId"))
    return event.get("createdBy") == own_did or undo_id(put, "live") == action.external_id


def _named(event: Mapping[str, Any], own_did: str) -> str:
    who = event.get("createdBy")
    account = "somebody else with our account" if who == own_did else str(who)
    return f"{account} did the same (event {event.get('id')} in Ozone): it stays"
