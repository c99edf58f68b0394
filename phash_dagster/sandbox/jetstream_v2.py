"""Version 2 of Jetstream's wire, `network.bsky.jetstream.subscribeEvents`.

Follows the lexicon of that name and atproto's proposal 0015: every frame is a JSON object that
says what it is, a message or the error that ends the stream.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from phash_dagster.sandbox.event_log import LogEntry
from phash_dagster.sandbox.identifiers import is_nsid
from phash_dagster.sandbox.jetstream_position import Numbering, Start
from phash_dagster.sandbox.jetstream_v1 import (
    MAX_COLLECTIONS,
    MAX_DIDS,
    CollectionFilter,
    Parameters,
    cursor_of,
    invalid_options,
    max_bytes_of,
    require_dids,
)
from phash_dagster.sandbox.xrpc import XrpcError, invalid_request

NSID = "network.bsky.jetstream.subscribeEvents"
SUBPROTOCOL = "xrpc.v1.json"
KINDS = ("commit", "identity", "account", "sync")

_FORMER_NAMES = {
    "wantedDids": "wantedDids is the legacy /subscribe parameter; use dids",
    "wantedCollections": "wantedCollections is the legacy /subscribe parameter; use collections",
    "requireHello": "requireHello is not supported on this endpoint; it is server-push only",
}


@dataclass(frozen=True)
class Subscription:
    """What a client asked for; each filter must let an event pass.

    Attributes:
        kinds: Kinds of events; empty: all.
        collections: Collections whose commits are wanted; says nothing about other kinds.
        dids: Accounts whose events are wanted; empty: all.
        max_bytes: Frames above this size are skipped; 0: none.
        cursor: Where to start, as the client wrote it; None: the live tip.
        dictionary_id: The zstd dictionary to compress with; None: no compression.
    """

    kinds: frozenset[str] = frozenset()
    collections: CollectionFilter = field(default_factory=CollectionFilter)
    dids: frozenset[str] = frozenset()
    max_bytes: int = 0
    cursor: int | None = None
    dictionary_id: int | None = None

    def wants(self, entry: LogEntry) -> bool:
        """Whether an event passes the filters."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        if self.dids and entry.did not in self.dids:
            return False
        return self.collections.wants(entry.collection)


def parse_subscription(parameters: Parameters) -> Subscription:
    """Read the query; parameters that are not known are ignored, those of version 1 are not.

    Raises:
        XrpcError: 400, a value is not valid, or a filter could never apply.
    """
    if parameters.get("compress", [""])[0] == "true":
        raise invalid_request(
            "compress=true is the /subscribe (v1) opt-in; this endpoint uses zstdDictionary=<id> "
            "with the dictionary from getZstdDictionary"
        )
    dictionary_id = _dictionary_id(parameters)
    for name, message in _FORMER_NAMES.items():
        if name in parameters:
            raise invalid_options(message)
    kinds = _kinds(parameters)
    collections = _collections(parameters)
    dids = parameters.get("dids", [])
    if len(dids) > MAX_DIDS:
        raise invalid_options(f"too many dids values: {len(dids)} > {MAX_DIDS}")
    require_dids(dids)
    if collections and kinds and "commit" not in kinds:
        raise invalid_options("collections filter can never apply: kinds excludes commit")
    return Subscription(
        kinds=kinds,
        collections=CollectionFilter.of(collections),
        dids=frozenset(dids),
        max_bytes=max_bytes_of(parameters),
        cursor=cursor_of(parameters),
        dictionary_id=dictionary_id,
    )


def _dictionary_id(parameters: Parameters) -> int | None:
    value = parameters.get("zstdDictionary", [""])[0]
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and int(value)):
        raise invalid_request("zstdDictionary must be a positive integer zstd dictionary ID")
    return int(value)


def _kinds(parameters: Parameters) -> frozenset[str]:
    kinds = parameters.get("kinds", [])
    if len(kinds) > len(KINDS):
        raise invalid_options(f"too many kinds values: {len(kinds)} > {len(KINDS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise invalid_options(f'unknown kind "{kind}" (valid: {", ".join(KINDS)})')
    return frozenset(kinds)


def _collections(parameters: Parameters) -> list[str]:
    patterns = list(parameters.get("collections", []))
    if len(patterns) > MAX_COLLECTIONS:
        raise invalid_options(f"too many collections values: {len(patterns)} > {MAX_COLLECTIONS}")
    for pattern in patterns:
        is_wildcard = pattern.endswith(".*")
        if not is_nsid(f"{pattern[:-1]}x" if is_wildcard else pattern):
            name = "collection wildcard" if is_wildcard else "collection"
            raise invalid_options(f"invalid {name}: {pattern}")
    return patterns


def encode(entry: LogEntry, numbering: Numbering) -> bytes | None:
    """The frame that carries an event; None if it is none."""
    if entry.event is None:
        return None
    kind = str(entry.kind)
    content = entry.event[kind]
    payload = {
        "$type": f"{NSID}#{kind}",
        "seq": numbering.seq(entry.time_us),
        "did": entry.did,
        "time": _timestamp(numbering.shown_us(entry)),
        "witnessedAt": _timestamp(numbering.witnessed_us(entry)),
        **(content if kind == "commit" else {kind: content}),
    }
    return _message(payload)


def encode_notice(start: Start, cursor: int | None, numbering: Numbering) -> bytes | None:
    """The frame that says first how the stream starts elsewhere than asked; None if it does not."""
    resumed = f"starting at seq {numbering.seq(start.time_us)}"
    match start.notice:
        case "outdated":
            return _info("OutdatedCursor", f"requested timestamp cursor below floor; {resumed}")
        case "before_archive":
            text = f"requested timestamp cursor precedes the oldest archived event; {resumed}"
            return _info("OutdatedCursor", text)
        case "future":
            text = f"requested seq cursor {cursor} is beyond the next seq; starting at the live tip"
            return _info("FutureCursor", text)
        case _:
            return None


def cursor_too_old(cursor: int | None, floor: int) -> XrpcError:
    """The refusal of a sequence number whose event is gone; names the oldest that is there."""
    return XrpcError(
        400,
        "CursorTooOld",
        f"subscribe: cursor too old: cursor {cursor} below lookback floor {floor}; "
        "re-backfill from your last seq",
    )


def encode_error(name: str, message: str) -> bytes:
    """The frame after which the stream ends."""
    return msgspec.json.encode({"$type": "error", "error": name, "message": message})


def _info(name: str, message: str) -> bytes:
    return _message({"$type": f"{NSID}#info", "name": name, "message": message})


def _message(payload: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"$type": "message", "payload": payload})


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _timestamp(time_us: int) -> str:
    """RFC 3339 with exactly six digits after the second."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
