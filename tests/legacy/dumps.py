"""What the predecessor's Redis holds, and dumps of it."""

import struct
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

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
