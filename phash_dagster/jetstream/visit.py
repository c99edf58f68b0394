"""What is taken from one connection."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from phash_dagster.jetstream.batch import Batch
from phash_dagster.jetstream.connection import Ending
from phash_dagster.jetstream.cursor import REORDER_US, digest
from phash_dagster.jetstream.events import Event, MalformedFrameError, Source
from phash_dagster.jetstream.position import Position
from phash_dagster.jetstream.start import AnotherStart, How, Start, certain_start, judge
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, FrameTooLargeError, Notice, Wire


@dataclass(frozen=True)
class Order:
    """What a connection was opened for.

    Attributes:
        host: The host asked, `hostname[:port]`.
        start: Where it was asked to start.
        wanted: Record collections asked for.
        comparable: Whether these are the same as before.
        max_rows: Rows of the batch after which no more is taken.
        final: Whether there is no other start to try: what comes is taken.
    """

    host: str
    start: Start
    wanted: frozenset[str]
    comparable: bool
    max_rows: int
    final: bool


class Visit:
    """Takes frames of one connection into a batch.

    Attributes:
        another: Where to ask the host again, if it did not start where it was asked to.
        broken: The name of the error by which the host ended the stream; empty: none.
        unreadable: Whether frames came, and no event could be made out of any.
        last_frame: When the last frame came, by the monotonic clock.
        last_event: When the last event was taken; None: none was.
    """

    def __init__(
        self,
        batch: Batch,
        order: Order,
        wire: Wire,
        *,
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self.another: Start | None = None
        self.broken = ""
        self.unreadable = False
        self.last_frame = monotonic()
        self.last_event: float | None = None
        self.position = Position(batch.start, order.host, now_us=now_us())
        self._batch = batch
        self._order = order
        self._start = order.start
        self._now_us = now_us
        self._monotonic = monotonic
        self._decode = wire.decoder(Source(order.host, order.wanted))
        self._judged = False
        self._says_outdated = wire.always_numbered
        self._repeats = order.start.same_host
        self._seen = frozenset(batch.start.seen)

    def take(self, frame: bytes, binary: bool) -> bool:
        """Take one frame; returns whether more are wanted."""
        self.last_frame = self._monotonic()
        try:
            event = self._decode(frame, binary)
        except MalformedFrameError as error:
            self.unreadable = not self._judged
            self._batch.malformed += 1
            self._batch.note("malformed_frame", str(error))
            return True
        except FrameTooLargeError as error:
            self._note_oversized(str(error))
            return True
        if isinstance(event, Notice):
            return self._heed(event)
        if not self._judged and not self._judge(event):
            return False
        if self._repeats and self._is_repeated(event):
            return True
        self.last_event = self.last_frame
        self.position.take(event)
        batch = self._batch
        batch.events += 1
        batch.posts += event.is_post
        for name in event.anomalies:
            batch.note(name, event.sample)
        if event.rows:
            batch.rows.extend(event.rows)
            return len(batch.rows) < self._order.max_rows
        return True

    def end(self, ending: Ending) -> None:
        """Note what was wrong with how the connection ended."""
        if ending.oversized:
            self._note_oversized(ending.reason)

    def _is_repeated(self, event: Event) -> bool:
        """Whether the event was taken before the cursor was stored."""
        cursor = self._batch.start
        if self._start.how is How.NUMBER:
            repeated = event.seq is not None and event.seq <= (cursor.seq or 0)
            self._repeats = repeated
            return repeated
        if event.seq is not None or event.time_us > cursor.time_us + REORDER_US:
            self._repeats = False
            return False
        if digest(event.key) not in self._seen:
            return False
        self.position.remember(event)
        return True

    def _judge(self, event: Event) -> bool:
        batch, start = self._batch, self._start
        try:
            gap = judge(
                start,
                batch.start,
                event,
                comparable=self._order.comparable,
                now_us=self._now_us(),
            )
        except AnotherStart as other:
            if not self._order.final:
                self.another = other.start
                return False
            gap = None
        self._judged, self.unreadable = True, False
        if gap is None:
            return True
        reason = gap.reason or self._unsaid()
        if reason:
            batch.gaps.append(replace(gap, host=self._order.host, reason=reason))
        return True

    def _unsaid(self) -> str:
        """What a late start is called that the host did not announce."""
        if not self._start.same_host:
            return "starts_later"
        # Version 2 says when it has less than it was asked for: this event alone is gone.
        return "" if self._says_outdated else "clamped"

    def _heed(self, notice: Notice) -> bool:
        if notice.kind == "unknown":
            return True  # newer hosts may say more
        if notice.name == "OutdatedCursor" and notice.kind == "info":
            if not self._start.reason:
                self._start = replace(self._start, reason=notice.name)
            return True
        if notice.name in ("FutureCursor", "CursorTooOld") and self._start.how is How.NUMBER:
            self.another = certain_start(
                self._batch.start,
                same_host=True,
                comparable=self._order.comparable,
                now_us=self._now_us(),
                reason=notice.name if notice.name == "CursorTooOld" else "",
            )
            return False
        if notice.kind == "info":
            return True
        self.broken = notice.name[:100] or "unnamed"
        self._batch.note(f"stream_error:{self.broken}", self._place())
        return False

    def _note_oversized(self, reason: str) -> None:
        self._batch.note(
            "oversized_frame", f"over {MAX_FRAME_BYTES} bytes, {self._place()} ({reason})"
        )

    def _place(self) -> str:
        position = self.position
        return (
            f"from {self._order.host} after time_us {position.time_us}, "
            f"sequence number {position.seq}"
        )
