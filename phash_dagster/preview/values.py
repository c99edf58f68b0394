"""Values as people read them. Pure."""

from datetime import datetime


def hex_of(words: str) -> str:
    """The hash whose 64-bit words these are, in decimal, most significant first."""
    return "".join(f"{int(word):016x}" for word in words.split())


def rfc3339(value: object) -> str:
    """A time as JSON has it: `2026-11-23T20:15:00+00:00`.

    Raises:
        TypeError: The value is no time.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
