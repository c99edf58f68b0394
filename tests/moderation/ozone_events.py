"""Events as `queryEvents` of the real Ozone answers with them, and an Ozone that only has those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from phash_dagster.moderation.feedback import as_ozone_compares
from phash_dagster.moderation.outcomes import OzoneEvent
from phash_dagster.moderation.ozone import EventPage
from phash_dagster.moderation.pds_client import QueryParameters
from phash_dagster.moderation.rate_limit import RateLimit
from tests.moderation.builders import NOW, post_uri

DEFS = "tools.ozone.moderation.defs#"
MODERATOR = "did:plc:moderator"
AUTHOR = "did:plc:author"
OUR_TOOL = {"name": "phash-dagster", "meta": {"rule": "rule-1"}}

Json = dict[str, Any]


def view(
    event_id: int,
    event: Json,
    subject: str = "",
    *,
    at: datetime | None = None,
    by: str = MODERATOR,
    tool: Json | None = None,
) -> Json:
    """An event on a post, or on an account if `subject` is a DID; by default one a second."""
    about = subject or post_uri()
    created_at = at or NOW + timedelta(seconds=event_id)
    whole: Json = {
        "id": event_id,
        "event": event,
        "subject": (
            {"$type": "com.atproto.repo.strongRef", "uri": about, "cid": "bafyrei"}
            if about.startswith("at://")
            else {"$type": "com.atproto.admin.defs#repoRef", "did": about}
        ),
        "subjectBlobCids": [],
        "createdBy": by,
        "createdAt": as_ozone_compares(created_at),
    }
    return whole if tool is None else {**whole, "modTool": tool}


def parsed(*views: Json) -> list[OzoneEvent]:
    events = [OzoneEvent.parse(each) for each in views]
    return [event for event in events if event]


def label(*values: str, negate: Sequence[str] = (), **fields: Any) -> Json:
    return {
        "$type": DEFS + "modEventLabel",
        "createLabelVals": list(values),
        "negateLabelVals": list(negate),
        **fields,
    }


def appeal(reason: str = "com.atproto.moderation.defs#reasonAppeal", **fields: Any) -> Json:
    return {"$type": DEFS + "modEventReport", "reportType": reason, **fields}


def other(name: str, **fields: Any) -> Json:
    """An event without fields of its own, e.g. `modEventReverseTakedown`."""
    return {"$type": DEFS + name, **fields}


@dataclass
class StoredEvents:
    """An Ozone with these events. Some can be seen only from the n-th reading on.

    Pages, order, filters and comparisons are those of the contract tests.
    """

    views: list[Json]
    seen_from: Mapping[int, int] = field(default_factory=dict)
    """Event id → number of the reading, from 0, that sees it first."""
    reading: int = 0
    rate_limit: RateLimit | None = None
    asked: list[QueryParameters] = field(default_factory=list)
    failures: dict[int, Exception] = field(default_factory=dict)
    """Number of a request, from 0 → what it raises."""

    def event_page(self, parameters: QueryParameters) -> EventPage:
        self.asked.append(parameters)
        if failure := self.failures.get(len(self.asked) - 1):
            raise failure
        limit, cursor = parameters["limit"], parameters.get("cursor")
        types = parameters["types"]
        assert isinstance(limit, int)
        assert isinstance(types, list)
        found = sorted(
            (
                each
                for each in self.views
                if each["event"]["$type"] in types
                and each["createdAt"] >= str(parameters["createdAfter"])
                and self.seen_from.get(each["id"], 0) <= self.reading
            ),
            key=_place,
        )
        if cursor is not None:
            time, _, number = str(cursor).partition("::")
            found = [each for each in found if _place(each) > (int(time), int(number))]
        page = found[:limit]
        return EventPage(page, "{}::{}".format(*_place(page[-1])) if page else None)


def _place(each: Json) -> tuple[int, int]:
    return round(datetime.fromisoformat(each["createdAt"]).timestamp() * 1000), each["id"]
