"""The position in the stream, as the small versioned document that a sensor's cursor holds."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal

import msgspec

FAIL_OVER_MARGIN_US: Final = 60_000_000
"""Microseconds to go back on another host: its clock and delivery order are its own. What comes
twice folds; a minute of the network is some thousand rows."""

REORDER_US: Final = 1_000_000
"""Microseconds by which a host without sequence numbers may deliver events out of order. Measured
on a production host: 33 ms."""


class CursorError(ValueError):
    """The stored cursor is not one this version can read."""


@dataclass(frozen=True)
class HostState:
    """What is remembered of a host that could not be read from.

    Attributes:
        failures: How often in a row.
        retry_at_us: Not asked again before, our clock, microseconds since 1970.
        reason: Why, the last time.
        no_dictionary_until_us: Its zstd dictionary could not be had and is not asked for before.
    """

    failures: int = 0
    retry_at_us: int = 0
    reason: str = ""
    no_dictionary_until_us: int = 0


@dataclass(frozen=True)
class Cursor:
    """Where to go on reading.

    Attributes:
        time_us: Time of the last event taken, microseconds since 1970, by its host's clock.
        host: The host it came from, `hostname[:port]`; times and sequence numbers are local to it.
            Empty before the first event.
        seq: That event's sequence number, if the host names one. It is preferred on the same
            host, where times need not be monotonic.
        seen: Digests of the keys of events taken in the last `REORDER_US`, where there is no
            sequence number: reading starts that much earlier, and these are skipped.
        batch: How many batches with anything to record were read before. Part of the name: where
            a host's clock steps back, different batches start at the same position.
        taken_us: Our clock when that event was taken, microseconds since 1970; 0 is unknown.
        lag_us: By how much the host's times are later than those of the commits they are about:
            its clock runs ahead, or it is behind itself and stamps old events with the present.
        subscribed: The collections that were asked for; empty is unknown.
        silent_us: Microseconds of reading without a new event.
        hosts: What is remembered of hosts that failed, by host.
        version: Version of this document. Version 1 had no fields after `taken_us`, and whole
            keys in `seen`.
    """

    time_us: int
    host: str = ""
    seq: int | None = None
    seen: tuple[str, ...] = ()
    batch: int = 0
    taken_us: int = 0
    lag_us: int = 0
    subscribed: tuple[str, ...] = ()
    silent_us: int = 0
    hosts: dict[str, HostState] = field(default_factory=dict)
    version: Literal[1, 2] = 2

    @classmethod
    def at(cls, moment: datetime) -> "Cursor":
        """A cursor that starts at a moment, on whatever host."""
        return cls(time_us=int(moment.timestamp() * 1_000_000))

    @classmethod
    def from_json(cls, text: str) -> "Cursor":
        """Read a stored cursor.

        Raises:
            CursorError: It is not a cursor document of a version known here.
        """
        try:
            version = msgspec.json.decode(text, type=_Version).version
            cursor = msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CursorError(
                f"the stored Jetstream cursor cannot be read ({error}): {text[:200]!r}. "
                "Reset the cursor of jetstream_sensor to start at the live tip."
            ) from None
        if version == 1:
            return replace(cursor, seen=tuple(map(digest, cursor.seen)), version=2)
        return cursor

    def to_json(self) -> str:
        """The document to store."""
        return msgspec.json.encode(asdict(self)).decode()

    @property
    def name(self) -> str:
        """A file-system-safe name of this position; the batch that starts here carries it.

        It is the same whenever the batch is read again, and no other batch has it.
        """
        return f"{self.time_us}-{self.seq or 0}-{len(self.seen)}-{self.batch}"

    @property
    def happened_us(self) -> int:
        """When its event happened at the latest, whatever the clock of its host.

        Not later than we took it, and not later than the commits around it were made.
        """
        stamped_us = self.time_us - self.lag_us
        return min(stamped_us, self.taken_us) if self.taken_us else stamped_us


class _Version(msgspec.Struct):
    version: Literal[1, 2]


def digest(key: str) -> str:
    """A short stand-in for an event's key; 64 bits."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
