"""The position in the stream, as the small versioned document that a sensor's cursor holds."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec

from phash_dagster.jetstream.events import Event

FAIL_OVER_MARGIN_US = 10_000_000
"""Microseconds to go back on another host: its clock and delivery order are its own."""

CLOCK_TOLERANCE_US = 60_000_000
"""Microseconds an event may lie in the future before its time is not believed."""


class CursorError(ValueError):
    """The stored cursor is not one this version can read."""


@dataclass(frozen=True)
class Cursor:
    """Where to go on reading.

    Attributes:
        time_us: Time of the last event taken, microseconds since 1970, by its host's clock.
        host: The host it came from, `hostname[:port]`; times and sequence numbers are local to it.
            Empty before the first event.
        seq: That event's sequence number, if the host names one. It is preferred on the same
            host, where times need not be monotonic after an import of old events.
        seen: Keys of the events taken at exactly `time_us`, where there is no sequence number.
            Cursors are inclusive: these come again and are skipped.
        batch: How many batches with rows were read before. Part of the name: where a host's clock
            steps back, batches of different rows start at the same position.
        taken_us: Our clock when that event was taken, microseconds since 1970; 0 is unknown.
        version: Version of this document. Documents without the later fields have their defaults.
    """

    time_us: int
    host: str = ""
    seq: int | None = None
    seen: tuple[str, ...] = ()
    batch: int = 0
    taken_us: int = 0
    version: Literal[1] = 1

    @classmethod
    def at(cls, moment: datetime) -> "Cursor":
        """A cursor that starts at a moment, on whatever host."""
        return cls(time_us=int(moment.timestamp() * 1_000_000))

    @classmethod
    def from_json(cls, text: str) -> "Cursor":
        """Read a stored cursor.

        Raises:
            CursorError: It is not a cursor document of this version.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CursorError(
                f"the stored Jetstream cursor cannot be read ({error}): {text[:200]!r}. "
                "Reset the cursor of jetstream_sensor to start at the live tip."
            ) from None

    def to_json(self) -> str:
        """The document to store."""
        return msgspec.json.encode(asdict(self)).decode()

    @property
    def name(self) -> str:
        """A file-system-safe name of this position; the batch that starts here carries it.

        It is the same whenever the batch is read again, and no other batch has it.
        """
        return f"{self.time_us}-{self.seq or 0}-{len(self.seen)}-{self.batch}"

    def start_on(self, host: str) -> int:
        """The `cursor` parameter to send to `host`: a sequence number or unix microseconds.

        On another host it lies the fail-over margin before the event, or before the moment of its
        taking if that is earlier: the clock of the host left behind may run ahead.
        """
        if host == self.host and self.seq is not None:
            return self.seq
        if host == self.host or not self.host:
            return self.time_us
        happened_us = min(self.time_us, self.taken_us) if self.taken_us else self.time_us
        return happened_us - FAIL_OVER_MARGIN_US

    def has_seen(self, event: Event, host: str) -> bool:
        """Whether this event was taken before the cursor was stored.

        A later event with a lower sequence number was not: its host was rebuilt and counts anew.
        """
        if host != self.host:
            return False
        if self.seq is not None and event.seq is not None:
            return event.seq <= self.seq and event.time_us <= self.time_us
        return event.time_us == self.time_us and event.key in self.seen

    def advanced(self, event: Event, host: str, *, now_us: int) -> "Cursor":
        """The cursor after taking `event` at `now_us`, microseconds since 1970 by our clock.

        Without sequence numbers an event from the future does not move it: a host takes a cursor
        in the future as the live tip, and everything up to then would be lost.
        """
        taken = replace(
            self, time_us=event.time_us, host=host, seq=event.seq, seen=(), taken_us=now_us
        )
        if event.seq is not None:
            return taken
        if event.time_us > now_us + CLOCK_TOLERANCE_US:
            return self
        if host == self.host and event.time_us < self.time_us:
            return self
        if host == self.host and event.time_us == self.time_us:
            return replace(self, seen=(*self.seen, event.key))
        return replace(taken, seen=(event.key,))
