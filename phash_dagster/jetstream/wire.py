"""What differs between Jetstream's two wires, behind one interface.

A wire says how to ask for events, how to read a frame, and what a refusal means. It does no I/O.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from phash_dagster.jetstream.events import Event, Source

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""Far above any event: a record has up to 1 MiB by the protocol, and escaping makes six bytes of
JSON out of one. A larger frame is an attack or a fault; hosts are asked to leave it out."""

FIRST_TIME_CURSOR: Final = 10**15
"""Cursors from here up are unix microseconds, those below are sequence numbers."""


class Notice(NamedTuple):
    """A frame that is about the stream and no event of it.

    An `error` is the last frame of a connection.
    """

    kind: Literal["info", "error", "unknown"]
    name: str


class FrameTooLargeError(ValueError):
    """A frame has more than `MAX_FRAME_BYTES` when decompressed."""


class RefusedError(Exception):
    """A host did not let us read.

    No `OSError`, which aiohttp would take for one of its own when raised under it.

    Attributes:
        reason: Why, without the address: there may be a password or a token in it.
        name: The name of the error, as the host gave it in its answer; empty if it gave none.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.name = name


Decode = Callable[[bytes, bool], Event | Notice]
"""Reads one frame; the second argument is whether it came as a binary message.

It raises `MalformedFrameError` or `FrameTooLargeError`. A malformed *record* inside a well-formed
event is an anomaly of the event, not an error; so is a DID, record key or CID that is none, and
such an event leaves no row.
"""


class Wire(Protocol):
    """One of the two wires."""

    @property
    def offers_deflate(self) -> bool:
        """Whether permessage-deflate is offered when connecting."""

    @property
    def subprotocol(self) -> str | None:
        """The WebSocket subprotocol to offer."""

    @property
    def always_numbered(self) -> bool:
        """Whether every event carries a sequence number."""

    def query(self, wanted: frozenset[str], start: int | None) -> list[tuple[str, str]]:
        """The query that asks for events of `wanted` from `start` on; None is the live tip."""

    def decoder(self, source: Source) -> Decode:
        """How to read the frames of a connection."""


class _ErrorAnswer(msgspec.Struct):
    error: str = ""


_decode_answer: Final = msgspec.json.Decoder(_ErrorAnswer).decode


def refusal(status: int, body: bytes) -> RefusedError:
    """What an answer other than 101 to the handshake means.

    Errors are XRPC's: a JSON object whose field `error` is the name.
    """
    try:
        name = _decode_answer(body).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        name = ""
    if not (name.isascii() and name.isalnum() and len(name) <= 100):
        name = ""
    return RefusedError(f"it answered HTTP {status}{f' {name}' if name else ''}", name)
