"""A Jetstream host: the v1 wire, `/subscribe`, over an event log.

It serves whatever is in the log, whoever put it there. Two hosts over one log differ as real ones
do: each has its own clock and its own sequence numbers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from phash_dagster.sandbox.event_log import EventLog, LogEntry
from phash_dagster.sandbox.identifiers import is_did, is_nsid
from phash_dagster.sandbox.traffic import Service, Traffic
from phash_dagster.sandbox.xrpc import XrpcError, invalid_request

FIRST_TIME_CURSOR = 10**15
"""Cursors from here up are unix microseconds, those below are sequence numbers."""

SEQUENCE_EPOCH_US = 1_577_836_800_000_000
"""2020-01-01. Sequence numbers count microseconds from then, so that they rise with time even
when an event is put in the past; like the real ones they have gaps."""

_MAX_DIDS = 10_000
_MAX_COLLECTIONS = 100
_PAGE = 200
_SERVICE_RESTART = 1012


@dataclass(frozen=True)
class Subscription:
    """What a client asked for.

    Attributes:
        collections: Collections whose commits are wanted; with `prefixes` empty: all.
        prefixes: Beginnings of such collections.
        dids: Accounts whose events are wanted; empty: all.
        max_bytes: Events above this size are skipped; 0: none.
        cursor: Where to start, as the client wrote it; None: the live tip.
    """

    collections: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    dids: frozenset[str] = frozenset()
    max_bytes: int = 0
    cursor: int | None = None

    def wants(self, entry: LogEntry) -> bool:
        """Whether an event passes the filters; only commits can be filtered by collection."""
        if self.dids and entry.did is not None and entry.did not in self.dids:
            return False
        filtered = self.collections or self.prefixes
        if entry.collection is None or not filtered:
            return True
        return entry.collection in self.collections or entry.collection.startswith(self.prefixes)


def parse_subscription(parameters: Sequence[tuple[str, str]]) -> Subscription:
    """Read the query of `/subscribe`; parameters that are not known are ignored.

    Raises:
        XrpcError: 400, a value is not valid.
    """
    named: dict[str, list[str]] = {}
    for name, value in parameters:
        named.setdefault(name, []).append(value)
    collections = named.get("wantedCollections", [])
    dids = named.get("wantedDids", [])
    for name in collections:
        if not is_nsid(name.replace(".*", ".any")):
            raise invalid_request(f"invalid collection: {name}")
    for did in dids:
        if not is_did(did):
            raise invalid_request(f"invalid DID: {did}")
    if len(collections) > _MAX_COLLECTIONS or len(dids) > _MAX_DIDS:
        raise invalid_request("too many wanted collections or DIDs")
    return Subscription(
        collections=frozenset(name for name in collections if not name.endswith(".*")),
        prefixes=tuple(name[:-1] for name in collections if name.endswith(".*")),
        dids=frozenset(dids),
        max_bytes=_number(named, "maxMessageSizeBytes") or 0,
        cursor=_number(named, "cursor"),
    )


def _number(named: dict[str, list[str]], name: str) -> int | None:
    values = named.get(name)
    if not values:
        return None
    if not (values[0].isascii() and values[0].isdigit()):
        raise invalid_request(f"invalid {name}: {values[0]}")
    return int(values[0])


@dataclass(frozen=True)
class _Start:
    """Where a connection begins: the time in the log, and the drops that came before it."""

    time_us: int
    drops: int


@dataclass(frozen=True)
class JetstreamHost:
    """One host.

    Attributes:
        log: What it serves.
        traffic: Where its connections are told to close.
        service: The name under which `traffic` knows it.
        clock_skew_us: How far its clock is ahead of the log's, in microseconds.
        sequence_numbers: Whether events carry `cursor`, as hosts of version 2 send it.
    """

    log: EventLog
    traffic: Traffic
    service: Service = "jetstream"
    clock_skew_us: int = 0
    sequence_numbers: bool = True

    def app(self) -> Starlette:
        """The host, answering at `/subscribe`."""
        return Starlette(routes=[WebSocketRoute("/subscribe", self.subscribe)])

    async def subscribe(self, websocket: WebSocket) -> None:
        """Serve one client until it leaves: the past from its cursor on, then what happens."""
        try:
            subscription = parse_subscription(websocket.query_params.multi_items())
        except XrpcError as error:
            await websocket.send_denial_response(error.response())
            return
        # Settled before the client knows that it is connected: what happens from then on is live.
        start = _Start(self.start_us(subscription.cursor), self.traffic.drops(self.service))
        news = asyncio.Event()
        loop = asyncio.get_running_loop()
        unsubscribe = self.log.subscribe(lambda: loop.call_soon_threadsafe(news.set))
        try:
            await websocket.accept()
            tasks = [
                asyncio.create_task(self._send(websocket, subscription, start, news)),
                asyncio.create_task(_until_gone(websocket)),
            ]
            _, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            unsubscribe()

    def render(self, entry: LogEntry) -> bytes:
        """The text that is sent for an event."""
        if entry.event is None:
            return (entry.frame or "").encode()
        event: dict[str, Any] = {**entry.event, "time_us": entry.time_us + self.clock_skew_us}
        if self.sequence_numbers:
            event["cursor"] = entry.time_us - SEQUENCE_EPOCH_US + self.clock_skew_us
        return msgspec.json.encode(event)

    def start_us(self, cursor: int | None) -> int:
        """The time in the log at which a cursor starts; it is inclusive.

        None and the future mean the live tip. A cursor older than the log starts at its beginning.
        """
        tip = self.log.newest_us + 1
        if cursor is None:
            return tip
        host_us = cursor if cursor >= FIRST_TIME_CURSOR else cursor + SEQUENCE_EPOCH_US
        return min(host_us - self.clock_skew_us, tip)

    async def _send(
        self, websocket: WebSocket, subscription: Subscription, start: _Start, news: asyncio.Event
    ) -> None:
        next_us = start.time_us
        while True:
            # Cleared first: what is added from here on sets it again, so that nothing is missed.
            news.clear()
            if self.traffic.drops(self.service) != start.drops:
                await websocket.close(_SERVICE_RESTART)
                return
            entries = self.log.since(next_us, _PAGE)
            for entry in entries:
                await self._send_one(websocket, subscription, entry)
                next_us = entry.time_us + 1
            if not entries:
                await news.wait()

    async def _send_one(
        self, websocket: WebSocket, subscription: Subscription, entry: LogEntry
    ) -> None:
        if not subscription.wants(entry):
            return
        text = self.render(entry)
        if subscription.max_bytes and len(text) > subscription.max_bytes:
            return
        await websocket.send_text(text.decode())


async def _until_gone(websocket: WebSocket) -> None:
    try:
        while True:
            await websocket.receive_text()
    except (WebSocketDisconnect, KeyError):
        return  # a binary message has no text; real hosts close on it too
