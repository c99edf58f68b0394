"""What people do about our actions in the real Ozone, read back with all that they wrote."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from phash_dagster.clock import utc_now
from phash_dagster.moderation import feedback
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.feedback import FeedbackSummary, read_feedback
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.pds_session import OzoneAccount
from phash_dagster.warehouse import Warehouse
from tests.moderation.builders import TTL, action_on_account, action_on_post
from tests.testnet.testnet import Author, JsonObject, Post, Testnet

pytestmark = pytest.mark.testnet

DEFS = "tools.ozone.moderation.defs#"
APPEAL = {"$type": f"{DEFS}modEventReport", "reportType": "tools.ozone.report.defs#reasonAppeal"}


class Desk:
    """A ledger, a warehouse and a session with the real Ozone."""

    def __init__(self, testnet: Testnet, folder: Path, ozone: OzoneClient) -> None:
        self.testnet = testnet
        self.ozone = ozone
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.warehouse = Warehouse(folder / "warehouse.duckdb")

    def send(self, action: Action) -> Action:
        """Send an action as the pipeline does; returns the row."""
        self.ledger.record([action], claim_ttl=TTL)
        [row] = self.ledger.in_state(State.PLANNED)
        self.ledger.mark_sending(row.action_id)
        result = self.ozone.emit(row)
        self.ledger.mark_sent(row.action_id, result.event_id, utc_now())
        sent = self.ledger.get(row.action_id)
        assert sent is not None
        return sent

    def read(self) -> FeedbackSummary:
        return read_feedback(
            self.ozone,
            self.testnet.labeler_did,
            self.ledger,
            self.warehouse,
            sleep=lambda _: None,
        )

    def outcomes(self) -> list[tuple[Any, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(
                "FROM action_outcomes SELECT action_id, outcome, by_kind, by_did, comment "
                "ORDER BY ozone_event_id"
            ).fetchall()


@pytest.fixture
def desk(testnet: Testnet, tmp_path: Path) -> Iterator[Desk]:
    automod = testnet.automod
    account = OzoneAccount(
        testnet.pds_url, automod.handle, SecretStr(automod.password), testnet.labeler_did
    )
    with OzoneClient(account) as ozone:
        yield Desk(testnet, tmp_path, ozone)


@pytest.fixture
def author(testnet: Testnet) -> Author:
    return testnet.create_author()


@pytest.fixture
def post(testnet: Testnet, author: Author) -> Post:
    return testnet.create_post(author)


def on_post(post: Post, author: Author, event: Event = Event.LABEL) -> Action:
    action = action_on_post(
        post.rkey,
        did=author.did,
        event=event,
        value="" if event is Event.TAKEDOWN else "troll",
        planned_at=utc_now(),
        blob_cids=(),
    )
    return replace(action, subject_cid=post.cid)


def subject(post: Post) -> JsonObject:
    return {"$type": "com.atproto.repo.strongRef", "uri": post.uri, "cid": post.cid}


def test_a_label_is_appealed_taken_back_and_the_appeal_resolved(
    testnet: Testnet, desk: Desk, post: Post, author: Author
) -> None:
    action = desk.send(on_post(post, author))
    testnet.emit_event({**APPEAL, "comment": "it is art"}, subject(post))
    negation = {
        "$type": f"{DEFS}modEventLabel",
        "createLabelVals": [],
        "negateLabelVals": ["troll"],
        "comment": "so it is",
    }
    testnet.emit_event(negation, subject(post))
    testnet.emit_event({"$type": f"{DEFS}modEventResolveAppeal"}, subject(post))

    summary = desk.read()

    assert (summary.outcomes, summary.taken_back, summary.caught_up) == (3, 1, True)
    admin = testnet.admin.did
    assert desk.outcomes() == [
        (action.action_id, "appealed", "people", admin, "it is art"),
        (action.action_id, "label_negated", "people", admin, "so it is"),
        (action.action_id, "appeal_resolved", "people", admin, None),
    ]
    assert desk.read().outcomes == 0


def test_a_takedown_is_reversed_and_an_undo_is_ours(
    testnet: Testnet, desk: Desk, post: Post, author: Author
) -> None:
    takedown = desk.send(on_post(post, author, Event.TAKEDOWN))
    testnet.emit_event({"$type": f"{DEFS}modEventReverseTakedown"}, subject(post))
    labelled = desk.send(action_on_account(author.did, planned_at=utc_now()))
    undo = replace(
        labelled, action_id=0, event=Event.NEGATE_LABEL, external_id=f"undo of {author.did}"
    )
    desk.ozone.emit(undo)

    desk.read()
    assert desk.outcomes() == [
        (takedown.action_id, "takedown_reversed", "people", testnet.admin.did, None),
        (labelled.action_id, "label_negated", "pipeline", testnet.automod.did, undo.comment),
    ]


def test_many_events_come_in_pages_and_each_is_read_once(
    testnet: Testnet, desk: Desk, author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_PAGE", 3)
    posts = [testnet.create_post(author) for _ in range(8)]
    actions = [desk.send(on_post(post, author)) for post in posts]
    for post in posts:
        negation = {
            "$type": f"{DEFS}modEventLabel",
            "createLabelVals": [],
            "negateLabelVals": ["troll"],
        }
        testnet.emit_event(negation, subject(post))
    while not desk.read().caught_up:
        pass
    assert [row[:2] for row in desk.outcomes()] == [
        (action.action_id, "label_negated") for action in actions
    ]
