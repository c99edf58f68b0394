"""What sending is told and what it reports. Pure."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from phash_dagster.clock import Clock, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitOptions:
    """How insistently to send."""

    rate_limit_ms: int = 100
    """Least time between the starts of two requests (`RATE_LIMIT_MS`)."""
    attempts: int = 3
    """Requests per row and run (`RETRY_ATTEMPTS`)."""
    runs: int = 3
    """Runs in which a row may fail alone before it is dead (`RETRY_ATTEMPTS`)."""
    first_wait_seconds: float = 0.1
    """Wait before the first retry; it doubles, with as much jitter on top."""
    longest_wait_seconds: float = 5.0
    """Longest wait between retries. A server that asks for more is left alone until next run."""
    settle_seconds: float = 5.0
    """Time between the two questions after which an event counts as not sent. Ozone does not show
    what it is still applying."""
    most_taken: int = 20
    """Rows that are `sending` at a time, since writing them down one by one takes as long as half
    a request. After a crash so many have to be settled."""
    max_seconds: float | None = None
    """Time after which no further row is taken up; None: however long it takes."""
    look_again_seconds: float = 10.0
    """Time after which to look again which rows are still wanted."""
    only_undo: bool = False
    """Send nothing but what takes something back."""


@dataclass(frozen=True, slots=True)
class EmitSummary:
    """What one run did, in rows."""

    sent: int = 0
    """Accepted by Ozone now."""
    duplicates: int = 0
    """Found to be with Ozone already, and settled as sent."""
    settled: int = 0
    """Not sent, since what they ask for is the case already."""
    failed: int = 0
    """Refused for good."""
    dead: int = 0
    """Given up after failing alone in too many runs."""
    suppressed: int = 0
    """Found to be no longer wanted before they were sent."""
    unasked: int = 0
    """Of those sent: without knowing whether Ozone had the label, as the question failed."""
    left_planned: int = 0
    """Left for the next run; why is in `stopped` or in the rows' `reason`."""
    stopped: str | None = None
    """Why the run ended early; None if it took up every row."""
    not_before: datetime | None = None
    """Until when nothing is sent, if that is why it ended."""

    def counts(self) -> dict[str, int | str]:
        """The figures by name, and `stopped` and `not_before` if there is a reason."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        if self.not_before:
            found["not_before"] = self.not_before.isoformat(timespec="seconds")
        return found


Progress = Callable[[EmitSummary], None]


class RunReport:
    """What a run has done so far, and whether it is to stop."""

    def __init__(self, on_progress: Progress | None = None) -> None:
        self.summary = EmitSummary()
        self._on_progress = on_progress

    def count(self, **more: int) -> None:
        """Add to the figures."""
        added = {name: getattr(self.summary, name) + number for name, number in more.items()}
        self.summary = replace(self.summary, **added)

    def tell(self) -> None:
        """Tell how far the run is."""
        if self._on_progress:
            self._on_progress(self.summary)

    @property
    def has_stopped(self) -> bool:
        """Whether no further row is taken up."""
        return self.summary.stopped is not None

    def stop(self, reason: str, not_before: datetime | None = None) -> None:
        """Take up no further row. The first reason counts."""
        if not self.has_stopped:
            self.summary = replace(self.summary, stopped=reason, not_before=not_before)


@dataclass(frozen=True, slots=True)
class Pacing:
    """How the emitter sees and spends time; tests bring their own."""

    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


LookAgain = Callable[[], int]
"""Suppresses planned rows that are no longer wanted; returns how many those are."""
