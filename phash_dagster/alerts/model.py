"""What an alert is about: something that fails, and what there is to tell of it. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["warning", "error"]

RANK: Final[Mapping[Severity, int]] = MappingProxyType({"warning": 0, "error": 1})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that fails, as a look found it.

    Attributes:
        key: Names it, e.g. `check:image_posts/ingest_lag`.
        name: The same for people, e.g. `The check ingest_lag on image_posts`.
        detail: What is wrong. Some of it may be text of strangers.
        severity: How bad it is.
        since: Since when, as far as is known.
        path: Where in the Dagster UI it can be seen, without a leading slash; empty: nowhere.
        count: How often it failed since then.
    """

    key: str
    name: str
    detail: str
    severity: Severity
    since: datetime
    path: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything.

    What is neither in `troubles` nor in `unknown` is well.

    Attributes:
        at: When.
        troubles: What fails, by key.
        unknown: Keys of what nothing can be said about now; they count as before.
    """

    at: datetime
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


class Kind(StrEnum):
    """What there is to tell of a trouble."""

    STARTED = "started"
    WORSE = "worse"
    """A warning became an error."""
    STILL = "still"
    """The reminder."""
    ENDED = "ended"
    PASSED = "passed"
    """It started and ended while nothing could be told."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    kind: Kind
    trouble: Trouble
    """As it was when it was last seen to fail."""
    ended_at: datetime | None = None
    """Since when all is well, where it is."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to speak.

    Attributes:
        repeat_after: How long a failure lasts before it is told again.
        quiet: How long something has to be well before that is told. What fails again within a
            day has to be well for twice as long each time, up to `repeat_after`: what comes and
            goes all night is not told each time.
    """

    repeat_after: timedelta = timedelta(hours=24)
    quiet: timedelta = timedelta(minutes=5)

    def quiet_after(self, earlier: int) -> timedelta:
        """The same for what has failed so many times before in the last day."""
        doubled: timedelta = self.quiet * 2 ** min(earlier, 20)
        return min(doubled, max(self.repeat_after, self.quiet))
