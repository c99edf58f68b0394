"""A Jetstream host over an event log: both versions of the wire, and ways to misbehave.

It serves whatever is in the log, whoever put it there. Two hosts over one log differ as real ones
do: each has its own clock and its own sequence numbers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from zstandard import ZstdCompressor

from phash_dagster.sandbox import jetstream_v1, jetstream_v2
from phash_dagster.sandbox.event_log import EventLog, LogEntry
from phash_dagster.sandbox.jetstream_position import Numbering, Start, Window, start_at
from phash_dagster.sandbox.jetstream_zstd import Dictionaries
from phash_dagster.sandbox.traffic import Service, Traffic
from phash_dagster.sandbox.xrpc import Method, XrpcError, xrpc_route

DICTIONARY_NSID = "network.bsky.jetstream.getZstdDictionary"
RETENTION = timedelta(hours=36)
"""How far back public hosts serve."""

_PAGE = 200
_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008


class _Subscription(Protocol):
    """What the versions of the wire have in common."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def cursor(self) -> int | None: ...
    def wants(self, entry: LogEntry) -> bool: ...


@dataclass(frozen=True)
class _Connection:
    """A client that was let in, and what it gets."""

    websocket: WebSocket
    subscription: _Subscription
    encode: Callable[[LogEntry, Numbering], bytes | None]
    start: Start
    notice: bytes | None = None
    compressor: ZstdCompressor | None = None
    has_error_frames: bool = False

    async def send(self, frame: bytes) -> None:
        """Send a frame of text, compressed if the client asked for that."""
        if self.compressor is None:
            await self.websocket.send_text(frame.decode())
        else:
            await self.websocket.send_bytes(self.compressor.compress(frame))


class JetstreamHost:
    """One host.

    Args:
        log: What it serves.
        traffic: Where its connections are told to close.
        service: The name under which `traffic` knows it.
        numbering: How it counts.
        retention: How far back it serves.
    """

    def __init__(
        self,
        log: EventLog,
        traffic: Traffic,
        service: Service = "jetstream",
        *,
        numbering: Numbering | None = None,
        retention: timedelta = RETENTION,
    ) -> None:
        self.numbering = numbering or Numbering()
        self.retention = retention
        self.dictionaries = Dictionaries(service)
        self._log = log
        self._traffic = traffic
        self._service = service
        self._forgotten_us = 0
        self._is_stalled = False
        self._too_slow = 0

    def app(self) -> Starlette:
        """The host, answering at `/subscribe` and `/xrpc/…`."""
        return Starlette(
            routes=[
                WebSocketRoute("/subscribe", self.subscribe),
                WebSocketRoute(f"/xrpc/{jetstream_v2.NSID}", self.subscribe_events),
                xrpc_route({DICTIONARY_NSID: Method("GET", self._dictionary)}, _unknown_method),
            ]
        )

    # Misbehaviour

    def stall(self) -> None:
        """Take connections and keep them, but send nothing."""
        self._is_stalled = True

    def resume(self) -> None:
        """Send again, from where it stopped."""
        self._is_stalled = False
        self._log.wake()

    def forget_before(self, time_us: int) -> None:
        """Have no events older than this time of the log any more."""
        self._forgotten_us = max(self._forgotten_us, time_us)

    def drop_slow_consumers(self) -> None:
        """End every connection as one that reads too slowly."""
        self._too_slow += 1
        self._log.wake()

    # Serving

    def window(self) -> Window:
        """What it can serve now."""
        now_us, next_us = self._log.now_us, self._log.newest_us + 1
        oldest_us = now_us - self.retention // timedelta(microseconds=1)
        floor_us = max(oldest_us, self._forgotten_us, self._log.forgotten_us)
        first = self._log.since(floor_us, 1)
        return Window(
            first_us=first[0].time_us if first else next_us,
            next_us=next_us,
            now_us=now_us,
            is_complete=not self._log.has_before(floor_us),
        )

    async def subscribe(self, websocket: WebSocket) -> None:
        """Version 1: the past from the cursor on, then what happens, until the client leaves."""
        try:
            subscription = jetstream_v1.parse_subscription(_parameters(websocket))
        except XrpcError as error:
            denial = PlainTextResponse(error.message, status_code=error.status)
            await websocket.send_denial_response(denial)
            return
        start = start_at(subscription.cursor, self.window(), self.numbering)
        await self._serve(_Connection(websocket, subscription, jetstream_v1.encode, start))

    async def subscribe_events(self, websocket: WebSocket) -> None:
        """Version 2, likewise."""
        try:
            connection = self._open(websocket)
        except XrpcError as error:
            await websocket.send_denial_response(error.response())
            return
        await self._serve(connection)

    def _open(self, websocket: WebSocket) -> _Connection:
        subscription = jetstream_v2.parse_subscription(_parameters(websocket))
        wanted = subscription.dictionary_id
        compressor = None if wanted is None else self.dictionaries.require(wanted).compressor()
        start = start_at(subscription.cursor, self.window(), self.numbering)
        if start.notice == "too_old":
            floor = self.numbering.seq(start.time_us)
            raise jetstream_v2.cursor_too_old(subscription.cursor, floor)
        return _Connection(
            websocket,
            subscription,
            jetstream_v2.encode,
            start,
            notice=jetstream_v2.encode_notice(start, subscription.cursor, self.numbering),
            compressor=compressor,
            has_error_frames=True,
        )

    async def _serve(self, connection: _Connection) -> None:
        # Settled before the client knows that it is connected: what happens from then on is live.
        drops, too_slow = self._traffic.drops(self._service), self._too_slow
        news = asyncio.Event()
        loop = asyncio.get_running_loop()
        unsubscribe = self._log.subscribe(lambda: loop.call_soon_threadsafe(news.set))
        try:
            await connection.websocket.accept(subprotocol=_subprotocol(connection))
            tasks = [
                asyncio.create_task(self._send(connection, news, drops, too_slow)),
                asyncio.create_task(_read(connection)),
            ]
            _, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            unsubscribe()

    async def _send(
        self, connection: _Connection, news: asyncio.Event, drops: int, too_slow: int
    ) -> None:
        next_us = connection.start.time_us
        is_announced = False
        while True:
            # Cleared first: what is added from here on sets it again, so that nothing is missed.
            news.clear()
            if self._traffic.drops(self._service) != drops:
                await connection.websocket.close(_GOING_AWAY)
                return
            if self._too_slow != too_slow:
                await self._drop_slow(connection, next_us)
                return
            if self._is_stalled:
                await news.wait()
                continue
            if connection.notice is not None and not is_announced:
                await connection.send(connection.notice)
            is_announced = True
            entries = self._log.since(next_us, _PAGE)
            for entry in entries:
                await self._send_one(connection, entry)
                next_us = entry.time_us + 1
            if not entries:
                await news.wait()

    async def _send_one(self, connection: _Connection, entry: LogEntry) -> None:
        if isinstance(entry.frame, bytes):
            await connection.websocket.send_bytes(entry.frame)
            return
        if entry.frame is not None:
            await connection.send(entry.frame.encode())
            return
        if not connection.subscription.wants(entry):
            return
        frame = connection.encode(entry, self.numbering)
        most = connection.subscription.max_bytes
        if frame is not None and not (most and len(frame) > most):
            await connection.send(frame)

    async def _drop_slow(self, connection: _Connection, next_us: int) -> None:
        if connection.has_error_frames:
            cursor = self.numbering.seq(next_us)
            text = f"reading below the floor rate; reconnect with cursor={cursor}"
            await connection.send(jetstream_v2.encode_error("ConsumerTooSlow", text))
        await connection.websocket.close()

    async def _dictionary(self, request: Request) -> Response:
        dictionary = self.dictionaries.find(request.query_params.get("id"))
        return Response(
            dictionary.data,
            media_type="application/octet-stream",
            headers={
                "etag": f'"zstd-dict-{dictionary.id}"',
                "cache-control": "public, max-age=31536000, immutable",
                "x-zstd-dictionary-id": str(dictionary.id),
            },
        )


def _parameters(websocket: WebSocket) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in websocket.query_params.multi_items():
        named.setdefault(name, []).append(value)
    return named


def _subprotocol(connection: _Connection) -> str | None:
    """What is agreed upon, if the client names what the wire speaks anyway."""
    offered = connection.websocket.scope.get("subprotocols", [])
    speaks = connection.has_error_frames and jetstream_v2.SUBPROTOCOL in offered
    return jetstream_v2.SUBPROTOCOL if speaks else None


async def _read(connection: _Connection) -> None:
    """Wait until the client leaves. It has nothing to say; version 2 does not even let it."""
    try:
        while True:
            message = await connection.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if connection.has_error_frames:
                await connection.websocket.close(_POLICY_VIOLATION)
                return
    except WebSocketDisconnect:
        return


async def _unknown_method(request: Request) -> Response:
    raise XrpcError(501, "MethodNotImplemented", f"no method {request.path_params['nsid']}")
