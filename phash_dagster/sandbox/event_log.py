"""The stream of a network's events, in the order of their times, for any number of readers."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from phash_dagster.clock import Clock
from phash_dagster.sandbox.identifiers import microseconds


@dataclass(frozen=True)
class LogEntry:
    """One event, or one frame that is no event.

    Attributes:
        time_us: When it was witnessed, in unix microseconds; no two entries share a time.
        event: The event without its time, or None for a raw frame.
        frame: A raw frame, sent as it is to everyone: text, or bytes.
        shown_us: The time that it is shown with, where an operator imported another than the one
            at which it was witnessed.
    """

    time_us: int
    event: Mapping[str, Any] | None = None
    frame: str | bytes | None = None
    shown_us: int | None = None

    @property
    def did(self) -> str | None:
        """The account that the event is about."""
        return None if self.event is None else self.event.get("did")

    @property
    def kind(self) -> str | None:
        """`commit`, `identity`, `account` or `sync`; None for a raw frame."""
        return None if self.event is None else self.event.get("kind")

    @property
    def collection(self) -> str | None:
        """The collection of a commit; None for other kinds, which no filter holds back."""
        commit = None if self.event is None else self.event.get("commit")
        return commit["collection"] if isinstance(commit, Mapping) else None


class EventLog:
    """Events sorted by time. Safe to write and read from several threads.

    An event that is given a time in the past takes its place there: readers who are past it never
    see it, readers who start earlier do.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._times: list[int] = []
        self._entries: list[LogEntry] = []
        self._listeners: set[Callable[[], object]] = set()
        self._held = 0
        self._forgotten_us = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    @property
    def newest_us(self) -> int:
        """Time of the last event, or 0."""
        with self._lock:
            return self._times[-1] if self._times else 0

    @property
    def now_us(self) -> int:
        """The time now, by the clock that stamps events."""
        return microseconds(self._clock())

    @property
    def forgotten_us(self) -> int:
        """The time before which events were dropped, or 0."""
        with self._lock:
            return self._forgotten_us

    def has_before(self, time_us: int) -> bool:
        """Whether there are, or were, events older than that."""
        with self._lock:
            return bool(self._forgotten_us) or bool(self._times and self._times[0] < time_us)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody is waiting for news."""
        with self._lock:
            return bool(self._listeners)

    def append(
        self, event: Mapping[str, Any], time_us: int | None = None, *, shown_us: int | None = None
    ) -> LogEntry:
        """Add an event, after all others unless it is given a time."""
        with self._lock:
            return self._insert(LogEntry(self._time(time_us), event, shown_us=shown_us))

    def append_frame(self, frame: str | bytes) -> LogEntry:
        """Add a frame as it is, be it JSON or not."""
        with self._lock:
            return self._insert(LogEntry(self._time(None), frame=frame))

    def since(self, time_us: int, limit: int) -> list[LogEntry]:
        """The first `limit` entries at or after a time."""
        with self._lock:
            start = bisect_left(self._times, time_us)
            return self._entries[start : start + limit]

    def forget_before(self, time_us: int) -> None:
        """Drop what is older, as a host does with what leaves its window."""
        with self._lock:
            end = bisect_left(self._times, time_us)
            if end:
                self._forgotten_us = max(self._forgotten_us, time_us)
            del self._times[:end], self._entries[:end]

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener`, from whatever thread, whenever there is something new.

        Returns:
            A function that ends it.
        """
        with self._lock:
            self._listeners.add(listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.discard(listener)

        return unsubscribe

    def wake(self) -> None:
        """Call every listener."""
        with self._lock:
            if self._held:
                return
            for listener in self._listeners:
                listener()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold readers back, so that they get everything that is added inside at once."""
        with self._lock:
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
                self.wake()

    def _time(self, wanted_us: int | None) -> int:
        """The time for a new entry, if no other has it."""
        return max(self.now_us, self.newest_us + 1) if wanted_us is None else wanted_us

    def _insert(self, entry: LogEntry) -> LogEntry:
        time_us = entry.time_us
        index = bisect_left(self._times, time_us)
        while index < len(self._times) and self._times[index] == time_us:
            time_us += 1
            index += 1
        entry = replace(entry, time_us=time_us)
        self._times.insert(index, time_us)
        self._entries.insert(index, entry)
        self.wake()
        return entry
