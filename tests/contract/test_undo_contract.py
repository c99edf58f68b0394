"""What was sent by mistake is gone from Ozone once it was undone."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from phash_dagster.clock import utc_now
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.pds_session import OzoneAccount
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import UndoRequest
from tests.contract.network import (
    DEFS,
    Json,
    Network,
    account,
    label,
    picture,
    reverse_takedown,
    takedown,
)

AT_ONCE = EmitOptions(rate_limit_ms=0)


@pytest.fixture
def ozone(network: Network) -> Iterator[OzoneClient]:
    member = network.addresses.members["moderator"]
    named = OzoneAccount(
        network.addresses.pds_url,
        member.handle,
        SecretStr(member.password),
        network.addresses.labeler_did,
    )
    with OzoneClient(named) as client:
        yield client


class Story:
    """A rule acts on something, and a person undoes it."""

    def __init__(self, network: Network, ozone: OzoneClient, ledger: Ledger) -> None:
        self._network = network
        self._ozone = ozone
        self._ledger = ledger

    def act(self, subject: Json, event: Event, **fields: Any) -> Action:
        row = _action(subject, event, **fields)
        self._ledger.record([row], claim_ttl=timedelta(days=7))
        self._send()
        [row] = self.rows()
        assert row.state is State.SENT
        return row

    def undo(self) -> list[Action]:
        """Undo it, and return the rows that take it back."""
        request = UndoRequest(
            which=RowFilter(rules=("rule-1",)),
            by="ana",
            batch_id="undo",
            run_id="undo",
            now=utc_now(),
            mode="live",
        )
        numbers = [row.action_id for row in self.rows()]
        self._ledger.undoing.carry_out(numbers, {}, request)
        self._send()
        return [row for row in self.rows() if row.undoes]

    def rows(self) -> list[Action]:
        return self._ledger.changed_since(utc_now() - timedelta(days=1))

    def labels(self, subject: Json) -> list[str]:
        """The labels in force on it."""
        uri = subject.get("uri") or subject["did"]
        labels = self._network.query_labels(uri).body["labels"]
        return [each["val"] for each in labels if not each.get("neg")]

    def _send(self) -> None:
        emit_actions(self._ledger, self._ozone, AT_ONCE)


@pytest.fixture
def story(network: Network, ozone: OzoneClient, tmp_path: Path) -> Iterator[Story]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        yield Story(network, ozone, ledger)


def _action(subject: Json, event: Event, *, blob_cids: tuple[str, ...] = ()) -> Action:
    uri, now = subject.get("uri"), utc_now()
    did = subject.get("did") or str(uri).split("/")[2]
    return Action(
        external_id=f"phash-dagster:{uri or did}",
        subject_uri=uri,
        subject_did=did,
        subject_cid=subject.get("cid"),
        source_uri=uri or f"at://{did}/app.bsky.feed.post/3k",
        blob_cids=blob_cids,
        event=event,
        value="" if event is Event.TAKEDOWN else "spam",
        rule_id="rule-1",
        rule_version="0" * 64,
        rule_hash="0707070707070707",
        distance=3,
        comment="a comment",
        report_reason=None,
        lane="live",
        mode="live",
        state=State.PLANNED,
        reason=None,
        batch_id="batch",
        run_id="run",
        planned_at=now,
    )


@pytest.mark.parametrize("kind", ["post", "account"])
def test_a_label_that_is_undone_is_in_force_no_more(
    network: Network, story: Story, kind: str
) -> None:
    subject = network.new_post() if kind == "post" else account(network.new_author())
    story.act(subject, Event.LABEL)
    assert story.labels(subject) == ["spam"]

    [back] = story.undo()

    assert (back.state, story.labels(subject)) == (State.SENT, [])
    [latest, *_] = network.query_events(subject=subject.get("uri", subject.get("did"))).body[
        "events"
    ]
    assert latest["event"]["comment"].endswith("label spam of rule rule-1 undone by ana")


def test_a_takedown_that_is_undone_serves_the_blobs_again(network: Network, story: Story) -> None:
    blob = network.upload(picture(30), "image/jpeg", by="stranger")
    cid, post = blob["ref"]["$link"], network.publish(blob)
    story.act(post, Event.TAKEDOWN, blob_cids=(cid,))
    during = network.wait_for_blob(cid, 400)

    [back] = story.undo()

    assert (during, network.wait_for_blob(cid, 200)) == (400, 200)
    assert (back.state, story.labels(post)) == (State.SENT, [])


def test_undoing_twice_sends_one_event(network: Network, story: Story) -> None:
    post = network.new_post()
    story.act(post, Event.LABEL)
    story.undo()
    story.undo()

    events = network.query_events(subject=post["uri"], types=[DEFS + "modEventLabel"])
    negated = [event["event"]["negateLabelVals"] for event in events.body["events"]]
    assert negated == [["spam"], []]


@pytest.mark.parametrize("by", ["admin", "moderator"])
def test_a_label_that_somebody_else_put_too_stays(network: Network, story: Story, by: Any) -> None:
    post = network.new_post()
    story.act(post, Event.LABEL)
    # The second of them is a person who signed in as our account.
    network.emit(label("spam"), post, by=by)

    [back] = story.undo()

    assert (back.state, story.labels(post)) == (State.SUPPRESSED, ["spam"])
    assert "did the same" in str(back.reason)


def test_a_label_that_somebody_put_and_took_back_does_not_stay(
    network: Network, story: Story
) -> None:
    post = network.new_post()
    network.emit(label("spam"), post, by="admin")
    network.emit(label(negate=("spam",)), post, by="admin")
    story.act(post, Event.LABEL)

    [back] = story.undo()

    assert (back.state, story.labels(post)) == (State.SENT, [])


def test_what_somebody_took_back_already_is_left(network: Network, story: Story) -> None:
    post = network.new_post()
    story.act(post, Event.LABEL)
    network.emit(label(negate=("spam",)), post, by="admin")

    [back] = story.undo()

    assert (back.state, back.reason) == (State.SUPPRESSED, "no longer labelled spam")


def test_a_takedown_by_somebody_else_stays(network: Network, story: Story) -> None:
    post = network.new_post()
    story.act(post, Event.TAKEDOWN)
    network.emit(reverse_takedown(), post)
    network.emit(takedown(), post, by="admin")

    [back] = story.undo()

    assert (back.state, story.labels(post)) == (State.SUPPRESSED, ["!takedown"])
