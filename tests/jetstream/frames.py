"""Jetstream frames for tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
RECORD_CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
TIME_US = 1_783_175_888_373_482
HOST = "jetstream.test"
POSTS = frozenset({"app.bsky.feed.post"})


def blob(cid: str = CID, **extra: object) -> dict[str, Any]:
    return {
        "$type": "blob",
        "ref": {"$link": cid},
        "mimeType": "image/jpeg",
        "size": 1000,
        **extra,
    }


def images_embed(*blobs: object) -> dict[str, Any]:
    images = [{"alt": "", "image": one} for one in blobs]
    return {"$type": "app.bsky.embed.images", "images": images}


def post_record(embed: object = None) -> dict[str, Any]:
    record = {"$type": "app.bsky.feed.post", "createdAt": "2026-07-04T14:37:36Z", "text": "x"}
    return record if embed is None else {**record, "embed": embed}


def commit(
    record: object = None,
    *,
    operation: str = "create",
    collection: str = "app.bsky.feed.post",
    rkey: str = "3mptbxs3hq22j",
    time_us: int = TIME_US,
    rev: str = "3mptbyplwma2l",
    **extra: object,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "rev": rev,
        "operation": operation,
        "collection": collection,
        "rkey": rkey,
    }
    if operation != "delete":
        body |= {"record": record, "cid": RECORD_CID}
    return {"did": DID, "time_us": time_us, "kind": "commit", "commit": body, **extra}


def account(*, active: bool, status: str | None = None, time_us: int = TIME_US) -> dict[str, Any]:
    body = {"did": DID, "active": active, "seq": 1, "time": "2026-07-04T14:38:08.373Z"}
    if status:
        body["status"] = status
    return {"did": DID, "time_us": time_us, "kind": "account", "account": body}


def encode(frame: object) -> bytes:
    return json.dumps(frame).encode()


def tid(time_us: int) -> str:
    """The TID of a moment, as in the revision of a commit."""
    alphabet = "234567abcdefghijklmnopqrstuvwxyz"
    number = time_us << 10
    return "".join(alphabet[number >> shift & 31] for shift in range(60, -5, -5))


_SUBSCRIBE_EVENTS = "network.bsky.jetstream.subscribeEvents"


def as_v2(frame: dict[str, Any], seq: int | None = None) -> dict[str, Any]:
    """A version 1 event in the envelope of version 2; its `cursor`, or `seq`, is the number."""
    payload: dict[str, Any] = {
        "$type": f"{_SUBSCRIBE_EVENTS}#{frame['kind']}",
        "seq": frame.get("cursor", seq),
        "did": frame["did"],
        "time": rfc3339(frame["time_us"]),
        "witnessedAt": rfc3339(frame["time_us"]),
    }
    if frame["kind"] == "commit":
        payload |= frame["commit"]
    elif frame["kind"] in frame:
        payload[frame["kind"]] = frame[frame["kind"]]
    return {"$type": "message", "payload": payload}


def rfc3339(time_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def info(name: str) -> dict[str, Any]:
    return {
        "$type": "message",
        "payload": {"$type": f"{_SUBSCRIBE_EVENTS}#info", "name": name, "message": "said"},
    }
