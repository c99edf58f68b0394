"""Reads how far back to look."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN: Final = re.compile(r"(\d{1,9})([hdw])")


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that `30d`, `12h`, `2w` before now or `2026-11-01`, in UTC, stands for.

    Raises:
        ValueError: The text is none of these, or a time to come; the message says what is allowed.
    """
    try:
        moment = _moment(text, now)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment < _EARLIEST:
        raise ValueError(f"{text!r} is no time; write 30d, 12h, 2w, or a date such as 2026-11-01")
    if moment > now:
        raise ValueError(f"{text!r} has not come yet; it is {now:%Y-%m-%d %H:%M} UTC")
    return moment


def _moment(text: str, now: datetime) -> datetime:
    if span := _SPAN.fullmatch(text):
        return now - int(span[1]) * _UNITS[span[2]]
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
