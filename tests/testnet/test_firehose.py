"""The translation of a PDS's firehose into Jetstream events."""

from collections.abc import Callable

import libipld
import pytest

from tests.testnet.firehose import FirehoseError, JsonObject, to_json, translate
from tests.testnet.relay import FirehoseRelay
from tests.testnet.testnet import POSTS, Author, Testnet

RECORD_CID = "bafyreif3y74amnmsjw4e2mpsymwo7vgtnxhtyqhavqflpuaaizarl4wszi"
BLOB_CID = "bafkreihxuwapisthcicoy5vwzq66b76rw23pxqgqs7iajd6d24qvt47ozy"
WITNESSED = "2026-11-23T19:30:00.123Z"


def frame(kind: str, body: JsonObject, op: int = 1) -> bytes:
    header = {"op": op, "t": kind} if op == 1 else {"op": op}
    return b"".join(map(libipld.encode_dag_cbor, [header, body]))


def test_an_account_message_becomes_an_account_event() -> None:
    body = {"seq": 7, "did": "did:plc:a", "time": WITNESSED, "active": False, "status": "deleted"}
    assert translate(frame("#account", body)) == [
        {"did": "did:plc:a", "kind": "account", "account": body}
    ]


def test_an_identity_message_becomes_an_identity_event() -> None:
    body = {"seq": 8, "did": "did:plc:a", "time": WITNESSED, "handle": "a.test"}
    assert translate(frame("#identity", body)) == [
        {"did": "did:plc:a", "kind": "identity", "identity": body}
    ]


@pytest.mark.parametrize("kind", ["#sync", "#info"])
def test_a_message_without_a_counterpart_in_version_1_becomes_no_event(kind: str) -> None:
    assert translate(frame(kind, {"seq": 9, "did": "did:plc:a", "time": WITNESSED})) == []


def test_an_error_frame_is_an_error_that_repeats_the_servers_words() -> None:
    body = {"error": "FutureCursor", "message": "Cursor in the future."}
    with pytest.raises(FirehoseError, match=r"FutureCursor Cursor in the future\."):
        translate(frame("", body, op=-1))


@pytest.mark.parametrize("garbage", [b"", b"\xff", "text", libipld.encode_dag_cbor({"op": 1})])
def test_garbage_is_an_error(garbage: bytes | str) -> None:
    with pytest.raises(FirehoseError):
        translate(garbage)


@pytest.mark.parametrize("cid", [RECORD_CID, BLOB_CID])
def test_a_link_becomes_a_json_link(cid: str) -> None:
    (raw,) = libipld.decode_dag_cbor(_link(cid))
    assert to_json({"ref": [raw]}) == {"ref": [{"$link": cid}]}


def test_bytes_become_base64_without_padding() -> None:
    assert to_json({"sig": b"\x01\x02"}) == {"sig": {"$bytes": "AQI"}}


def _link(cid: str) -> bytes:
    """An array of one CID link: tag 42 around the CID's bytes after a zero byte."""
    version, codec = 1, libipld.decode_cid(cid)["codec"]
    raw: bytes = bytes([0, version, codec, 0x12, 0x20]) + libipld.decode_cid(cid)["hash"]["digest"]
    return b"\x81\xd8\x2a\x58" + bytes([len(raw)]) + raw


@pytest.fixture
def events() -> list[JsonObject]:
    return []


@pytest.mark.testnet
def test_a_post_arrives_as_a_create_with_its_record_and_blob(
    testnet: Testnet, events: list[JsonObject], jpeg: bytes
) -> None:
    author = testnet.create_author()
    image = testnet.upload_blob(author, jpeg, "image/jpeg")
    post = testnet.create_post(author, [image], text="a picture")
    with FirehoseRelay(testnet.pds_url, events.append, {author.did}) as relay:
        event = relay.wait_for_commit(author.did, post.rev)
    assert event["kind"] == "commit"
    assert event["commit"] == {
        "rev": post.rev,
        "operation": "create",
        "collection": POSTS,
        "rkey": post.rkey,
        "record": {
            "$type": POSTS,
            "text": "a picture",
            "createdAt": "2026-11-23T19:30:00.000Z",
            "embed": {
                "$type": "app.bsky.embed.images",
                "images": [
                    {
                        "alt": "",
                        "image": {
                            "$type": "blob",
                            "ref": {"$link": post.blob_cids[0]},
                            "mimeType": "image/jpeg",
                            "size": len(jpeg),
                        },
                    }
                ],
            },
        },
        "cid": post.cid,
    }


@pytest.mark.testnet
def test_an_update_carries_the_new_record_and_a_delete_carries_none(
    testnet: Testnet, events: list[JsonObject]
) -> None:
    author = testnet.create_author()
    post = testnet.create_post(author, text="before")
    record = {"$type": POSTS, "text": "after", "createdAt": WITNESSED}
    updated = testnet.put_record(author, POSTS, post.rkey, record)
    rev = testnet.delete_post(author, post)
    with FirehoseRelay(testnet.pds_url, events.append, {author.did}) as relay:
        relay.wait_for_commit(author.did, rev)
    commits = [event["commit"] for event in events if event["kind"] == "commit"]
    assert [commit["operation"] for commit in commits] == ["create", "update", "delete"]
    assert (commits[1]["cid"], commits[1]["record"]) == (updated["cid"], record)
    assert set(commits[2]) == {"rev", "operation", "collection", "rkey"}


@pytest.mark.testnet
@pytest.mark.parametrize(
    ("leave", "status"),
    [
        (Testnet.deactivate_account, "deactivated"),
        (Testnet.delete_account, "deleted"),
        (lambda testnet, author: testnet.take_down_account(author.did), "takendown"),
    ],
    ids=["deactivated", "deleted", "takendown"],
)
def test_an_account_that_leaves_arrives_as_inactive(
    testnet: Testnet,
    events: list[JsonObject],
    leave: Callable[[Testnet, Author], None],
    status: str,
) -> None:
    author = testnet.create_author()
    with FirehoseRelay(testnet.pds_url, events.append, {author.did}) as relay:
        leave(testnet, author)
        event = relay.wait_for(lambda event: event.get("account", {}).get("active") is False)
    assert event["account"]["status"] == status


@pytest.mark.testnet
def test_a_replay_carries_the_same_events(testnet: Testnet) -> None:
    author = testnet.create_author()
    rev = [testnet.create_post(author, text=str(number)).rev for number in range(3)][-1]
    runs: list[list[JsonObject]] = [[], []]
    for run in runs:
        with FirehoseRelay(testnet.pds_url, run.append, {author.did}) as relay:
            relay.wait_for_commit(author.did, rev)
    assert runs[0] == runs[1]
