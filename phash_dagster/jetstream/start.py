"""Where a connection is asked to start, and whether it did.

Cursors are inclusive: on the same host the event at the position comes first again. If the first
event is another one, the host no longer had it, counts anew, or took the cursor for one from the
future and started at its live tip; each would lose events without a word.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from phash_dagster.jetstream.batch import StreamGap
from phash_dagster.jetstream.cursor import FAIL_OVER_MARGIN_US, REORDER_US, Cursor
from phash_dagster.jetstream.events import Event

SAME_CLOCK_US: Final = 1_000_000
"""Microseconds by which times on one host may differ and still be taken for the same."""

FUTURE_US: Final = 5_000_000
"""Microseconds a position may be ahead of our clock before it is not asked for."""

LONGEST_REWIND_US: Final = 6 * 3_600_000_000
"""Microseconds that a doubtful position is rewound at most."""


class How(Enum):
    """What a start goes by."""

    FRESH = auto()
    """A moment; no event was taken yet."""
    NUMBER = auto()
    """The sequence number of the last event, on its own host."""
    TIME = auto()
    """The time of the last event, on its own host."""
    CERTAIN = auto()
    """A time before the last event happened on any clock: another host, or a doubtful position."""


@dataclass(frozen=True)
class Start:
    """Where a connection is asked to start.

    Attributes:
        at: The `cursor` parameter: a sequence number or unix microseconds.
        how: What it goes by.
        same_host: Whether the host is that of the position.
        latest_us: The first event must not be later than this; None: nothing can be said.
        reason: Why the host is known to start too late; empty: it did not say so.
    """

    at: int
    how: How
    same_host: bool
    latest_us: int | None = None
    reason: str = ""


def first_start(cursor: Cursor, host: str, *, comparable: bool, now_us: int) -> Start:
    """How to ask `host` first.

    Args:
        cursor: The position.
        host: The host to ask.
        comparable: Whether the same collections are asked for as before; if not, the event at the
            position may be one that the new filter hides.
        now_us: Our clock, microseconds since 1970.
    """
    if not cursor.host:
        return Start(min(cursor.time_us, now_us), How.FRESH, same_host=False)
    if host != cursor.host:
        return certain_start(cursor, same_host=False, comparable=comparable, now_us=now_us)
    if cursor.seq is not None:
        return Start(cursor.seq, How.NUMBER, same_host=True)
    if cursor.time_us > now_us + FUTURE_US:
        return certain_start(cursor, same_host=True, comparable=comparable, now_us=now_us)
    latest_us = cursor.time_us + SAME_CLOCK_US if comparable else None
    return Start(cursor.time_us - REORDER_US, How.TIME, same_host=True, latest_us=latest_us)


def certain_start(
    cursor: Cursor,
    *,
    same_host: bool,
    comparable: bool,
    now_us: int,
    reason: str = "",
    behind_us: int = 0,
) -> Start:
    """How to ask a host on which the position itself says nothing.

    Args:
        cursor: The position.
        same_host: Whether the host is that of the position.
        comparable: As for `first_start`.
        now_us: Our clock, microseconds since 1970.
        reason: Why it is known to start too late.
        behind_us: By how much its clock is behind ours.
    """
    # Our own clock, too, may have been wrong when it noted the taking.
    earliest_us = min(cursor.time_us, now_us) - LONGEST_REWIND_US
    at = max(cursor.happened_us, earliest_us) - min(behind_us, LONGEST_REWIND_US)
    at -= FAIL_OVER_MARGIN_US
    tolerance_us = SAME_CLOCK_US if same_host else FAIL_OVER_MARGIN_US
    latest_us = cursor.time_us + tolerance_us if comparable and cursor.host else None
    return Start(max(at, 0), How.CERTAIN, same_host, latest_us, reason)


class AnotherStart(Exception):  # noqa: N818 - a turn in the conversation, no error
    """The host did not start where it was asked to; ask again by `start`."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.start = start


def judge(
    start: Start, cursor: Cursor, event: Event, *, comparable: bool, now_us: int
) -> StreamGap | None:
    """Judge the first event of a connection.

    Returns:
        What is missing before it, without host and, if the host said nothing, without a reason.

    Raises:
        AnotherStart: The position means something else on this host.
    """
    if start.how is How.NUMBER:
        if _is_at_number(cursor, event, comparable=comparable):
            return None
        raise AnotherStart(
            certain_start(cursor, same_host=True, comparable=comparable, now_us=now_us)
        )
    if event.time_us < start.at - SAME_CLOCK_US:
        # Nothing before the start was asked for: this is the live tip of a clock that is behind.
        raise AnotherStart(_start_behind(start, cursor, event, comparable, now_us))
    latest_us = start.latest_us
    if start.reason and cursor.host:
        latest_us = cursor.time_us if start.same_host else cursor.happened_us
    if latest_us is None or event.time_us <= latest_us:
        return None
    return StreamGap(min(cursor.time_us, event.time_us), event.time_us, "", start.reason)


def _is_at_number(cursor: Cursor, event: Event, *, comparable: bool) -> bool:
    """Whether an event is the one with the cursor's sequence number, or comes right after it."""
    if event.seq is None or cursor.seq is None or event.seq < cursor.seq:
        return False  # the host counts anew
    difference_us = event.time_us - cursor.time_us
    if event.seq == cursor.seq:
        return abs(difference_us) <= SAME_CLOCK_US
    if difference_us < -SAME_CLOCK_US:
        return False
    return difference_us <= SAME_CLOCK_US or not comparable


def _start_behind(
    start: Start, cursor: Cursor, event: Event, comparable: bool, now_us: int
) -> Start:
    behind_us = max(now_us - event.time_us, 0)
    if start.how is How.FRESH:
        return replace(start, at=max(start.at - min(behind_us, LONGEST_REWIND_US), 0))
    return certain_start(
        cursor,
        same_host=start.same_host,
        comparable=comparable,
        now_us=now_us,
        reason=start.reason,
        behind_us=behind_us,
    )
