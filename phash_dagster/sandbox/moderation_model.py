"""What Ozone stores: moderation events and the status of their subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from phash_dagster.sandbox.identifiers import microseconds, timestamp
from phash_dagster.sandbox.moderation_input import EVENT_FIELDS, PREFIX, Subject

Json = dict[str, Any]


@dataclass(frozen=True)
class ModerationEvent:
    """A stored event. `event` is as Ozone answers with it."""

    id: int
    event: Json
    subject: Subject
    blob_cids: tuple[str, ...]
    created_by: str
    created_at: datetime
    external_id: str | None = None
    mod_tool: Json | None = None

    @property
    def type(self) -> str:
        """The event's `$type`."""
        return str(self.event["$type"])

    @property
    def sort_key(self) -> tuple[int, int]:
        """Creation time in milliseconds, then number: the order of `queryEvents`."""
        return microseconds(self.created_at) // 1000, self.id

    def to_json(self) -> Json:
        """The event as emitEvent and queryEvents answer with it."""
        tool = {} if self.mod_tool is None else {"modTool": self.mod_tool}
        return {
            "id": self.id,
            "event": self.event,
            "subject": self.subject.to_json(),
            "subjectBlobCids": list(self.blob_cids),
            "createdBy": self.created_by,
            "createdAt": timestamp(self.created_at),
            **tool,
        }


@dataclass
class SubjectStatus:
    """Where the moderation of a subject stands."""

    id: int
    subject: Subject
    created_at: datetime
    updated_at: datetime
    review_state: str = "reviewNone"
    taken_down: bool = False
    tags: list[str] = field(default_factory=list)
    blob_cids: tuple[str, ...] = ()
    last_reviewed_by: str | None = None
    last_reviewed_at: datetime | None = None
    last_reported_at: datetime | None = None
    appealed: bool | None = None
    last_appealed_at: datetime | None = None

    def to_json(self) -> Json:
        """The status as queryStatuses answers with it."""
        optional: Json = {}
        if self.last_reviewed_at is not None:
            optional["lastReviewedBy"] = self.last_reviewed_by
            optional["lastReviewedAt"] = timestamp(self.last_reviewed_at)
        if self.last_reported_at is not None:
            optional["lastReportedAt"] = timestamp(self.last_reported_at)
        if self.last_appealed_at is not None:
            optional["lastAppealedAt"] = timestamp(self.last_appealed_at)
            optional["appealed"] = self.appealed
        return {
            "id": self.id,
            "reviewState": PREFIX + self.review_state,
            "createdAt": timestamp(self.created_at),
            "updatedAt": timestamp(self.updated_at),
            **optional,
            "takendown": self.taken_down,
            "subjectBlobCids": list(self.blob_cids),
            "tags": self.tags,
            "subject": self.subject.to_json(),
        }


def stored_form(event: Json) -> Json:
    """The event as Ozone stores it: fields that its type does not have are gone."""
    kept: Json = {"$type": event["$type"]}
    if event.get("comment"):
        kept["comment"] = event["comment"]
    for name in EVENT_FIELDS.get(event["$type"], ()):
        if name == "isReporterMuted":
            kept[name] = False
        elif name in ("createLabelVals", "negateLabelVals"):
            kept[name] = [value for value in event[name] if value]
        elif event.get(name) is not None:
            kept[name] = event[name]
    return kept


def report_tag(report_type: str) -> str:
    """The tag that a report puts on its subject: `report:misleading-spam`."""
    reason = report_type
    for prefix in ("com.atproto.moderation.defs#reason", "tools.ozone.report.defs#reason"):
        reason = reason.replace(prefix, "")
    dashed = "".join(
        f"-{character}"
        if character.isupper() and index and reason[index - 1].islower()
        else character
        for index, character in enumerate(reason)
    )
    return f"report:{dashed.lower()}"


def content_tags(record: Mapping[str, Any] | None, present: Sequence[str]) -> list[str]:
    """Tags for the language and the embed of a record, unless it has such tags."""
    tags = []
    if not any(tag.startswith("lang:") for tag in present):
        languages = (record or {}).get("langs") or ["und"]
        tags += [f"lang:{language}" for language in languages]
    if not any(tag.startswith("embed:") for tag in present):
        embed = (record or {}).get("embed") or {}
        kind = str(embed.get("media", embed).get("$type", ""))
        names = {"images": "image", "video": "video", "external": "external"}
        name = names.get(kind.removeprefix("app.bsky.embed."))
        tags += [f"embed:{name}"] if name else []
    return tags
