"""Makes a Jetstream out of a PDS: its own firehose, translated event by event.

No package is a Jetstream server, but `com.atproto.sync.subscribeRepos` of a real PDS carries the
same commits as CBOR and CAR. What a Jetstream server does with them is done here, so that the
pipeline reads real records from a real repository.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import libipld
from websockets.sync.client import ClientConnection, connect

JsonObject = dict[str, Any]
CID_BYTES = 36
"""CIDv1 with a sha2-256 hash: version, codec, hash code and length, then 32 bytes."""
_CID_PREFIXES = tuple(bytes([1, codec, 0x12, 0x20]) for codec in (0x55, 0x71))
"""Codecs raw (blobs) and dag-cbor (records)."""
_RECORD_OPERATIONS = frozenset({"create", "update"})


class FirehoseError(RuntimeError):
    """The PDS ended the stream with an error frame, or a frame is none of the protocol's."""


def translate(frame: bytes | str) -> list[JsonObject]:
    """Translate one subscribeRepos frame into Jetstream v1 events.

    A commit becomes an event per record operation, in order; identity and account messages become
    one event each; `#sync` and `#info` have no counterpart in v1 and become none. The events have
    no `time_us`: that is when a Jetstream host witnessed them, and for the host to give.

    Raises:
        FirehoseError: It is an error frame, or not a frame.
    """
    header, body = _decode(frame)
    if header["op"] != 1:
        raise FirehoseError(f"the PDS ended the stream: {body.get('error')} {body.get('message')}")
    kind = header["t"].removeprefix("#")
    if kind == "commit":
        did = body["repo"]
        return [{"did": did, "kind": "commit", "commit": commit} for commit in _commits(body)]
    if kind in ("identity", "account"):
        return [{"did": body["did"], "kind": kind, kind: to_json(body)}]
    return []


def to_json(value: object) -> Any:
    """Return the JSON form of a decoded DAG-CBOR value: links as `$link`, bytes as `$bytes`.

    libipld hands out links and byte strings alike as bytes; 36 bytes that begin as CIDs of this
    protocol do are taken for a link.
    """
    if isinstance(value, bytes):
        if len(value) == CID_BYTES and value.startswith(_CID_PREFIXES):
            return {"$link": libipld.encode_cid(value)}
        return {"$bytes": base64.b64encode(value).decode().rstrip("=")}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value


def open_firehose(pds_url: str, cursor: int = 0) -> AbstractContextManager[ClientConnection]:
    """Connect to a PDS's firehose from a cursor on, 0 being its beginning.

    The connection yields frames when iterated over, until either side closes it.
    """
    address = f"{re.sub('^http', 'ws', pds_url)}/xrpc/com.atproto.sync.subscribeRepos"
    return connect(f"{address}?cursor={cursor}", max_size=None, proxy=None)


def _decode(frame: bytes | str) -> tuple[JsonObject, JsonObject]:
    if isinstance(frame, str):
        raise FirehoseError(f"a text frame where the protocol has binary ones: {frame[:40]!r}")
    try:
        header, body = libipld.decode_dag_cbor_multi(frame)
    except ValueError as error:
        raise FirehoseError(f"not a frame of two CBOR values: {frame[:40]!r}") from error
    return header, body


def _commits(body: JsonObject) -> Iterator[JsonObject]:
    _, blocks = libipld.decode_car(body["blocks"])
    for operation in body["ops"]:
        collection, _, rkey = operation["path"].partition("/")
        commit = {
            "rev": body["rev"],
            "operation": operation["action"],
            "collection": collection,
            "rkey": rkey,
        }
        if operation["action"] in _RECORD_OPERATIONS:
            cid = operation["cid"]
            commit |= {"record": to_json(blocks[cid]), "cid": libipld.encode_cid(cid)}
        yield commit
