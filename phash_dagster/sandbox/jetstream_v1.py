"""Version 1 of Jetstream's wire, `/subscribe`: one bare event in JSON per frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from phash_dagster.sandbox.event_log import LogEntry
from phash_dagster.sandbox.identifiers import is_did, is_nsid
from phash_dagster.sandbox.jetstream_position import Numbering
from phash_dagster.sandbox.xrpc import XrpcError, invalid_request

MAX_DIDS = 10_000
MAX_COLLECTIONS = 100
_MOST_BYTES = 2**32 - 1

Parameters = Mapping[str, Sequence[str]]
"""The values of each parameter of a query."""


@dataclass(frozen=True)
class CollectionFilter:
    """Which collections are wanted; made without names it wants all."""

    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Sequence[str]) -> "CollectionFilter":
        """From names and `beginning.*` patterns."""
        return cls(
            frozenset(name for name in patterns if not name.endswith(".*")),
            tuple(name[:-1] for name in patterns if name.endswith(".*")),
        )

    def wants(self, collection: str | None) -> bool:
        """Whether it lets a commit to this collection pass, or what has no collection."""
        if collection is None or not (self.names or self.prefixes):
            return True
        return collection in self.names or collection.startswith(self.prefixes)


@dataclass(frozen=True)
class Subscription:
    """What a client asked for.

    Attributes:
        collections: Collections whose commits are wanted.
        dids: Accounts whose events are wanted; empty: all.
        max_bytes: Events above this size are skipped; 0: none.
        cursor: Where to start, as the client wrote it; None: the live tip.
    """

    collections: CollectionFilter = field(default_factory=CollectionFilter)
    dids: frozenset[str] = frozenset()
    max_bytes: int = 0
    cursor: int | None = None

    def wants(self, entry: LogEntry) -> bool:
        """Whether an event passes the filters; only commits can be filtered by collection."""
        if self.dids and entry.did is not None and entry.did not in self.dids:
            return False
        return self.collections.wants(entry.collection)


def parse_subscription(parameters: Parameters) -> Subscription:
    """Read the query of `/subscribe`; parameters that are not known are ignored.

    Raises:
        XrpcError: 400, a value is not valid.
    """
    collections = parameters.get("wantedCollections", [])
    dids = parameters.get("wantedDids", [])
    for name in collections:
        if not (name.endswith(".*") or is_nsid(name)):
            raise invalid_options(f"invalid collection: {name}")
    require_dids(dids)
    if len(set(collections)) > MAX_COLLECTIONS:
        raise invalid_options(f"too many wanted collections: > {MAX_COLLECTIONS}")
    if len(set(dids)) > MAX_DIDS:
        raise invalid_options(f"too many wanted DIDs: {len(set(dids))} > {MAX_DIDS}")
    return Subscription(
        collections=CollectionFilter.of(collections),
        dids=frozenset(dids),
        max_bytes=max_bytes_of(parameters),
        cursor=cursor_of(parameters),
    )


def invalid_options(message: str) -> XrpcError:
    """The error for parameters that cannot be."""
    return invalid_request(f"invalid options: {message}")


def require_dids(dids: Sequence[str]) -> None:
    """Refuse what is no DID."""
    for did in dids:
        if not is_did(did):
            raise invalid_options(f"invalid DID: {did}")


def max_bytes_of(parameters: Parameters) -> int:
    """`maxMessageSizeBytes`; what is no number in its range is no limit."""
    value = parameters.get("maxMessageSizeBytes", ["0"])[0]
    valid = value.isascii() and value.isdigit() and int(value) <= _MOST_BYTES
    return int(value) if valid else 0


def cursor_of(parameters: Parameters) -> int | None:
    """`cursor`, or None.

    Raises:
        XrpcError: 400, it is no number.
    """
    value = parameters.get("cursor", [""])[0]
    if not value:
        return None
    if not (value.isascii() and value.isdigit()):
        raise invalid_request(f'subscribe: invalid cursor: "{value}"')
    return int(value)


def encode(entry: LogEntry, numbering: Numbering) -> bytes | None:
    """The event as it is sent; None for kinds that this version does not know."""
    if entry.event is None or entry.kind == "sync":
        return None
    event: dict[str, Any] = {**entry.event, "time_us": numbering.shown_us(entry)}
    if numbering.sequence_numbers:
        event["cursor"] = numbering.seq(entry.time_us)
    return msgspec.json.encode(event)
