"""What a PDS says of how many requests it still takes, and the pace that follows. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import httpx

from phash_dagster.http import reset_seconds, whole_number

LOW_SHARE: Final = 0.2
"""Below this share of the limit what remains is spread over the time until the limit is reset."""

_WINDOW: Final = re.compile(r"\bw=(\d{1,9})\b")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The headers `ratelimit-*` of one answer."""

    limit: int
    """Requests in the whole window."""
    remaining: int
    """Requests left in it."""
    seconds: float
    """Time from the answer until the window is over."""

    @classmethod
    def of(cls, headers: httpx.Headers, now: datetime) -> Self | None:
        """Read the headers; None where a server sends none, or none that can be read."""
        limit = whole_number(headers.get("ratelimit-limit", ""))
        remaining = whole_number(headers.get("ratelimit-remaining", ""))
        seconds = reset_seconds(headers.get("ratelimit-reset", ""), now)
        if limit is None or remaining is None or seconds is None:
            return None
        # The reset is a time of the server's clock, which may not be ours; the window is not.
        if window := _WINDOW.search(headers.get("ratelimit-policy", "")):
            seconds = min(seconds, float(window[1]))
        return cls(int(limit), int(remaining), max(seconds, 0.0))

    @property
    def spacing(self) -> float:
        """Seconds to leave before the next request; 0 while there is enough left."""
        if self.remaining > self.limit * LOW_SHARE:
            return 0.0
        return self.seconds / max(self.remaining, 1)
