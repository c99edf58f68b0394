"""The whole pipeline under Dagster, from a real PDS's firehose to a real Ozone."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL.Image import Image

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.pipeline.conftest import rule, wait_until_ready, write_rules
from tests.testnet.relay import FirehoseRelay
from tests.testnet.testnet import Author, Post, Testnet

pytestmark = [pytest.mark.testnet, pytest.mark.slow]

SPAM, TROLL, IMPERSONATION = (pictures.photo(seed) for seed in (1, 2, 3))
HARMLESS = pictures.photo(4)

Sent = tuple[str, str, str]
"""Subject, type of event, label."""


@dataclass(frozen=True)
class Story:
    """Posts on the real PDS, and what the rules must lead to."""

    dids: frozenset[str]
    blob_cids: frozenset[str]
    sent: frozenset[Sent]
    gone: str
    """AT URI of a post with a known image that was deleted."""

    def states(self, actions: list[Action]) -> set[tuple[bool, State]]:
        """The states of the actions on the deleted post (True) and on all others (False)."""
        return {(action.subject == self.gone, action.state) for action in actions}


def publish(testnet: Testnet, author: Author, *images: Image) -> Post:
    blobs = [
        testnet.upload_blob(author, pictures.encode(image, quality=90), "image/jpeg")
        for image in images
    ]
    return testnet.create_post(author, blobs)


@pytest.fixture
def story(testnet: Testnet) -> Story:
    alice, bob, carol, dave = (testnet.create_author(name) for name in ("al", "bob", "car", "dave"))
    spam = publish(testnet, alice, pictures.resized(SPAM))
    both = publish(testnet, bob, HARMLESS, pictures.reencoded(TROLL), SPAM)
    first = publish(testnet, carol, IMPERSONATION)
    second = publish(testnet, carol, pictures.resized(IMPERSONATION, 0.8))
    gone = publish(testnet, dave, SPAM)
    # Whereupon his PDS no longer serves the image, which bob's post carries too.
    testnet.delete_post(dave, gone)
    last = publish(testnet, dave, HARMLESS)
    posts = (spam, both, first, second, gone, last)
    return Story(
        dids=frozenset(author.did for author in (alice, bob, carol, dave)),
        blob_cids=frozenset(cid for post in posts for cid in post.blob_cids),
        sent=frozenset(
            {
                (spam.uri, "label", "spam"),
                (both.uri, "label", "spam"),
                (both.uri, "label", "troll"),
                (both.uri, "report", ""),
                (carol.did, "label", "impersonation"),
                (carol.did, "report", ""),
                (carol.did, "comment", ""),
            }
        ),
        gone=gone.uri,
    )


@contextmanager
def running_pipeline(
    testnet: Testnet, folder: Path, dids: frozenset[str]
) -> Iterator[LocalPipeline]:
    """A pipeline from nothing, reading these authors' repositories from their beginning."""
    with Sandbox() as jetstream:
        variables = {
            **testnet.settings_environment(jetstream.jetstream_url),
            "MODERATION_MODE": "live",
            "MICROBATCH_SECONDS": "2",
            "RATE_LIMIT_MS": "10",
        }
        pipeline = LocalPipeline.under(folder, variables)
        rules = [
            rule(SPAM, "spam", toLabel=True),
            rule(TROLL, "troll", toLabel=True, reportPost=True),
            rule(IMPERSONATION, "impersonation", labelAcct=True, reportAcct=True),
        ]
        write_rules(pipeline, "blobs.json", rules)
        with pipeline.daemon():
            wait_until_ready(pipeline)
            with FirehoseRelay(testnet.pds_url, jetstream.world.push_event, dids):
                yield pipeline


def moderate(testnet: Testnet, folder: Path, story: Story) -> list[Action]:
    with running_pipeline(testnet, folder, story.dids) as pipeline:

        def is_settled() -> bool:
            return story.blob_cids <= pipeline.outcomes().keys() and pipeline.is_settled()

        pipeline.wait_until(is_settled, "every image moderated", seconds=90)
        return pipeline.actions()


def events_by_automod(testnet: Testnet, story: Story) -> Counter[Sent]:
    """What Ozone says the pipeline sent about these authors and their posts."""
    found: Counter[Sent] = Counter()
    for did in story.dids:
        for event in testnet.query_events(
            subject=did, includeAllUserRecords="true", createdBy=testnet.automod.did
        ):
            kind = event["event"]["$type"].rpartition("#modEvent")[2].lower()
            subject = event["subject"].get("uri", event["subject"].get("did"))
            labels = event["event"].get("createLabelVals") or [""]
            found.update((subject, kind, label) for label in labels)
    return found


def test_real_posts_lead_to_the_expected_events_once_however_often_they_are_moderated(
    testnet: Testnet, story: Story, tmp_path: Path
) -> None:
    once = dict.fromkeys(story.sent, 1)

    actions = moderate(testnet, tmp_path / "first", story)
    assert events_by_automod(testnet, story) == once
    labels = testnet.query_labels(*(subject for subject, _, _ in story.sent))
    assert {(label["uri"], label["val"]) for label in labels} == {
        (subject, label) for subject, kind, label in story.sent if kind == "label"
    }
    as_it_should_be = {(False, State.SENT), (True, State.SUPPRESSED)}
    assert story.states(actions) == as_it_should_be

    again = moderate(testnet, tmp_path / "second", story)
    assert {action.external_id for action in again} == {action.external_id for action in actions}
    # Ozone is asked first: what has its label already is settled without an event.
    assert story.states(again) == as_it_should_be | {(False, State.SUPPRESSED)}
    assert {action.event for action in again if action.settled_at} == {Event.LABEL}
    assert events_by_automod(testnet, story) == once
