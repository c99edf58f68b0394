"""Reads one micro-batch from Jetstream: connect at the cursor, take events until time is up."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from phash_dagster.clock import Clock, utc_now
from phash_dagster.jetstream.cursor import Cursor
from phash_dagster.jetstream.events import MalformedFrameError, decode_event
from phash_dagster.warehouse import ImagePost

OPEN_TIMEOUT_SECONDS = 5.0
CONNECT_SECONDS = 20.0
"""What trying all hosts may take together; of many hosts each is given less time to open."""

MAX_FRAME_BYTES = 32 * 1024 * 1024
"""Far above any event: a record has up to 1 MiB by the protocol, and escaping makes six bytes of
JSON out of one. A larger frame is an attack or a fault; hosts are asked to leave it out."""


class JetstreamUnavailableError(ConnectionError):
    """No configured Jetstream host could be reached; the text names each host with its reason.

    It never holds an address: there may be a password or a token in it.
    """


@dataclass(frozen=True)
class BatchLimits:
    """When a batch ends: so many seconds after connecting, or at so many rows of `image_posts`."""

    seconds: float
    max_rows: int


@dataclass
class Batch:
    """What one reading took.

    Attributes:
        start: The cursor it was read from; names its files.
        cursor: Where the next reading starts.
        host: The host that served it, `hostname[:port]`.
        rows: Rows of `image_posts`, in the order of arrival.
        events: Events taken, of every kind.
        posts: Events that are records of wanted collections.
        malformed: Frames that are no events.
        anomalies: Counts by name of what could not be understood or taken.
        samples: For each anomaly the key of one event, the beginning of one frame, or a position.
    """

    start: Cursor
    cursor: Cursor
    host: str
    rows: list[ImagePost] = field(default_factory=list)
    events: int = 0
    posts: int = 0
    malformed: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)

    def note(self, anomaly: str, sample: str) -> None:
        """Count an anomaly; its first sample is kept."""
        self.anomalies[anomaly] += 1
        self.samples.setdefault(anomaly, sample)


def read_batch(
    urls: Sequence[str],
    cursor: Cursor,
    *,
    wanted: frozenset[str],
    limits: BatchLimits,
    now: Clock = utc_now,
) -> Batch:
    """Read from the first reachable host, starting with the one that the cursor belongs to.

    A connection that breaks midway ends the batch early; what arrived is kept. A frame above
    `MAX_FRAME_BYTES` breaks it too and cannot be passed over: it is the anomaly `oversized_frame`.

    Args:
        urls: Jetstream addresses, `wss://host/subscribe`, the preferred one first.
        cursor: Where to start.
        wanted: Record collections to subscribe to.
        limits: When to stop.
        now: The clock; times of events beyond it are not believed.

    Raises:
        JetstreamUnavailableError: No host accepted the connection.
    """
    host, connection = _connect(urls, cursor, wanted)
    # Only now: hosts that hang must not use up the time to read from the one that answers.
    deadline = time.monotonic() + limits.seconds
    batch = Batch(start=cursor, cursor=cursor, host=host)
    with connection:
        for frame in _frames(connection, batch, deadline):
            _take(frame, batch, wanted, now)
            if len(batch.rows) >= limits.max_rows:
                break
    if batch.rows:
        batch.cursor = replace(batch.cursor, batch=cursor.batch + 1)
    return batch


def _take(frame: bytes, batch: Batch, wanted: frozenset[str], now: Clock) -> None:
    try:
        event = decode_event(frame, host=batch.host, wanted=wanted)
    except MalformedFrameError as error:
        batch.malformed += 1
        batch.note("malformed_frame", str(error))
        return
    if batch.start.has_seen(event, batch.host):
        return
    batch.cursor = batch.cursor.advanced(
        event, batch.host, now_us=int(now().timestamp() * 1_000_000)
    )
    batch.events += 1
    batch.posts += event.is_post
    batch.rows.extend(event.rows)
    for name in event.anomalies:
        batch.note(name, event.key)


def _frames(connection: ClientConnection, batch: Batch, deadline: float) -> Iterator[bytes]:
    while (left := deadline - time.monotonic()) > 0:
        try:
            yield connection.recv(timeout=left, decode=False)
        except TimeoutError:
            return
        except ConnectionClosed as error:
            if any(
                end and end.code == CloseCode.MESSAGE_TOO_BIG for end in (error.sent, error.rcvd)
            ):
                batch.note(
                    "oversized_frame",
                    f"over {MAX_FRAME_BYTES} bytes, from {batch.host} after time_us "
                    f"{batch.cursor.time_us}, sequence number {batch.cursor.seq} ({error})",
                )
            return


def _connect(
    urls: Sequence[str], cursor: Cursor, wanted: frozenset[str]
) -> tuple[str, ClientConnection]:
    # Staying on the cursor's host avoids going back by the fail-over margin again and again.
    ordered = sorted(dict.fromkeys(urls), key=lambda url: _host(url) != cursor.host)
    failures = []
    open_timeout = min(OPEN_TIMEOUT_SECONDS, CONNECT_SECONDS / len(ordered)) if ordered else 0
    for url in ordered:
        host = _host(url)
        query = [("wantedCollections", name) for name in sorted(wanted)]
        query.append(("cursor", str(cursor.start_on(host))))
        query.append(("maxMessageSizeBytes", str(MAX_FRAME_BYTES)))
        try:
            connection = connect(
                f"{url}{'&' if '?' in url else '?'}{urlencode(query)}",
                open_timeout=open_timeout,
                close_timeout=1,
                max_size=MAX_FRAME_BYTES,
                proxy=None,
            )
        except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
            failures.append(f"{host}: {_reason(error)}")
        else:
            return host, connection
    raise JetstreamUnavailableError(
        "no Jetstream host could be reached; nothing is lost, reading goes on from the same "
        "position once one answers. Tried " + "; ".join(failures)
    )


def _reason(error: Exception) -> str:
    """Why no connection came about, without texts of the library that repeat the address."""
    if isinstance(error, InvalidStatus):
        return f"it answered HTTP {error.response.status_code}"
    if isinstance(error, OSError):
        return str(error) or type(error).__name__
    if isinstance(error, InvalidURI | ValueError):
        return "its address in JETSTREAM_URL or JETSTREAM_FALLBACK_URLS is not valid"
    return f"the handshake failed ({type(error).__name__})"


def _host(url: str) -> str:
    """`hostname[:port]`: what stands before `@` is a password."""
    return urlsplit(url).netloc.rpartition("@")[2]
