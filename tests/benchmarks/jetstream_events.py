"""Events like those of the network, and a server that sends them as fast as a reader takes them.

The shape follows events that a production host served; names and texts are made up.
"""

import base64
import hashlib
import json
import os
import random
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zstandard

from phash_dagster.jetstream.dictionaries import DICTIONARY_PATH
from phash_dagster.jetstream.wire_v2 import PATH, SUBPROTOCOL
from tests.jetstream.frames import as_v2, tid

FIRST_US = 1_783_175_888_000_000
SPACING_US = 2_000
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _COMPRESSED = 0x81, 0x82, 0x40
_CHUNK = 1024 * 1024


def event_at(number: int, rng: random.Random) -> dict[str, Any]:
    """An event of a stream of posts: 6 % account and identity events, 6 % deletes, the rest posts,
    of which about 30 % have images."""
    did = f"did:plc:{_letters(rng, 24)}"
    time_us = FIRST_US + number * SPACING_US
    event: dict[str, Any] = {"did": did, "time_us": time_us, "cursor": number + 1}
    kind = rng.random()
    if kind < 0.06:
        name = "account" if kind < 0.03 else "identity"
        about = {"did": did, "seq": number, "time": "2026-07-04T14:38:07.877Z"}
        return {**event, "kind": name, name: {**about, **({"active": True} if kind < 0.03 else {})}}
    commit: dict[str, Any] = {
        "rev": tid(time_us - 400_000),
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "rkey": _letters(rng, 13),
    }
    if kind < 0.12:
        commit["operation"] = "delete"
    else:
        commit |= {"record": _post(rng), "cid": f"bafyrei{_letters(rng, 52)}"}
    return {**event, "kind": "commit", "commit": commit}


def _post(rng: random.Random) -> dict[str, Any]:
    record: dict[str, Any] = {
        "$type": "app.bsky.feed.post",
        "createdAt": "2026-07-04T14:37:36.557Z",
    }
    kind = rng.random()
    if kind < 0.2:
        count = rng.choice([1, 1, 1, 1, 2, 4])
        images = [
            {"alt": "", "aspectRatio": {"height": 3011, "width": 4000}, "image": _blob(rng)}
            for _ in range(count)
        ]
        record["embed"] = {"$type": "app.bsky.embed.images", "images": images}
    elif kind < 0.3:
        external = {
            "description": _words(rng, 12),
            "thumb": _blob(rng),
            "title": _words(rng, 6),
            "uri": f"https://example.com/{_letters(rng, 11)}",
        }
        record["embed"] = {"$type": "app.bsky.embed.external", "external": external}
    elif kind < 0.35:
        record["embed"] = {"$type": "app.bsky.embed.record", "record": _reference(rng)}
    record["langs"] = ["en"]
    if rng.random() < 0.5:
        record["reply"] = {"parent": _reference(rng), "root": _reference(rng)}
    record["text"] = _words(rng, rng.randint(2, 30))
    return record


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(_LETTERS, k=count))


def _words(rng: random.Random, count: int) -> str:
    return " ".join(_letters(rng, rng.randint(2, 9)) for _ in range(count))


def _blob(rng: random.Random) -> dict[str, Any]:
    return {
        "$type": "blob",
        "ref": {"$link": f"bafkrei{_letters(rng, 52)}"},
        "mimeType": "image/jpeg",
        "size": rng.randint(10_000, 999_999),
    }


def _reference(rng: random.Random) -> dict[str, str]:
    uri = f"at://did:plc:{_letters(rng, 24)}/app.bsky.feed.post/{_letters(rng, 13)}"
    return {"cid": f"bafyrei{_letters(rng, 52)}", "uri": uri}


@dataclass(frozen=True)
class Expected:
    """What a correct reader makes of a stream."""

    events: int
    posts: int
    rows: int


def rows_of(event: dict[str, Any]) -> int:
    """How many rows of `image_posts` an event leaves, found without the code under test."""
    if event["kind"] == "account":
        return 1
    if event["kind"] != "commit":
        return 0
    if event["commit"]["operation"] == "delete":
        return 1
    embed = event["commit"]["record"].get("embed", {})
    return len(embed.get("images", ())) + ("external" in embed)


@dataclass
class Stream:
    """A stream of `pool` different events, repeated up to `events` with new times and numbers.

    The last event leaves a row, so that a reader knows by the count of rows that it is done.
    """

    events: int
    pool: int

    @cached_property
    def models(self) -> list[dict[str, Any]]:
        rng = random.Random(4)
        made = [event_at(number, rng) for number in range(self.pool)]
        while not rows_of(made[(self.events - 1) % self.pool]):
            made[(self.events - 1) % self.pool] = event_at((self.events - 1) % self.pool, rng)
        return made

    @property
    def expected(self) -> Expected:
        """What comes of all its events."""
        rows = [rows_of(event) for event in self.models]
        posts = [event["kind"] == "commit" for event in self.models]
        whole, rest = divmod(self.events, self.pool)
        return Expected(
            self.events,
            whole * sum(posts) + sum(posts[:rest]),
            whole * sum(rows) + sum(rows[:rest]),
        )

    def texts(self, *, v2: bool = False) -> list[bytes]:
        """The texts of the events in the pool, as they are sent."""
        events = [as_v2(event) for event in self.models] if v2 else self.models
        return [json.dumps(event, separators=(",", ":")).encode() for event in events]

    @cached_property
    def _templates(self) -> list[tuple[bytes, bytes]]:
        """Each version 1 text, split where time and number stand."""
        found = []
        for event in self.models:
            rest = {name: event[name] for name in event if name not in ("time_us", "cursor")}
            text = json.dumps(rest, separators=(",", ":")).encode()
            found.append((b'{"time_us":', b"," + text[1:]))
        return found

    def plain_from(self, first: int) -> Iterator[bytes]:
        """The frames from an event on, rendered while they are sent."""
        templates, pool = self._templates, self.pool
        chunk = bytearray()
        for number in range(first, self.events):
            head, tail = templates[number % pool]
            time_us = FIRST_US + number * SPACING_US
            text = head + b'%d,"cursor":%d' % (time_us, number + 1) + tail
            chunk += _head(_TEXT, len(text)) + text
            if len(chunk) > _CHUNK:
                yield bytes(chunk)
                chunk.clear()
        yield bytes(chunk)


def _head(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    return (
        struct.pack("!BBH", first, 126, size)
        if size < 65536
        else struct.pack("!BBQ", first, 127, size)
    )


class _Server:
    """Serves one stream on both wires, one connection after another in threads of its process."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        texts, v2 = stream.texts(), stream.texts(v2=True)
        self.dictionary = zstandard.train_dictionary(64 * 1024, list(v2[:4000]), dict_id=11)
        self.plain = b"".join(_head(_TEXT, len(text)) + text for text in texts)
        self.deflated = b"".join(_deflated(texts))
        compressor = zstandard.ZstdCompressor(dict_data=self.dictionary)
        packed = [compressor.compress(text) for text in v2]
        self.zstd = b"".join(_head(_BINARY, len(frame)) + frame for frame in packed)
        self.last_text, self.last_zstd = texts[-1], packed[-1]

    def serve(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        target = urlsplit(request.split(b" ")[1].decode())
        if target.path == DICTIONARY_PATH:
            data = self.dictionary.as_bytes()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(data) + data)
            return
        query = parse_qs(target.query)
        # A host decides whether it compresses what offers to be compressed.
        deflate = b"permessage-deflate" in request and "plain" not in query
        connection.sendall(_accepted(request, deflate=deflate))
        for chunk in self._answer(query, deflate=deflate, v2=target.path == PATH):
            connection.sendall(chunk)
        connection.recv(1)

    def _answer(self, query: dict[str, list[str]], *, deflate: bool, v2: bool) -> Iterator[bytes]:
        if "cursor" not in query:
            last = self.last_zstd if v2 else self.last_text
            yield _head(_BINARY if v2 else _TEXT, len(last)) + last
        elif v2:
            yield self.zstd
        elif deflate:
            yield self.deflated
        elif self.stream.events == self.stream.pool:
            yield self.plain
        else:
            yield from self.stream.plain_from(max(int(query["cursor"][0]) - 1, 0))


def _deflated(texts: list[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    for text in texts:
        packed = (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        yield _head(_TEXT | _COMPRESSED, len(packed)) + packed


def _accepted(request: bytes, *, deflate: bool) -> bytes:
    headers = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
    [key] = [value for name, value in headers.items() if name.lower() == b"sec-websocket-key"]
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + _WEBSOCKET_KEY).digest()),
    ]
    if deflate:
        lines.append(b"Sec-WebSocket-Extensions: permessage-deflate")
    if b"sec-websocket-protocol" in request.lower():
        lines.append(b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode())
    return b"\r\n".join([*lines, b"", b""])


def _run(stream: Stream, cores: set[int], ready: Connection) -> None:
    os.sched_setaffinity(0, cores)
    server = _Server(stream)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The models stay here: a reader with millions of objects has much to collect.
        ready.send((listener.getsockname()[1], stream.expected))
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(server, connection), daemon=True).start()


def _serve(server: _Server, connection: socket.socket) -> None:
    with connection, suppress(OSError):
        server.serve(connection)


@contextmanager
def serving(stream: Stream, cores: set[int]) -> Iterator[tuple[int, Expected]]:
    """A server of the stream in its own process on these cores; gives its port, and what comes of
    the stream."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(stream, cores, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
