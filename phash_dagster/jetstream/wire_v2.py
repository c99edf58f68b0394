"""Jetstream's second wire, `network.bsky.jetstream.subscribeEvents`.

Every frame is a JSON object that says what it is (atproto proposal 0015): a message, whose payload
is an event or an advice about the stream, or the error that ends it. With a zstd dictionary the
frames are binary, each one zstd frame of such a text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from phash_dagster.jetstream.events import (
    Account,
    Event,
    MalformedFrameError,
    Record,
    Source,
    account_event,
    commit_event,
    parse_record,
)
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, Decode, Notice
from phash_dagster.jetstream.wire_v1 import read_odd

PATH: Final = "/xrpc/network.bsky.jetstream.subscribeEvents"
SUBPROTOCOL: Final = "xrpc.v1.json"

KINDS: Final = ("commit", "account", "identity")
"""What version 1 delivers, too. Identity events leave no row, but keep the position moving, and a
position that moved on the one wire is found again on the other."""

_NSID: Final = "network.bsky.jetstream.subscribeEvents"
_COMMIT: Final = f"{_NSID}#commit"
_ACCOUNT: Final = f"{_NSID}#account"
_INFO: Final = f"{_NSID}#info"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Decompress = Callable[[bytes], bytes]
"""Makes the text out of a binary frame; raises `MalformedFrameError` or `FrameTooLargeError`."""


class _Payload(msgspec.Struct, gc=False, rename={"type": "$type", "witnessed_at": "witnessedAt"}):
    type: str
    seq: int = -1
    did: str = ""
    time: str = ""
    witnessed_at: str | None = None
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    rev: str = ""
    cid: str | None = None
    record: Record | None = None
    account: Account | None = None
    name: str = ""


class _RawPayload(_Payload):
    """A payload whose record could not be read with it."""

    record: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class _Frame(msgspec.Struct, gc=False, rename={"type": "$type"}):
    type: str
    payload: _Payload | None = None
    error: str = ""


class _RawFrame(msgspec.Struct, rename={"type": "$type"}):
    type: str
    payload: _RawPayload | None = None
    error: str = ""


_decode_raw: Final = msgspec.json.Decoder(_RawFrame).decode
_decode: Final = msgspec.json.Decoder(_Frame).decode


@dataclass(frozen=True)
class WireV2:
    """The wire at `PATH`.

    Attributes:
        dictionary_id: The zstd dictionary to ask for; None reads uncompressed.
        decompress: Reads frames compressed with it.
    """

    dictionary_id: int | None = None
    decompress: Decompress | None = None
    offers_deflate: bool = False
    subprotocol: str | None = SUBPROTOCOL
    always_numbered: bool = True

    def query(self, wanted: frozenset[str], start: int | None) -> list[tuple[str, str]]:
        """See `Wire.query`."""
        query = [("kinds", kind) for kind in KINDS]
        query += [("collections", name) for name in sorted(wanted)]
        if start is not None:
            query.append(("cursor", str(start)))
        query.append(("maxMessageSizeBytes", str(MAX_FRAME_BYTES)))
        if self.dictionary_id is not None:
            query.append(("zstdDictionary", str(self.dictionary_id)))
        return query

    def decoder(self, source: Source) -> Decode:
        """See `Wire.decoder`."""
        decompress = self.decompress

        def decode(frame: bytes, binary: bool) -> Event | Notice:
            if binary:
                if decompress is None:
                    raise MalformedFrameError(f"a binary frame nobody asked for: {frame[:40]!r}")
                frame = decompress(frame)
            try:
                parsed = _decode(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                parsed = _decode_odd(frame)
            return _read(parsed, source)

        return decode


def _read(frame: _Frame, source: Source) -> Event | Notice:
    payload = frame.payload
    if frame.type == "error":
        return Notice("error", frame.error)
    if frame.type != "message" or payload is None:
        return Notice("unknown", frame.type)
    if payload.type == _INFO:
        return Notice("info", payload.name)
    if not 0 <= payload.seq < 2**63:
        raise MalformedFrameError(f"seq {payload.seq} is not a sequence number")
    # An import of old timestamps changes `time`; positions by time go by `witnessedAt`.
    time_us = microseconds(payload.witnessed_at or payload.time)
    if payload.type == _COMMIT:
        return commit_event(payload.did, time_us, payload.seq, payload, source)
    if payload.type == _ACCOUNT and payload.account is not None:
        return account_event(payload.did, time_us, payload.seq, payload.account, source)
    return Event(time_us, payload.seq, f"{payload.did} {payload.type[:100]}")


def microseconds(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 datetime.

    Raises:
        MalformedFrameError: It is none, or lies before 1970.
    """
    if len(text) == 27 and text[19] == "." and text[26] == "Z":
        fraction = text[20:26]
        if fraction.isascii() and fraction.isdigit():
            return _whole_seconds(text[:19]) + int(fraction)
    return _parsed(text)


@lru_cache(maxsize=64)
def _whole_seconds(text: str) -> int:
    return _parsed(f"{text}Z")


def _parsed(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        found = (moment - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError, OverflowError):  # no datetime, or one without a time zone
        found = -1
    if found < 0:
        raise MalformedFrameError(f"time {text[:60]!r} is not an RFC 3339 datetime since 1970")
    return found


def _decode_odd(text: bytes) -> _Frame:
    """Read a frame whose record, or a text somewhere, is not as it should be."""
    raw = read_odd(text, _decode_raw)
    payload = None
    if raw.payload is not None:
        fields = msgspec.structs.asdict(raw.payload)
        payload = _Payload(**{**fields, "record": parse_record(bytes(fields["record"]))})
    return _Frame(raw.type, payload, raw.error)
