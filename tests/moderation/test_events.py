"""The body of emitEvent, as measured on the real Ozone."""

import pytest

from phash_dagster.moderation.actions import Event
from phash_dagster.moderation.events import event_body
from tests.moderation.builders import DID, HASH, action_on_account, action_on_post

DEFS = "tools.ozone.moderation.defs"


def test_a_label_on_a_post_has_the_measured_shape() -> None:
    action = action_on_post("1", blob_cids=("bafkreione", "bafkreitwo"))
    assert event_body(action, "did:plc:automod", "1.2.3") == {
        "event": {
            "$type": f"{DEFS}#modEventLabel",
            "comment": action.comment,
            "createLabelVals": ["troll"],
            "negateLabelVals": [],
        },
        "subject": {
            "$type": "com.atproto.repo.strongRef",
            "uri": f"at://{DID}/app.bsky.feed.post/1",
            "cid": "bafyrei1",
        },
        "subjectBlobCids": ["bafkreione", "bafkreitwo"],
        "createdBy": "did:plc:automod",
        "modTool": {
            "name": "phash-dagster",
            "meta": {
                "rule": "rule-1",
                "rulesVersion": "a" * 64,
                "hash": HASH,
                "distance": 2,
                "post": f"at://{DID}/app.bsky.feed.post/1",
                "lane": "live",
                "batchId": "batch-1",
                "runId": "run-1",
                "externalId": action.external_id,
                "toolVersion": "1.2.3",
            },
        },
        "externalId": action.external_id,
    }


def test_an_account_is_a_repo_reference_without_blobs() -> None:
    body = event_body(action_on_account(), "did:plc:automod", "1.2.3")
    assert body["subject"] == {"$type": "com.atproto.admin.defs#repoRef", "did": DID}
    assert "subjectBlobCids" not in body


def test_an_event_on_an_account_still_names_the_post() -> None:
    body = event_body(action_on_account(), "did:plc:automod", "1.2.3")
    assert body["modTool"]["meta"]["post"] == f"at://{DID}/app.bsky.feed.post/3kpost"


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (
            Event.REPORT,
            {
                "$type": f"{DEFS}#modEventReport",
                "reportType": "com.atproto.moderation.defs#reasonSpam",
            },
        ),
        (Event.COMMENT, {"$type": f"{DEFS}#modEventComment"}),
        (Event.TAKEDOWN, {"$type": f"{DEFS}#modEventTakedown"}),
    ],
)
def test_other_events_carry_the_comment_and_what_they_need(
    event: Event, fields: dict[str, str]
) -> None:
    action = action_on_account(event=event)
    body = event_body(action, "did:plc:automod", "1.2.3")
    assert body["event"] == {**fields, "comment": action.comment}


def test_a_label_is_taken_back_by_the_same_event() -> None:
    event = event_body(action_on_post(event=Event.NEGATE_LABEL), "did:plc:automod")["event"]
    assert event["$type"] == f"{DEFS}#modEventLabel"
    assert (event["createLabelVals"], event["negateLabelVals"]) == ([], ["troll"])


def test_a_takedown_is_reversed_by_an_event_of_its_own() -> None:
    action = action_on_account(event=Event.REVERSE_TAKEDOWN, value="")
    event = event_body(action, "did:plc:automod")["event"]
    assert event == {"$type": f"{DEFS}#modEventReverseTakedown", "comment": action.comment}
