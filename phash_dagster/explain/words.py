"""Numbers and times as people read them. Pure."""

from datetime import datetime


def count(number: int, what: str) -> str:
    """`1 hour`, `2 hours`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def moment(time: datetime | None) -> str:
    """A time as people read it."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "an unknown time"


def gone_words(gone: str) -> str:
    """`post deleted` as a sentence: what planning gives as its reason."""
    what, _, status = gone.partition(" ")
    return f"the {what} {'was' if status == 'deleted' else 'is'} {status}"
