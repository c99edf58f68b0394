"""Reads a Redis database: from an RDB file, a JSON dump, or a running server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from phash_dagster.legacy.keys import CLAIM, PHASH, Entry

_PATTERNS: Final = (f"{PHASH}*", f"{CLAIM}*")
_BATCH: Final = 1_000
_RDB_MAGIC: Final = b"REDIS"
_NO_TTL: Final = -1


class LegacySourceError(Exception):
    """The dump or server cannot be read; the text says why and what to do."""


def read_entries(source: str, now: datetime) -> Iterator[Entry]:
    """The text keys of a Redis database; those that have expired are left out.

    Args:
        source: The path of an RDB or JSON file, or a `redis://` address.
        now: The current time.

    Raises:
        LegacySourceError: It cannot be read.
    """
    if urlsplit(source).scheme in ("redis", "rediss", "unix"):
        found = _read_server(source, now)
    elif _is_rdb(Path(source)):
        found = _read_rdb(Path(source))
    else:
        found = _read_json(Path(source), now)
    return (entry for entry in found if entry.expires_at is None or entry.expires_at > now)


def _is_rdb(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_RDB_MAGIC)) == _RDB_MAGIC
    except OSError as error:
        raise LegacySourceError(f"{path} cannot be read ({error.strerror})") from None


def _read_rdb(path: Path) -> Iterator[Entry]:
    try:
        from rdb import RdbDecoder
    except ImportError:
        raise LegacySourceError(_missing("rdb-py", "to read RDB files")) from None
    try:
        for item in RdbDecoder(path):
            if item["type"] == "string":
                expiry = item["expiry"]
                at = None if expiry is None else datetime.fromtimestamp(expiry / 1000, UTC)
                yield Entry(_text(item["key"]), _text(item["value"]), at)
    except ValueError as error:
        raise LegacySourceError(
            f"{path} is damaged, or of a Redis that is too new ({error}); "
            "make a new one with SAVE, or name the running server as redis://host:6379"
        ) from None


def _read_server(address: str, now: datetime) -> Iterator[Entry]:
    try:
        import redis
    except ImportError:
        raise LegacySourceError(_missing("redis", "to read from a running server")) from None
    try:
        with redis.Redis.from_url(address, socket_timeout=30, socket_connect_timeout=5) as client:
            for pattern in _PATTERNS:
                keys = client.scan_iter(match=pattern, count=_BATCH, _type="STRING")
                for batch in _batches(keys):
                    yield from _server_entries(client, batch, now)
    except (redis.RedisError, ValueError) as error:
        # The address may hold a password.
        host = urlsplit(address).hostname or address
        raise LegacySourceError(
            f"the Redis at {host} cannot be read ({type(error).__name__}); check its address, "
            "redis://user:password@host:6379/0, and that it is running"
        ) from None


def _server_entries(client: Any, keys: list[bytes], now: datetime) -> Iterator[Entry]:
    with client.pipeline(transaction=False) as pipeline:
        pipeline.mget(keys)
        for key in keys:
            pipeline.pttl(key)
        values, *milliseconds = pipeline.execute()
    for key, value, left in zip(keys, values, milliseconds, strict=True):
        if value is None:
            continue  # expired since it was listed
        at = None if left == _NO_TTL else now + timedelta(milliseconds=max(left, 0))
        yield Entry(_text(key), _text(value), at)


def _read_json(path: Path, now: datetime) -> Iterator[Entry]:
    """A JSON object of keys and values, a list of those, or a line of JSON for each key."""
    try:
        text = path.read_text(encoding="utf-8")
        documents = _documents(text)
    except ValueError as error:
        raise LegacySourceError(
            f"{path} is neither an RDB file nor JSON ({error}). JSON is an object of keys and "
            'values, or a line {"key": …, "value": …, "ttl": seconds} for each key'
        ) from None
    for document in documents:
        yield from _json_entries(document, now)


def _documents(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return found if isinstance(found, list) else [found]


def _json_entries(document: Any, now: datetime) -> Iterator[Entry]:
    if not isinstance(document, Mapping):
        return
    if isinstance(document.get("key"), str) and "value" in document:
        yield _json_entry(document["key"], document, now)
        return
    for key, value in document.items():
        held = value if isinstance(value, Mapping) else {"value": value}
        yield _json_entry(key, held, now)


def _json_entry(key: str, held: Mapping[str, Any], now: datetime) -> Entry:
    left = held.get("ttl")
    # Redis answers -1 for a key that never expires.
    forever = not isinstance(left, int | float) or left < 0
    at = None if forever else now + timedelta(seconds=float(left or 0))
    return Entry(key, str(held.get("value")), at)


def _batches(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for key in keys:
        batch.append(key)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _missing(package: str, purpose: str) -> str:
    return (
        f"the package {package} is needed {purpose}: install the extra `legacy` "
        "(uv sync --extra legacy)"
    )
