"""A circuit breaker's state and rule: how a service that fails is left alone for a while. Pure.

A circuit is closed until so many failures in a row; then it is open, and nothing is asked; then it
is half-open, and one request is let through: the probe. If that succeeds the circuit closes, if it
fails the circuit opens for as long again.

Written here because the state has to outlive a process of some seconds: of the libraries
(pybreaker, circuitbreaker, aiobreaker, purgatory) none has asyncio, a single probe, and a state
that can be kept elsewhere than in memory or Redis.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final


@dataclass(frozen=True)
class BreakerPolicy:
    """After how many failures in a row a service is left alone, and for how long."""

    failures: int
    open_for: timedelta


@dataclass(frozen=True)
class Circuit:
    """What is known of a service: failures in a row, and until when it is not asked."""

    failures: int = 0
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether nothing is asked now."""
        return self.open_until is not None and now < self.open_until

    def after_failure(self, policy: BreakerPolicy, now: datetime) -> "Circuit":
        """The circuit after one more failure.

        One that comes in while the circuit is open belongs to a request from before; it does not
        lengthen the pause.
        """
        if self.is_open(now):
            return self
        failures = self.failures + 1
        open_until = now + policy.open_for if failures >= policy.failures else None
        return Circuit(failures, open_until)


CLOSED: Final = Circuit()
