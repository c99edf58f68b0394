"""Whose label or takedown it is, by what Ozone says of its events."""

from typing import Any

import pytest

from phash_dagster.moderation.actions import Event
from phash_dagster.moderation.events import TOOL, event_body
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import UndoRequest, undo_row
from phash_dagster.moderation.undo_look import whose_too
from tests.moderation.builders import NOW, action_on_account, action_on_post

OURS = "did:plc:automod"
NEGATE = action_on_post(event=Event.NEGATE_LABEL, undoes=1)
REVERSE = action_on_account(event=Event.REVERSE_TAKEDOWN, value="", undoes=1)
DEFS = "tools.ozone.moderation.defs#"

Json = dict[str, Any]


def event(kind: str, by: str = "did:plc:ana", tool: str | None = None, **fields: Any) -> Json:
    found = {
        "id": 7,
        "event": {"$type": f"{DEFS}modEvent{kind}", **fields},
        "subject": {"cid": NEGATE.subject_cid} if kind == "Label" else {},
        "createdBy": by,
    }
    return found | ({"modTool": {"name": tool}} if tool else {})


def put(by: str = "did:plc:ana", tool: str | None = None, *values: str) -> Json:
    labels = list(values or ("troll",))
    return event("Label", by, tool, createLabelVals=labels, negateLabelVals=[])


def negate(value: str = "troll") -> Json:
    return event("Label", createLabelVals=[], negateLabelVals=[value])


WE_PUT = put(OURS, "phash-dagster")


@pytest.mark.parametrize(
    "newest_first",
    [
        [],
        [WE_PUT],
        [WE_PUT, negate(), put()],
        [negate(), put(), WE_PUT],
        [put("did:plc:ana", None, "spam"), WE_PUT],
        [put() | {"subject": {"cid": "an earlier version"}}, WE_PUT],
        [event("Comment"), WE_PUT],
    ],
    ids=["nothing", "ours", "taken back", "taken back last", "another", "version", "comment"],
)
def test_a_label_that_is_ours_alone_may_go(newest_first: list[Json]) -> None:
    assert whose_too(NEGATE, newest_first, OURS) is None


@pytest.mark.parametrize(
    "newest_first",
    [
        [put(), WE_PUT],
        [WE_PUT, put()],
        [negate("spam"), put(), WE_PUT],
        [put("did:plc:ana", "another tool"), WE_PUT],
    ],
    ids=["after", "before", "other label taken back", "tool"],
)
def test_a_label_that_somebody_put_too_stays(newest_first: list[Json]) -> None:
    found = whose_too(NEGATE, newest_first, OURS)
    assert found == "did:plc:ana did the same (event 7 in Ozone): it stays"


def test_a_label_that_a_person_put_with_our_account_stays() -> None:
    found = whose_too(NEGATE, [put(OURS), WE_PUT], OURS)
    assert found == "somebody else with our account did the same (event 7 in Ozone): it stays"


def test_a_takedown_is_whose_it_was_last() -> None:
    ours, reversal = event("Takedown", OURS, "phash-dagster"), event("ReverseTakedown")
    theirs = event("Takedown")
    assert whose_too(REVERSE, [ours, reversal, theirs], OURS) is None
    found = whose_too(REVERSE, [theirs, reversal, ours], OURS)
    assert found is not None
    assert found.startswith("did:plc:ana")


def test_what_an_earlier_account_of_ours_put_by_this_action_may_go() -> None:
    request = UndoRequest(
        which=RowFilter(), by="me", batch_id="b", run_id="b", now=NOW, mode="live"
    )
    put = action_on_post()
    its_event = {**event_body(put, "did:plc:earlier"), "createdBy": "did:plc:earlier", "id": 5}
    assert whose_too(undo_row(put, request), [its_event], OURS) is None
    of_another = {**its_event, "modTool": {"name": TOOL, "meta": {"externalId": "another"}}}
    assert whose_too(undo_row(put, request), [of_another], OURS) is not None
