"""What the predecessor's Redis holds, and dumps of it."""

import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import redis
import stamina

from tests.ports import free_port
from tests.programs import needed

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HASH = "0707070707070707"
URI = "at://did:plc:author/app.bsky.feed.post/3kabcdefghijk"

KEYS = {
    f"phash:{CID}": HASH,
    f"claim:post:label:{URI}:troll": "1",
    "claim:account:label:did:web:example.org:spam": "1",
    "queue:pending": "x",
}


def write_rdb(path: Path, keys: Mapping[str, str], expires: Mapping[str, datetime]) -> Path:
    """An RDB file of version 9, as Redis 5 and later read and write it.

    Layout: https://rdb.fnordig.de/file_format.html
    """
    body = b"REDIS0009" + b"\xfe\x00"
    for key, value in keys.items():
        if key in expires:
            body += b"\xfc" + struct.pack("<Q", int(expires[key].timestamp() * 1000))
        body += b"\x00" + _string(key) + _string(value)
    path.write_bytes(body + b"\xff" + bytes(8))
    return path


def _string(text: str) -> bytes:
    raw = text.encode()
    length = len(raw)
    if length < 64:
        return bytes([length]) + raw
    return bytes([0x40 | length >> 8, length & 0xFF]) + raw


@contextmanager
def running_redis(folder: Path) -> Iterator[redis.Redis]:
    """Debian's Redis on loopback, with its dump in `folder`."""
    port = free_port()
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": ""}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([needed("redis-server"), *options], stdout=log, stderr=log)
    try:
        with redis.Redis(host="127.0.0.1", port=port) as client:
            for attempt in stamina.retry_context(on=redis.ConnectionError, timeout=30):
                with attempt:
                    client.ping()
            yield client
    finally:
        process.terminate()
        process.wait(30)
