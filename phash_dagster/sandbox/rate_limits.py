"""Limits on requests, as the real PDS sets them: all calls, and logins, by address and window.

Nobody on loopback is limited, as in the tests' real PDS, which bypasses it: only who claims another
address by `x-forwarded-for`.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from phash_dagster.clock import Clock
from phash_dagster.sandbox.xrpc import XrpcError


@dataclass(frozen=True)
class Limit:
    """So many requests in a window, which begins with the first."""

    name: str
    requests: int
    window: timedelta


ALL_CALLS: Final = Limit("global-ip", 3000, timedelta(minutes=5))
LOGINS: Final = (
    Limit("login-day", 300, timedelta(days=1)),
    Limit("login", 30, timedelta(minutes=5)),
)


@dataclass
class _Window:
    ends: datetime
    used: int = 0


class RateLimits:
    """Counts requests. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}

    def use(self, keys: Mapping[Limit, str]) -> dict[str, str]:
        """Count a request against some limits.

        Args:
            keys: For each limit whose requests are counted together.

        Returns:
            The headers that tell of the limit that is nearest.

        Raises:
            XrpcError: 429, it is one too many.
        """
        now = self._clock()
        with self._lock:
            states = [(limit, self._count(limit, key, now)) for limit, key in keys.items()]
        limit, window = min(states, key=lambda state: state[0].requests - state[1].used)
        headers = _headers(limit, window)
        if window.used <= limit.requests:
            return headers
        seconds = math.ceil((window.ends - now).total_seconds())
        raise XrpcError(
            429,
            "RateLimitExceeded",
            "Rate Limit Exceeded",
            {**headers, "retry-after": str(seconds)},
        )

    def _count(self, limit: Limit, key: str, now: datetime) -> _Window:
        name = (limit.name, key)
        window = self._windows.get(name)
        if window is None or window.ends <= now:
            window = self._windows[name] = _Window(now + limit.window)
        window.used += 1
        return window


def _headers(limit: Limit, window: _Window) -> dict[str, str]:
    return {
        "ratelimit-limit": str(limit.requests),
        "ratelimit-remaining": str(max(limit.requests - window.used, 0)),
        "ratelimit-reset": str(math.floor(window.ends.timestamp())),
        "ratelimit-policy": f"{limit.requests};w={int(limit.window.total_seconds())}",
    }
