"""Follows the position while events are taken, and makes the next cursor of it."""

from collections import deque
from dataclasses import replace
from statistics import median_low
from typing import Final

from phash_dagster.jetstream.cursor import REORDER_US, Cursor, digest
from phash_dagster.jetstream.events import Event
from phash_dagster.jetstream.start import LONGEST_REWIND_US
from phash_dagster.jetstream.syntax import tid_microseconds

CLOCK_TOLERANCE_US: Final = 60_000_000
"""Microseconds an event may lie in the future before its time is not believed."""

MAX_SEEN: Final = 2000
"""Digests kept in the cursor; more events than this in `REORDER_US` fold later on."""

_LAST: Final = 31
_FEWEST_REVISIONS: Final = 5


class Position:
    """The position behind the last event taken from one host."""

    def __init__(self, cursor: Cursor, host: str, *, now_us: int) -> None:
        self.start = cursor
        self.host = host
        self.moved = False
        self.newest_us = -1
        self.time_us = cursor.time_us
        self.seq = cursor.seq
        self._believed_us = now_us + CLOCK_TOLERANCE_US
        self._recent: deque[tuple[int, str]] = deque()
        self._last: deque[Event] = deque(maxlen=_LAST)

    def take(self, event: Event) -> None:
        """Move behind an event.

        Without sequence numbers an event from the future does not move it: a host takes a cursor
        in the future for the live tip, and everything up to then would be lost. Nor does one that
        is a little late; one that is very late comes from a clock that stepped back.
        """
        time_us = event.time_us
        if self.newest_us < time_us <= self._believed_us:
            self.newest_us = time_us
        self._last.append(event)
        if event.seq is not None:
            self.time_us, self.seq, self.moved = time_us, event.seq, True
            return
        self.remember(event)
        if time_us > self._believed_us and not self._believes_a_clock_ahead():
            return
        late = self._continues and self.time_us - REORDER_US <= time_us < self.time_us
        if not late:
            self.time_us = time_us
        self.seq, self.moved = None, True

    def remember(self, event: Event) -> None:
        """Keep in mind an event without a sequence number, so that it is skipped next time."""
        recent = self._recent
        recent.append((event.time_us, event.key))
        while recent and recent[0][0] < self.time_us - REORDER_US:
            recent.popleft()

    def _believes_a_clock_ahead(self) -> bool:
        """Where no event is of the present, it is the host's clock that is ahead, or ours behind.

        Not to believe any of them would leave the position where it is for ever.
        """
        earliest_us = min(event.time_us for event in self._last)
        if len(self._last) < _LAST or earliest_us <= self._believed_us:
            return False
        self._believed_us = earliest_us + CLOCK_TOLERANCE_US
        return self._last[-1].time_us <= self._believed_us

    @property
    def _continues(self) -> bool:
        return self.moved or self.host == self.start.host

    def cursor(self, taken_us: int) -> Cursor:
        """The cursor to go on from; the start itself if nothing moved it.

        Args:
            taken_us: Our clock when the last event was taken.
        """
        if not self.moved:
            return self.start
        return replace(
            self.start,
            time_us=self.time_us,
            host=self.host,
            seq=self.seq,
            seen=self._seen(),
            taken_us=taken_us,
            lag_us=self._lag_us(),
        )

    def _seen(self) -> tuple[str, ...]:
        if self.seq is not None:
            return ()
        earliest_us = self.time_us - REORDER_US
        keys = [key for time_us, key in self._recent if time_us >= earliest_us]
        return tuple(dict.fromkeys(map(digest, keys[-MAX_SEEN:])))

    def _lag_us(self) -> int:
        """The median lag of the last commits behind their revisions, or what was known before.

        Revisions are times that strangers write; a few wrong ones do not move the median.
        """
        lags = [
            event.time_us - made_us
            for event in self._last
            if (made_us := tid_microseconds(event.rev)) is not None
        ]
        if len(lags) < _FEWEST_REVISIONS:
            return self.start.lag_us if self.host == self.start.host else 0
        return min(max(median_low(lags), 0), LONGEST_REWIND_US)
