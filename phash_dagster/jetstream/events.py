"""Jetstream's v1 wire: one JSON event a frame, decoded into rows of `image_posts`.

The envelope is decoded by type; the record stays raw bytes until it is known to matter, since
most events are likes and reposts.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from phash_dagster.images.content_id import is_did
from phash_dagster.jetstream.records import images_in_record
from phash_dagster.jetstream.syntax import is_record_key, may_be_cid
from phash_dagster.warehouse import ImagePost, PostKind


class MalformedFrameError(ValueError):
    """A frame is not a Jetstream event; the text tells what was found."""


class _Commit(msgspec.Struct):
    operation: str
    collection: str
    rkey: str
    rev: str = ""
    cid: str | None = None
    record: msgspec.Raw = msgspec.Raw()


class _Account(msgspec.Struct):
    active: bool
    status: str | None = None


class _Frame(msgspec.Struct):
    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    account: _Account | None = None
    cursor: int | None = None


_decoder = msgspec.json.Decoder(_Frame)

_STATUS = re.compile(r"[A-Za-z0-9._:#-]{1,100}")


@dataclass(frozen=True, slots=True)
class Event:
    """One Jetstream event and what the pipeline keeps of it.

    Attributes:
        time_us: When the host witnessed it, microseconds since 1970.
        seq: The host's sequence number, if it names one.
        key: Tells this event from others with the same `time_us` on the same host.
        is_post: Whether it is a record of a wanted collection.
        rows: Rows of `image_posts`; empty for most events.
        anomalies: What in it could not be understood, by short name.
    """

    time_us: int
    seq: int | None
    key: str
    is_post: bool = False
    rows: tuple[ImagePost, ...] = ()
    anomalies: tuple[str, ...] = ()


def decode_event(frame: bytes | str, *, host: str, wanted: frozenset[str]) -> Event:
    """Decode one frame.

    Args:
        frame: The JSON text of one event.
        host: Name of the Jetstream host, kept in the rows: positions are local to it.
        wanted: Collections whose records become rows.

    Raises:
        MalformedFrameError: The frame is not JSON or not an event. A malformed *record* inside a
            well-formed event is an anomaly of the event, not an error; so is a DID, record key or
            CID that is none, and such an event leaves no row.
    """
    try:
        parsed = _decode_frame(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = frame if isinstance(frame, str) else frame.decode("utf-8", errors="replace")
        raise MalformedFrameError(f"not a Jetstream event ({error}): {text[:120]!r}") from None
    if not 0 <= parsed.time_us < 2**53:
        raise MalformedFrameError(f"time_us {parsed.time_us} is not a time in microseconds")
    if parsed.cursor is not None and not 0 <= parsed.cursor < 2**63:
        raise MalformedFrameError(f"cursor {parsed.cursor} is not a sequence number")
    if parsed.kind == "commit" and parsed.commit is not None:
        return _commit_event(parsed, parsed.commit, host, wanted)
    if parsed.kind == "account" and parsed.account is not None:
        return _account_event(parsed, parsed.account, host)
    return Event(parsed.time_us, parsed.cursor, key=f"{parsed.did} {parsed.kind}")


def _decode_frame(frame: bytes | str) -> _Frame:
    try:
        return _decoder.decode(frame)
    except msgspec.DecodeError:
        # Half a surrogate pair, which authors can put into a text, is no reason to lose a post.
        parsed = json.loads(frame if isinstance(frame, str) else frame.decode("utf-8", "replace"))
        return _decoder.decode(json.dumps(parsed, ensure_ascii=False).encode("utf-8", "replace"))


def _account_event(frame: _Frame, account: _Account, host: str) -> Event:
    key = f"{frame.did} account"
    if not is_did(frame.did):
        return _malformed_key(frame, key)
    status = "active" if account.active else account.status or "inactive"
    anomalies: tuple[str, ...] = ()
    if not _STATUS.fullmatch(status):
        status, anomalies = "inactive", ("malformed_status",)
    row = ImagePost(
        time_us=frame.time_us,
        seq=frame.cursor,
        host=host,
        did=frame.did,
        collection=None,
        rkey=None,
        uri=f"at://{frame.did}",
        cid=None,
        operation=f"account_{status}",
    )
    return Event(frame.time_us, frame.cursor, f"{key} {status}", rows=(row,), anomalies=anomalies)


def _malformed_key(frame: _Frame, key: str) -> Event:
    # Shortened and printable, since it is logged; such an event need not be told from another.
    return Event(frame.time_us, frame.cursor, ascii(key[:200]), anomalies=("malformed_key",))


def _commit_event(frame: _Frame, commit: _Commit, host: str, wanted: frozenset[str]) -> Event:
    key = f"{frame.did} {commit.rev} {commit.operation} {commit.collection}/{commit.rkey}"
    if commit.collection not in wanted:
        return Event(frame.time_us, frame.cursor, key)
    well_named = is_did(frame.did) and is_record_key(commit.rkey)
    if not well_named or not (commit.cid is None or may_be_cid(commit.cid)):
        return _malformed_key(frame, key)
    row = ImagePost(
        time_us=frame.time_us,
        seq=frame.cursor,
        host=host,
        did=frame.did,
        collection=commit.collection,
        rkey=commit.rkey,
        uri=f"at://{frame.did}/{commit.collection}/{commit.rkey}",
        cid=commit.cid,
        operation=commit.operation,
    )
    if commit.operation == PostKind.DELETE:
        return Event(frame.time_us, frame.cursor, key, is_post=True, rows=(row,))
    if commit.operation not in (PostKind.CREATE, PostKind.UPDATE):
        anomaly = f"unknown_operation:{commit.operation[:100]}"
        return Event(frame.time_us, frame.cursor, key, anomalies=(anomaly,))
    rows, anomalies = _record_rows(row, commit)
    return Event(frame.time_us, frame.cursor, key, is_post=True, rows=rows, anomalies=anomalies)


def _record_rows(row: ImagePost, commit: _Commit) -> tuple[tuple[ImagePost, ...], tuple[str, ...]]:
    record: Any = _decode_record(bytes(commit.record))
    found = images_in_record(commit.collection, record)
    created_at = record.get("createdAt") if isinstance(record, dict) else None
    rows = tuple(
        replace(
            row,
            blob_cid=image.blob_cid,
            mime_type=image.mime_type,
            size_bytes=image.size_bytes,
            position=image.position,
            embed_type=image.embed_type,
            created_at=created_at if isinstance(created_at, str) else None,
        )
        for image in found.images
    )
    if not rows and commit.operation == PostKind.UPDATE:
        # An update that drops the images must still be seen to supersede what was there.
        rows = (row,)
    return rows, found.anomalies


def _decode_record(raw: bytes) -> object:
    if not raw:
        return None
    try:
        # Bytes that are no UTF-8, in a text, are no reason to lose the images either.
        return msgspec.json.decode(raw.decode("utf-8", "replace"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
