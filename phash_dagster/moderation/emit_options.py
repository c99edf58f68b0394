"""What sending is told and what it reports. Pure."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from phash_dagster.clock import Clock, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitOptions:
    """How insistently to send."""

    rate_limit_ms: int = 100
    """Least time between the starts of two requests (`RATE_LIMIT_MS`)."""
    attempts: int = 3
    """Requests per row and run (`RETRY_ATTEMPTS`)."""
    first_wait_seconds: float = 0.1
    """Wait before the first retry; it doubles, with as much jitter on top."""
    longest_wait_seconds: float = 5.0
    """Longest wait between retries. A server that asks for more is left alone until next run."""
    give_up_after: int = 3
    """Rows without an answer, one after the other, after which Ozone counts as down."""
    settle_seconds: float = 5.0
    """Least time between an attempt that may have reached Ozone and the next one of that row.
    Ozone's check for duplicates does not see what it is still applying."""
    max_seconds: float | None = None
    """Time after which no further row is taken up; None: however long it takes."""
    look_again_seconds: float = 10.0
    """Time after which to look again which rows are still wanted."""


@dataclass(frozen=True, slots=True)
class EmitSummary:
    """What one run did, in rows."""

    sent: int = 0
    """Accepted by Ozone now."""
    duplicates: int = 0
    """Found to be with Ozone already, and settled as sent."""
    failed: int = 0
    """Refused for good."""
    suppressed: int = 0
    """Found to be no longer wanted before they were sent."""
    left_planned: int = 0
    """Left for the next run; why is in `stopped` or in the rows' `reason`."""
    stopped: str | None = None
    """Why the run ended early; None if it took up every row."""

    def counts(self) -> dict[str, int | str]:
        """The figures by name, and `stopped` if there is a reason."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Pacing:
    """How the emitter sees and spends time; tests bring their own."""

    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


Progress = Callable[[EmitSummary], None]

LookAgain = Callable[[], int]
"""Suppresses planned rows that are no longer wanted; returns how many those are."""
