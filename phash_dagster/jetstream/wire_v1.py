"""Jetstream's first wire, `/subscribe`: one bare JSON event a frame.

Frozen, and served by every public host. Identity and account events come whatever was asked for;
hosts of version 2 add `cursor`, a sequence number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

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
from phash_dagster.jetstream.syntax import repaired
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, Decode

Frame = TypeVar("Frame")


class _Commit(msgspec.Struct, gc=False):
    operation: str
    collection: str
    rkey: str
    rev: str = ""
    cid: str | None = None
    record: Record | None = None


class _Frame(msgspec.Struct, gc=False):
    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    account: Account | None = None
    cursor: int | None = None


class _RawCommit(msgspec.Struct):
    operation: str
    collection: str
    rkey: str
    rev: str = ""
    cid: str | None = None
    record: msgspec.Raw = msgspec.Raw()


class _RawFrame(msgspec.Struct):
    """A frame whose record could not be read with it."""

    did: str
    time_us: int
    kind: str
    commit: _RawCommit | None = None
    account: Account | None = None
    cursor: int | None = None


_decode: Final = msgspec.json.Decoder(_Frame).decode
_decode_raw: Final = msgspec.json.Decoder(_RawFrame).decode


@dataclass(frozen=True)
class WireV1:
    """The wire at `/subscribe`."""

    offers_deflate: bool = True
    subprotocol: str | None = None
    always_numbered: bool = False

    def query(self, wanted: frozenset[str], start: int | None) -> list[tuple[str, str]]:
        """See `Wire.query`."""
        query = [("wantedCollections", name) for name in sorted(wanted)]
        if start is not None:
            query.append(("cursor", str(start)))
        query.append(("maxMessageSizeBytes", str(MAX_FRAME_BYTES)))
        return query

    def decoder(self, source: Source) -> Decode:
        """See `Wire.decoder`."""

        def decode(frame: bytes, _binary: bool) -> Event:
            try:
                parsed = _decode(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                parsed = _decode_odd(frame)
            did, time_us, seq = parsed.did, parsed.time_us, parsed.cursor
            if not 0 <= time_us < 2**53:
                raise MalformedFrameError(f"time_us {time_us} is not a time in microseconds")
            if seq is not None and not 0 <= seq < 2**63:
                raise MalformedFrameError(f"cursor {seq} is not a sequence number")
            if parsed.commit is not None and parsed.kind == "commit":
                return commit_event(did, time_us, seq, parsed.commit, source)
            if parsed.account is not None and parsed.kind == "account":
                return account_event(did, time_us, seq, parsed.account, source)
            return Event(time_us, seq, f"{did} {parsed.kind}")

        return decode


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
    data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    event = WireV1().decoder(Source(host, wanted))(data, False)
    assert isinstance(event, Event)  # noqa: S101 - this wire has nothing else
    return event


def _decode_odd(text: bytes) -> _Frame:
    """Read a frame whose record, or a text somewhere, is not as it should be."""
    raw = read_odd(text, _decode_raw)
    commit = (
        None
        if raw.commit is None
        else _Commit(
            raw.commit.operation,
            raw.commit.collection,
            raw.commit.rkey,
            raw.commit.rev,
            raw.commit.cid,
            parse_record(bytes(raw.commit.record)),
        )
    )
    return _Frame(raw.did, raw.time_us, raw.kind, commit, raw.account, raw.cursor)


def read_odd(text: bytes, decode: Callable[[bytes], Frame]) -> Frame:
    """What `decode` makes of a frame, repaired if that is what it needs.

    Raises:
        MalformedFrameError: It is no event either way.
    """
    try:
        return decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            return decode(repaired(text))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise not_an_event(text, error) from None


def not_an_event(frame: bytes, error: Exception) -> MalformedFrameError:
    """The error for a frame that could not be read, with its beginning."""
    text = frame[:500].decode("utf-8", errors="replace")
    return MalformedFrameError(f"not a Jetstream event ({error}): {text[:120]!r}")
