"""Positions in a Jetstream host's stream: its times, its sequence numbers, where a cursor starts.

Each host has its own clock and its own numbers.
"""

from dataclasses import dataclass
from typing import Literal

from phash_dagster.sandbox.event_log import LogEntry

FIRST_TIME_CURSOR = 10**15
"""Cursors from here up are unix microseconds, those below are sequence numbers."""

SEQUENCE_EPOCH_US = 1_577_836_800_000_000
"""2020-01-01. Sequence numbers count microseconds from then, so that they rise with time even
when an event is put in the past; like the real ones they have gaps."""


@dataclass(frozen=True)
class Numbering:
    """How a host counts.

    Attributes:
        clock_skew_us: How far its clock is ahead of the log's, in microseconds.
        sequence_numbers: Whether events of version 1 carry `cursor`, as hosts of version 2 send it.
    """

    clock_skew_us: int = 0
    sequence_numbers: bool = True

    def witnessed_us(self, entry: LogEntry) -> int:
        """When the host witnessed the event, by its own clock."""
        return entry.time_us + self.clock_skew_us

    def shown_us(self, entry: LogEntry) -> int:
        """The time that the host shows for the event."""
        return self.witnessed_us(entry) if entry.shown_us is None else entry.shown_us

    def seq(self, time_us: int) -> int:
        """The sequence number of what is in the log at this time."""
        return time_us - SEQUENCE_EPOCH_US + self.clock_skew_us

    def log_time_us(self, cursor: int) -> int:
        """The time in the log that a cursor means."""
        host_us = cursor if cursor >= FIRST_TIME_CURSOR else cursor + SEQUENCE_EPOCH_US
        return host_us - self.clock_skew_us


@dataclass(frozen=True)
class Window:
    """What a host can serve, in times of the log.

    Attributes:
        first_us: The oldest event.
        next_us: What comes after the newest.
        now_us: The present.
        is_complete: Whether nothing older was ever there.
    """

    first_us: int
    next_us: int
    now_us: int
    is_complete: bool


@dataclass(frozen=True)
class Start:
    """Where a connection starts.

    Attributes:
        time_us: The first time in the log to serve.
        notice: How the start differs from the cursor, if the client should know.
    """

    time_us: int
    notice: Literal["too_old", "outdated", "before_archive", "future"] | None = None


def start_at(cursor: int | None, window: Window, numbering: Numbering) -> Start:
    """Where a cursor starts; it is inclusive.

    None and the future mean the live tip. What is older than the window starts at its beginning.
    """
    if cursor is None:
        return Start(window.next_us)
    wanted = numbering.log_time_us(cursor)
    if cursor >= FIRST_TIME_CURSOR:
        if wanted >= window.first_us or wanted > window.now_us:
            return Start(min(wanted, window.next_us))
        return Start(window.first_us, "before_archive" if window.is_complete else "outdated")
    if wanted > window.next_us:
        return Start(window.next_us, "future")
    if wanted >= window.first_us:
        return Start(wanted)
    return Start(window.first_us, None if window.is_complete else "too_old")
