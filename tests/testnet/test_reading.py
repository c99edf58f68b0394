"""What the pipeline reads from the real network: posts from its firehose, images from its PDS."""

import asyncio

import pytest
from websockets.sync.client import connect

from phash_dagster.images.fetch import open_fetcher
from phash_dagster.images.model import FetchedImage, ImageReference, ImageRejected, Outcome
from phash_dagster.jetstream import Event, decode_event
from phash_dagster.sandbox import Sandbox
from phash_dagster.settings import settings_from
from tests.testnet.relay import FirehoseRelay
from tests.testnet.testnet import POSTS, Testnet
from tests.testnet.waiting import WAIT_SECONDS

pytestmark = pytest.mark.testnet

BEGINNING = 10**15
"""The earliest cursor that is a time, long before anything happened."""


def read_until_delete(jetstream_url: str) -> list[Event]:
    """Decode what a client of this Jetstream gets, up to the first deleted post."""
    events: list[Event] = []
    query = f"wantedCollections={POSTS}&cursor={BEGINNING}"
    with connect(f"{jetstream_url}?{query}", proxy=None) as connection:
        while not any(row.operation == "delete" for event in events for row in event.rows):
            frame = connection.recv(timeout=WAIT_SECONDS)
            events.append(decode_event(frame, host="testnet", wanted=frozenset({POSTS})))
    return events


def test_a_post_and_its_deletion_reach_a_client_of_jetstream(testnet: Testnet, jpeg: bytes) -> None:
    author = testnet.create_author()
    images = [testnet.upload_blob(author, data, "image/jpeg") for data in (jpeg, jpeg + b"\0")]
    post = testnet.create_post(author, images)
    testnet.delete_post(author, post)
    with (
        Sandbox() as sandbox,
        FirehoseRelay(testnet.pds_url, sandbox.world.push_event, {author.did}),
    ):
        events = read_until_delete(sandbox.jetstream_url)
    rows = [row for event in events for row in event.rows if row.uri == post.uri]
    assert [(row.operation, row.cid, row.blob_cid) for row in rows] == [
        ("create", post.cid, post.blob_cids[0]),
        ("create", post.cid, post.blob_cids[1]),
        ("delete", None, None),
    ]
    times = [event.time_us for event in events]
    assert times == sorted(set(times))
    assert [anomaly for event in events for anomaly in event.anomalies] == []


def fetch(testnet: Testnet, did: str, cid: str) -> FetchedImage:
    settings = settings_from(testnet.settings_environment("ws://127.0.0.1:1"))

    async def fetch_one() -> FetchedImage:
        async with open_fetcher(settings) as fetcher:
            return await fetcher.fetch(ImageReference(cid, did, "image/jpeg"))

    return asyncio.run(fetch_one())


def test_an_image_comes_from_the_pds_that_the_authors_did_document_names(
    testnet: Testnet, jpeg: bytes
) -> None:
    author = testnet.create_author()
    post = testnet.create_post(author, [testnet.upload_blob(author, jpeg, "image/jpeg")])
    assert fetch(testnet, author.did, post.blob_cids[0]) == FetchedImage(jpeg, "pds", "original")


def test_an_image_of_a_deleted_account_is_not_found(testnet: Testnet, jpeg: bytes) -> None:
    author = testnet.create_author()
    post = testnet.create_post(author, [testnet.upload_blob(author, jpeg, "image/jpeg")])
    testnet.delete_account(author)
    with pytest.raises(ImageRejected) as caught:
        fetch(testnet, author.did, post.blob_cids[0])
    assert caught.value.outcome is Outcome.not_found
