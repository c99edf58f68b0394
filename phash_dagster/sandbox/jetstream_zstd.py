"""The zstd dictionaries that a Jetstream host of version 2 compresses frames with.

A host has one at a time; it may replace it, after which nobody gets the former one any more.
"""

import threading
import zlib
from dataclasses import dataclass, field
from functools import lru_cache

import zstandard

from phash_dagster.sandbox.event_log import LogEntry
from phash_dagster.sandbox.identifiers import plc_did, record_cid, tid
from phash_dagster.sandbox.jetstream_position import SEQUENCE_EPOCH_US, Numbering
from phash_dagster.sandbox.jetstream_v2 import encode
from phash_dagster.sandbox.records import POST, blob, embed_of, post
from phash_dagster.sandbox.xrpc import XrpcError

_SIZE = 4096
_SAMPLES = 200
_FIRST_FREE_ID = 32_768
"""Lower ids are reserved (RFC 8878, section 5)."""


@dataclass(frozen=True)
class Dictionary:
    """A dictionary: its id, which each frame that is compressed with it names, and itself."""

    id: int
    data: bytes = field(repr=False)

    def compressor(self) -> zstandard.ZstdCompressor:
        """What compresses each frame by itself; for one thread."""
        made = zstandard.ZstdCompressionDict(self.data)
        return zstandard.ZstdCompressor(dict_data=made)


class Dictionaries:
    """The dictionary of a host, made when it is first asked for. Thread-safe."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._generation = 0

    @property
    def current(self) -> Dictionary:
        """The one in use."""
        with self._lock:
            return _train(self._host, self._generation)

    def rotate(self) -> None:
        """Replace it; open connections keep theirs."""
        with self._lock:
            self._generation += 1

    def require(self, wanted: int) -> Dictionary:
        """The dictionary with this id.

        Raises:
            XrpcError: 400, it is unknown or was replaced.
        """
        current = self.current
        if wanted != current.id:
            raise XrpcError(
                400,
                "UnknownZstdDictionary",
                f"unknown zstd dictionary id {wanted}; current dictionary id is {current.id} "
                "(fetch it via getZstdDictionary and reconnect)",
            )
        return current

    def find(self, wanted: str | None) -> Dictionary:
        """The dictionary to download: the one with this id, or without an id the current one.

        Raises:
            XrpcError: 400, it is no id; 404, there is none with this id.
        """
        current = self.current
        if wanted is not None and not (wanted.isascii() and wanted.isdigit()):
            raise XrpcError(400, "InvalidRequest", "id must be an integer zstd dictionary ID")
        if wanted is not None and int(wanted) != current.id:
            raise XrpcError(
                404,
                "DictionaryNotFound",
                f"no dictionary with id {wanted}; current dictionary id is {current.id}",
            )
        return current


@lru_cache(maxsize=16)
def _train(host: str, generation: int) -> Dictionary:
    """A dictionary for posts with images: the same for the same arguments."""
    name = f"{host} {generation}"
    number = _FIRST_FREE_ID + zlib.crc32(name.encode()) % 2**30
    samples: list[bytes | bytearray | memoryview[int]] = [
        _sample(f"{name} {index}", index) for index in range(_SAMPLES)
    ]
    made = zstandard.train_dictionary(_SIZE, samples, dict_id=number)
    return Dictionary(number, made.as_bytes())


def _sample(name: str, index: int) -> bytes:
    time_us = SEQUENCE_EPOCH_US + index * 1_000_003
    image = blob(record_cid({"image": name}), "image/jpeg", 10_000 + index)
    record = post(f"Post {name}", "2026-01-02T03:04:05.678Z", embed_of("images", [image]))
    commit = {
        "rev": tid(time_us),
        "operation": "create",
        "collection": POST,
        "rkey": tid(time_us),
        "record": record,
        "cid": record_cid(record),
    }
    event = {"did": plc_did(name), "kind": "commit", "commit": commit}
    return encode(LogEntry(time_us, event), Numbering()) or b""
