"""The zstd dictionaries of version 2: fetched from the host, kept by their number."""

import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx
import zstandard

from phash_dagster.http import USER_AGENT
from phash_dagster.jetstream.events import MalformedFrameError
from phash_dagster.jetstream.hosts import Endpoint
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, FrameTooLargeError
from phash_dagster.jetstream.wire_v2 import PATH, Decompress, WireV2

DICTIONARY_PATH: Final = "/xrpc/network.bsky.jetstream.getZstdDictionary"
MAX_DICTIONARY_BYTES: Final = 1024 * 1024
"""Real ones have about 64 KiB."""

# It logs the address of every request, and in these there may be a password or a token.
logging.getLogger("httpx").setLevel(logging.WARNING)

_CHUNK: Final = 64 * 1024
_SUFFIX: Final = ".zstd-dictionary"


class NoDictionaryError(ConnectionError):
    """The dictionary could not be had; frames are read uncompressed."""


@dataclass(frozen=True)
class Dictionary:
    """A zstd dictionary (RFC 8878, section 5) and its number."""

    number: int
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> "Dictionary":
        """Read the number out of a dictionary's header.

        Raises:
            NoDictionaryError: It is no dictionary, or has no number.
        """
        try:
            number = zstandard.ZstdCompressionDict(data).dict_id()
        except (zstandard.ZstdError, ValueError):
            number = 0
        if number <= 0:
            raise NoDictionaryError("what the host served is no zstd dictionary with a number")
        return cls(number, data)

    def wire(self) -> WireV2:
        """The second wire, compressed with this dictionary."""
        return WireV2(self.number, decompressor(self.data))


class Dictionaries:
    """A folder with one file for each host and number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cached(self, host: str) -> Dictionary | None:
        """The dictionary that was last fetched from a host, if there is one."""
        for path in self._files(host):
            try:
                return Dictionary.of(path.read_bytes())
            except (OSError, NoDictionaryError):
                continue  # fetched again and overwritten
        return None

    def fetch(self, endpoint: Endpoint, seconds: float) -> Dictionary:
        """Fetch the dictionary a host uses now, and keep it instead of those before.

        Raises:
            NoDictionaryError: It could not be had.
        """
        dictionary = Dictionary.of(_download(endpoint, seconds))
        try:
            self._keep(endpoint.host, dictionary)
        except OSError:
            # Fetched again next time: a full disk is no reason to stop reading.
            return dictionary
        return dictionary

    def _keep(self, host: str, dictionary: Dictionary) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{_file_name(host)}-{dictionary.number}{_SUFFIX}"
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            file.write(dictionary.data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        for other in self._files(host):
            if other != path:
                other.unlink(missing_ok=True)

    def _files(self, host: str) -> Iterator[Path]:
        name = re.compile(rf"{re.escape(_file_name(host))}-[0-9]+{re.escape(_SUFFIX)}")
        return (path for path in self._folder.glob(f"*{_SUFFIX}") if name.fullmatch(path.name))


def _file_name(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", host)[:200]


def _download(endpoint: Endpoint, seconds: float) -> bytes:
    address = urlsplit(endpoint.url)
    scheme = {"ws": "http", "wss": "https"}.get(address.scheme, address.scheme)
    path = address.path.rstrip("/").removesuffix(PATH) + DICTIONARY_PATH
    url = urlunsplit((scheme, address.netloc, path, address.query, ""))
    deadline = time.monotonic() + seconds
    found = bytearray()
    try:
        with (
            httpx.Client(
                headers={"user-agent": USER_AGENT},
                timeout=seconds / 2,  # for each of connecting and waiting
                trust_env=False,
                follow_redirects=False,
            ) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise NoDictionaryError(f"the host answered HTTP {response.status_code}")
            for chunk in response.iter_bytes(_CHUNK):
                found += chunk
                if len(found) > MAX_DICTIONARY_BYTES or time.monotonic() > deadline:
                    raise NoDictionaryError("the dictionary is too large or comes too slowly")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The text of the error could repeat the address.
        raise NoDictionaryError(type(error).__name__) from None
    return bytes(found)


def decompressor(data: bytes) -> Decompress:
    """How to read frames compressed with a dictionary, none above `MAX_FRAME_BYTES`."""
    context = zstandard.ZstdDecompressor(
        dict_data=zstandard.ZstdCompressionDict(data), max_window_size=MAX_FRAME_BYTES
    )

    def decompress(frame: bytes) -> bytes:
        try:
            size = zstandard.frame_content_size(frame)
            if size > MAX_FRAME_BYTES:
                raise FrameTooLargeError(f"{size} bytes when decompressed")
            # The size a frame names is trusted no further: more than it is an error.
            return context.decompress(frame) if size >= 0 else _bounded(context, frame)
        except zstandard.ZstdError as error:
            raise MalformedFrameError(f"a frame that zstd cannot read ({error})") from None

    return decompress


def _bounded(context: zstandard.ZstdDecompressor, frame: bytes) -> bytes:
    found = bytearray()
    with context.stream_reader(frame) as reader:
        while chunk := reader.read(_CHUNK):
            found += chunk
            if len(found) > MAX_FRAME_BYTES:
                raise FrameTooLargeError("it has no end when decompressed")
    return bytes(found)
