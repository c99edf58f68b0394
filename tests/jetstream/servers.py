"""Jetstream servers on loopback for tests: well-behaved and otherwise."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zstandard
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from phash_dagster.jetstream.dictionaries import DICTIONARY_PATH
from phash_dagster.jetstream.wire import FIRST_TIME_CURSOR
from phash_dagster.jetstream.wire_v2 import PATH, SUBPROTOCOL
from tests.jetstream.frames import as_v2, encode, info

Handler = Callable[[ServerConnection], None]


@contextmanager
def serving(
    handler: Handler,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
    *,
    path: str = "/subscribe",
    **options: Any,
) -> Iterator[str]:
    """A WebSocket server; gives its address."""
    with serve(
        handler, "127.0.0.1", 0, process_request=process_request, max_size=None, **options
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}{path}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def raw_serving(handler: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection, on the level of bytes, what `handler` does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        handler(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.getsockname()[1]}/subscribe"
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join(5)


def query_of(connection: ServerConnection) -> dict[str, list[str]]:
    assert connection.request is not None
    return parse_qs(urlsplit(connection.request.path).query)


def hold(connection: ServerConnection) -> None:
    """Keep the connection open until the client closes it."""
    with contextlib.suppress(ConnectionClosed):
        connection.recv()


def sending(*frames: bytes | str, requests: list[str] | None = None) -> Handler:
    """A server that sends these frames, whatever it was asked for; bytes are binary messages."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if requests is not None:
            requests.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                connection.send(frame)
        hold(connection)

    return handle


def sending_text(*frames: bytes, requests: list[str] | None = None) -> Handler:
    """The same, with every frame sent as a text message without being looked at."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if requests is not None:
            requests.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                connection.send(frame, text=True)
        hold(connection)

    return handle


def replaying(events: list[dict[str, Any]]) -> Handler:
    """A version 1 server that sends what a cursor asks for, inclusively."""

    def handle(connection: ServerConnection) -> None:
        start = int(query_of(connection)["cursor"][0])
        name = "time_us" if start >= FIRST_TIME_CURSOR else "cursor"
        with contextlib.suppress(ConnectionClosed):
            for event in events:
                if event[name] >= start:
                    connection.send(encode(event), text=True)
        hold(connection)

    return handle


def new_dictionary(number: int) -> bytes:
    """A small zstd dictionary with a number."""
    samples: list[bytes | bytearray | memoryview] = [
        encode({"number": one, "text": f"post {one % 7}"}) for one in range(400)
    ]
    return zstandard.train_dictionary(2048, samples, dict_id=number).as_bytes()


@dataclass
class V2Server:
    """A version 2 host.

    Attributes:
        events: What it has, as version 1 events with `cursor`.
        dictionary: The one it compresses with and serves; None: it serves none.
        floor: Sequence numbers below are refused, and times clamped to it.
        frames: Sent, as they are, instead of the events.
        requests: The queries of connections it was asked for.
        downloads: How often its dictionary was fetched.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    dictionary: bytes | None = None
    floor: int = 0
    frames: list[bytes | str] | None = None
    requests: list[dict[str, list[str]]] = field(default_factory=list)
    downloads: int = 0

    @contextmanager
    def running(self) -> Iterator[str]:
        with serving(
            self._handle,
            self._refuse,
            path=PATH,
            subprotocols=[SUBPROTOCOL],
            compression=None,
        ) as url:
            yield url

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if address.path == DICTIONARY_PATH:
            self.downloads += 1
            return self._serve_dictionary(connection)
        query = parse_qs(address.query)
        self.requests.append(query)
        asked = int(query.get("zstdDictionary", ["0"])[0])
        if asked and asked != self._number:
            return _refusal(connection, "UnknownZstdDictionary")
        cursor = int(query.get("cursor", [str(self.floor)])[0])
        if cursor < min(self.floor, FIRST_TIME_CURSOR):
            return _refusal(connection, "CursorTooOld")
        return None

    @property
    def _number(self) -> int:
        if self.dictionary is None:
            return 0
        return zstandard.ZstdCompressionDict(self.dictionary).dict_id()

    def _serve_dictionary(self, connection: ServerConnection) -> Response:
        if self.dictionary is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "no such method\n")
        headers = Headers(
            [
                ("Content-Type", "application/octet-stream"),
                ("Content-Length", str(len(self.dictionary))),
                ("x-zstd-dictionary-id", str(self._number)),
                ("Connection", "close"),
            ]
        )
        return Response(200, "OK", headers, self.dictionary)

    def _handle(self, connection: ServerConnection) -> None:
        query = query_of(connection)
        with contextlib.suppress(ConnectionClosed):
            for frame in self.frames if self.frames is not None else self._replay(query):
                connection.send(frame)
        hold(connection)

    def _replay(self, query: dict[str, list[str]]) -> Iterator[bytes | str]:
        start = int(query["cursor"][0]) if "cursor" in query else 2**62
        compressed = "zstdDictionary" in query
        held = [event for event in self.events if event["cursor"] >= self.floor]
        if start >= FIRST_TIME_CURSOR and self.floor and start < held[0]["time_us"]:
            yield self._frame(info("OutdatedCursor"), compressed)
        name = "time_us" if start >= FIRST_TIME_CURSOR else "cursor"
        for event in held:
            if event[name] >= start:
                yield self._frame(as_v2(event), compressed)

    def _frame(self, frame: object, compressed: bool) -> bytes | str:
        if not compressed:
            return encode(frame).decode()
        assert self.dictionary is not None
        dictionary = zstandard.ZstdCompressionDict(self.dictionary)
        return zstandard.ZstdCompressor(dict_data=dictionary).compress(encode(frame))


def _refusal(connection: ServerConnection, name: str) -> Response:
    text = encode({"error": name, "message": "said"}).decode()
    return connection.respond(HTTPStatus.BAD_REQUEST, text)
