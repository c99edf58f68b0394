"""The input of `tools.ozone.moderation.emitEvent`, checked as the real Ozone checks it.

The texts of the errors are the real server's (@atproto/ozone 0.4.2), because clients log them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from phash_dagster.sandbox import identifiers
from phash_dagster.sandbox.xrpc import XrpcError, internal_error, invalid_request

Json = dict[str, Any]

PREFIX: Final = "tools.ozone.moderation.defs#"
LABEL: Final = PREFIX + "modEventLabel"
REPORT: Final = PREFIX + "modEventReport"
COMMENT: Final = PREFIX + "modEventComment"
TAG: Final = PREFIX + "modEventTag"
ACKNOWLEDGE: Final = PREFIX + "modEventAcknowledge"
TAKEDOWN: Final = PREFIX + "modEventTakedown"
REVERSE_TAKEDOWN: Final = PREFIX + "modEventReverseTakedown"
RESOLVE_APPEAL: Final = PREFIX + "modEventResolveAppeal"

APPEALS: Final = frozenset(
    {"com.atproto.moderation.defs#reasonAppeal", "tools.ozone.report.defs#reasonAppeal"}
)
"""The `reportType` of a report that is an appeal."""

EVENT_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    LABEL: ("durationInHours", "createLabelVals", "negateLabelVals"),
    REPORT: ("isReporterMuted", "reportType"),
    COMMENT: ("sticky",),
    TAG: ("add", "remove"),
    ACKNOWLEDGE: ("acknowledgeAccountSubjects",),
    TAKEDOWN: ("durationInHours", "acknowledgeAccountSubjects", "policies", "targetServices"),
    REVERSE_TAKEDOWN: ("policies",),
    PREFIX + "modEventEscalate": (),
    PREFIX + "modEventMute": ("durationInHours",),
    PREFIX + "modEventUnmute": (),
    PREFIX + "modEventMuteReporter": ("durationInHours",),
    PREFIX + "modEventUnmuteReporter": (),
    RESOLVE_APPEAL: (),
    PREFIX + "modEventPriorityScore": ("score",),
}
"""The fields that an event of each known type keeps, besides `$type` and `comment`."""

REPO_REF: Final = "com.atproto.admin.defs#repoRef"
STRONG_REF: Final = "com.atproto.repo.strongRef"
_BAD_LABEL_CHARACTERS = " ,;'\""


@dataclass(frozen=True)
class Subject:
    """What a moderation event is about: an account, or a record if it has an AT URI and a CID."""

    did: str
    uri: str | None = None
    cid: str | None = None

    @property
    def key(self) -> str:
        """The AT URI of the record, or the DID of the account: what a label is put on."""
        return self.uri or self.did

    def to_json(self) -> Json:
        """The subject as Ozone answers with it."""
        if self.uri is None:
            return {"$type": REPO_REF, "did": self.did}
        return {"$type": STRONG_REF, "uri": self.uri, "cid": self.cid}


@dataclass(frozen=True)
class EmitInput:
    """A checked input. `createdBy` is not kept: the caller's DID takes its place."""

    event: Json
    subject: Subject
    blob_cids: tuple[str, ...]
    external_id: str | None
    mod_tool: Json | None

    @property
    def type(self) -> str:
        """The event's `$type`."""
        return str(self.event["$type"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels created and negated by a label event."""
        if self.type != LABEL:
            return ()
        return (*self.event["createLabelVals"], *self.event["negateLabelVals"])


def parse_emit_input(body: object) -> EmitInput:
    """Check an input.

    Raises:
        XrpcError: 400 `InvalidRequest`, naming the field; 500 where the real Ozone breaks.
    """
    root = _object(body, "$")
    event = _typed_object(_required(root, "event", "$"), "$.event")
    _check_event(event)
    subject_json = _typed_object(_required(root, "subject", "$"), "$.subject")
    _checked(_required(root, "createdBy", "$"), "DID", identifiers.is_did, "$.createdBy")
    blob_cids = _strings(root.get("subjectBlobCids", []), "$.subjectBlobCids")
    for index, cid in enumerate(blob_cids):
        _checked(cid, "CID string", identifiers.is_cid, f"$.subjectBlobCids[{index}]")
    external_id = root.get("externalId")
    if external_id is not None:
        _string(external_id, "$.externalId")
    return EmitInput(
        event=event,
        subject=_subject(subject_json, blob_cids),
        blob_cids=tuple(blob_cids),
        external_id=external_id,
        mod_tool=_mod_tool(root.get("modTool")),
    )


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse labels that Ozone could not store.

    Raises:
        XrpcError: 400 `InvalidRequest` naming the label; 500 for a label that comes twice.
    """
    for label in labels:
        if any(character in label for character in _BAD_LABEL_CHARACTERS):
            raise invalid_request(f"Invalid label: {label}")
    if len(set(labels)) != len(labels):
        raise internal_error()


def _check_event(event: Json) -> None:
    if "comment" in event:
        _string(event["comment"], "$.event.comment")
    lists = {LABEL: ("createLabelVals", "negateLabelVals"), TAG: ("add", "remove")}
    for name in lists.get(event["$type"], ()):
        _strings(_required(event, name, "$.event"), f"$.event.{name}")
    if event["$type"] == REPORT:
        _string(_required(event, "reportType", "$.event"), "$.event.reportType")


def _subject(subject: Json, blob_cids: list[str]) -> Subject:
    match subject["$type"]:
        case "com.atproto.admin.defs#repoRef":
            did = _required(subject, "did", "$.subject")
            _checked(did, "DID", identifiers.is_did, "$.subject.did")
            if blob_cids:
                raise invalid_request("Blobs do not apply to repo subjects")
            return Subject(did)
        case "com.atproto.repo.strongRef":
            uri = _required(subject, "uri", "$.subject")
            _checked(uri, "at-uri", identifiers.is_at_uri, "$.subject.uri")
            cid = _required(subject, "cid", "$.subject")
            _checked(cid, "CID string", identifiers.is_cid, "$.subject.cid")
            did = identifiers.authority(uri)
            if not identifiers.is_did(did):
                raise internal_error()  # AT URIs by handle pass the lexicon and break later
            return Subject(did, uri, cid)
        case _:
            raise invalid_request("Invalid subject")


def _mod_tool(value: object) -> Json | None:
    if value is None:
        return None
    tool = _object(value, "$.modTool")
    _string(_required(tool, "name", "$.modTool"), "$.modTool.name")
    if "meta" in tool:
        _data_model(_object(tool["meta"], "$.modTool.meta"), "$.modTool.meta")
    return {name: tool[name] for name in ("name", "meta") if name in tool}


def _data_model(value: object, path: str) -> None:
    """The protocol's data model has no floating-point numbers."""
    if isinstance(value, dict):
        for key, item in value.items():
            _data_model(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _data_model(item, f"{path}[{index}]")
    elif isinstance(value, float) and not value.is_integer():
        kinds = "one of null, boolean, integer, string, cid, bytes, array or object"
        raise _expected(kinds, value, path)


def _expected(kind: str, value: object, path: str) -> XrpcError:
    return invalid_request(f"Expected {kind} value type (got {_found(value)}) at {path}")


def _found(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": ...' for key in value) + "}"
    return msgspec.json.encode(value).decode()


def _required(container: Json, name: str, path: str) -> Any:
    if name not in container:
        raise invalid_request(f'Missing required key "{name}" at {path}')
    return container[name]


def _object(value: object, path: str) -> Json:
    if not isinstance(value, dict):
        raise _expected("object", value, path)
    return value


def _typed_object(value: object, path: str) -> Json:
    found = _object(value, path)
    if not isinstance(found.get("$type"), str):
        kind = 'an object which includes the "$type" property'
        raise _expected(kind, value, path)
    return found


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _expected("string", value, path)
    return value


def _strings(value: object, path: str) -> list[str]:
    if not isinstance(value, list):
        raise _expected("array", value, path)
    return [_string(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _checked(value: object, title: str, holds: Callable[[str], bool], path: str) -> None:
    if not holds(_string(value, path)):
        raise invalid_request(f"Invalid {title} (got {_found(value)}) at {path}")
