"""Jetstream, version 2 of its wire: frames, filters, refusals."""

from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.jetstream_v2 import parse_subscription
from phash_dagster.sandbox.records import LIKE, POST
from phash_dagster.sandbox.xrpc import XrpcError
from tests.sandbox.wire import Json, open_stream, read, read_v2, refusal

TYPE = "network.bsky.jetstream.subscribeEvents#"


def _kinds(messages: list[Json]) -> list[str]:
    return [message.get("collection", message["$type"].removeprefix(TYPE)) for message in messages]


# Frames


def test_a_commit_says_all_that_version_1_does(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author, [b"\xff\xd8\xff one"])

    former, found = read(sandbox)[-1], read_v2(sandbox)[-1]

    assert found["$type"] == f"{TYPE}commit"
    assert (found["did"], found["seq"]) == (former["did"], former["cursor"])
    assert {name: found[name] for name in former["commit"]} == former["commit"]


def test_times_are_written_to_the_microsecond(sandbox: Sandbox) -> None:
    moment = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    commit = {"rev": "3k", "operation": "delete", "collection": POST, "rkey": "3k"}
    event = {"did": "did:plc:x", "kind": "commit", "commit": commit}
    entry = sandbox.world.events.append(event, shown_us=microseconds(moment) + 7)

    [found] = read_v2(sandbox, ("cursor", entry.time_us))

    assert found["time"] == "2026-11-24T10:00:00.000007Z"
    witnessed = datetime.fromisoformat(found["witnessedAt"])
    assert microseconds(witnessed) == entry.time_us


def test_a_deletion_has_neither_record_nor_cid(sandbox: Sandbox) -> None:
    post = sandbox.world.publish_post(sandbox.world.create_account("author.test"))
    sandbox.world.delete_post(post.uri)

    found = read_v2(sandbox)[-1]

    assert found["operation"] == "delete"
    assert not {"record", "cid"} & set(found)


def test_other_kinds_wrap_the_event_of_the_relay(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.set_account_status(author.did, active=False, status="deleted")
    sandbox.world.announce_sync(author)

    *_, account, sync = read_v2(sandbox)

    assert (account["account"]["status"], account["account"]["did"]) == ("deleted", author.did)
    assert (sync["$type"], sync["sync"]["did"]) == (f"{TYPE}sync", author.did)


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["xrpc.v1.json"], "xrpc.v1.json"),
        (["xrpc.v9.cbor", "xrpc.v1.json"], "xrpc.v1.json"),
        (["xrpc.v9.cbor"], None),
        ([], None),
    ],
)
def test_the_subprotocol_is_agreed_upon_if_it_is_offered(
    sandbox: Sandbox, offered: list[str], agreed: str | None
) -> None:
    offers = [Subprotocol(name) for name in offered] or None
    with connect(sandbox.jetstream_v2_url, subprotocols=offers, proxy=None) as connection:
        assert connection.subprotocol == agreed


def test_permessage_deflate_is_never_agreed_upon(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_v2_url) as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


def test_a_client_that_says_anything_is_cut_off(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_v2_url) as connection:
        connection.send('{"type":"options_update","payload":{}}')

        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == CloseCode.POLICY_VIOLATION


# Filters


def test_collections_say_nothing_about_other_kinds(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.like(author, sandbox.world.publish_post(author))

    found = read_v2(sandbox, ("collections", LIKE), ("dids", author.did))

    assert _kinds(found) == ["identity", "account", LIKE]


def test_kinds_and_collections_hold_together(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.like(author, sandbox.world.publish_post(author))

    found = read_v2(sandbox, ("kinds", "commit"), ("collections", "app.bsky.feed.*"))

    assert _kinds(found) == [POST, LIKE]


def test_kinds_can_be_named_together(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author)
    sandbox.world.announce_sync(author)

    found = read_v2(sandbox, ("kinds", "account"), ("kinds", "sync"), ("dids", author.did))

    assert _kinds(found) == ["account", "sync"]


def test_frames_above_the_size_limit_are_skipped_silently(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author, text="x" * 5000)
    small = sandbox.world.publish_post(author)

    found = read_v2(sandbox, ("kinds", "commit"), ("maxMessageSizeBytes", 2000))

    assert [message["cid"] for message in found] == [small.cid]


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        (("wantedCollections", POST), "use collections"),
        (("wantedDids", "did:plc:x"), "use dids"),
        (("requireHello", "true"), "server-push only"),
        (("compress", "true"), "zstdDictionary"),
        (("kinds", "likes"), 'unknown kind "likes"'),
        (("collections", "posts"), "invalid collection: posts"),
        (("collections", "not_an_nsid.*"), "invalid collection wildcard"),
        (("dids", "alice"), "invalid DID"),
        (("cursor", "yesterday"), "invalid cursor"),
        (("zstdDictionary", "none"), "positive integer"),
        (("zstdDictionary", 0), "positive integer"),
    ],
)
def test_a_bad_parameter_is_refused_before_the_upgrade(
    sandbox: Sandbox, parameter: tuple[str, str | int], says: str
) -> None:
    status, body = refusal(sandbox.jetstream_v2_url, parameter)

    assert (status, body["error"]) == (400, "InvalidRequest")
    assert says in body["message"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"kinds": ["identity"], "collections": [POST]},
        {"kinds": ["commit"] * 5},
        {"collections": [POST] * 101},
        {"dids": ["did:plc:x"] * 10_001},
    ],
    ids=["a filter that never applies", "kinds", "collections", "accounts"],
)
def test_what_cannot_be_asked_is_refused(parameters: dict[str, list[str]]) -> None:
    with pytest.raises(XrpcError, match=r"never apply|too many"):
        parse_subscription(parameters)
