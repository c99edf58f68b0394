"""The one clock: everything that needs the time takes a `Clock`, so that tests can set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, timezone-aware, in UTC."""


def utc_now() -> datetime:
    """The system's time in UTC."""
    return datetime.now(UTC)
