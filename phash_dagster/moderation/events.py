"""The body of `tools.ozone.moderation.emitEvent`. Pure."""

from importlib.metadata import version
from typing import Any, Final

from phash_dagster.moderation.actions import Action, Event

TOOL: Final = "phash-dagster"
"""`modTool.name` of every event; `queryEvents` filters by it."""

_DEFS: Final = "tools.ozone.moderation.defs"
_TYPES: Final = {
    Event.LABEL: f"{_DEFS}#modEventLabel",
    Event.REPORT: f"{_DEFS}#modEventReport",
    Event.COMMENT: f"{_DEFS}#modEventComment",
    Event.TAKEDOWN: f"{_DEFS}#modEventTakedown",
    Event.NEGATE_LABEL: f"{_DEFS}#modEventLabel",
    Event.REVERSE_TAKEDOWN: f"{_DEFS}#modEventReverseTakedown",
}


def event_type(event: Event) -> str:
    """The `$type` of an event in Ozone, e.g. `tools.ozone.moderation.defs#modEventLabel`."""
    return _TYPES[event]


def event_body(
    action: Action, created_by: str, tool_version: str = version(TOOL)
) -> dict[str, Any]:
    """The request body for an action.

    Args:
        action: The ledger row.
        created_by: DID of the sending account; Ozone puts the token's DID in its place anyway.
        tool_version: Version of this package, recorded with the event.
    """
    body = {
        "event": _event(action),
        "subject": _subject(action),
        "createdBy": created_by,
        "modTool": {"name": TOOL, "meta": _meta(action, tool_version)},
        "externalId": action.external_id,
    }
    # Ozone refuses blobs on an account.
    return {**body, "subjectBlobCids": list(action.blob_cids)} if action.subject_uri else body


def _event(action: Action) -> dict[str, Any]:
    event = {"$type": event_type(action.event), "comment": action.comment}
    match action.event:
        case Event.LABEL:
            # Ozone wants both lists, empty or not.
            return {**event, "createLabelVals": [action.value], "negateLabelVals": []}
        case Event.NEGATE_LABEL:
            return {**event, "createLabelVals": [], "negateLabelVals": [action.value]}
        case Event.REPORT:
            return {**event, "reportType": action.report_reason}
        case _:
            return event


def _subject(action: Action) -> dict[str, str]:
    if action.subject_uri is None:
        return {"$type": "com.atproto.admin.defs#repoRef", "did": action.subject_did}
    return {
        "$type": "com.atproto.repo.strongRef",
        "uri": action.subject_uri,
        "cid": action.subject_cid or "",
    }


def _meta(action: Action, tool_version: str) -> dict[str, str | int]:
    """What led to the event. `externalId` is here too: Ozone does not echo its own field."""
    return {
        "rule": action.rule_id,
        "rulesVersion": action.rule_version,
        "hash": action.rule_hash,
        "distance": action.distance,
        "post": action.source_uri,
        "lane": action.lane,
        "batchId": action.batch_id,
        "runId": action.run_id,
        "externalId": action.external_id,
        "toolVersion": tool_version,
    }
