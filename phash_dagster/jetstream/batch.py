"""What one reading of the stream took."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from phash_dagster.jetstream.cursor import Cursor
from phash_dagster.jetstream.hosts import HostFailure
from phash_dagster.warehouse import ImagePost

MAX_ANOMALIES: Final = 50
"""Names of anomalies in a batch. Strangers choose them, as types of embeds for example."""

OTHER: Final = "other"
"""What anomalies beyond these count as."""

_MAX_NAME: Final = 100
_MAX_SAMPLE: Final = 300
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._:#-]")


@dataclass(frozen=True)
class BatchLimits:
    """When a batch ends: so many seconds after connecting, or at so many rows of `image_posts`."""

    seconds: float
    max_rows: int


@dataclass(frozen=True)
class StreamGap:
    """Events that a host no longer had, or may not have had.

    Attributes:
        from_us: Time of the last event known before it, microseconds since 1970.
        to_us: Time of the first event after it.
        host: The host it was found on.
        reason: `clamped`: version 1 started later than it was asked to, without a word.
            `CursorTooOld`, `OutdatedCursor`: version 2 said so. `starts_later`: after a fail-over
            the other host's first event is later than the position.
    """

    from_us: int
    to_us: int
    host: str
    reason: str


@dataclass
class Batch:
    """What one reading took.

    Attributes:
        start: The cursor it was read from; names its files.
        cursor: Where the next reading starts.
        host: The host that served it, `hostname[:port]`; empty if none could be reached.
        rows: Rows of `image_posts`, in the order of arrival.
        events: Events taken, of every kind.
        posts: Events that are records of wanted collections.
        malformed: Frames that are no events.
        anomalies: Counts by name of what could not be understood or taken; at most
            `MAX_ANOMALIES` names, the rest counts as `other`.
        samples: For each anomaly an AT URI, the key of one event, the beginning of one frame, or
            a position.
        started_us: Our clock when reading began, microseconds since 1970.
        ended_us: Our clock when it ended.
        newest_us: The largest event time taken, as far as it is believed.
        caught_up: Whether the stream had nothing more to give before the time was up.
        tip_seq: The sequence number at the host's live tip, asked only when far behind.
        gaps: Where events may be missing.
        failures: Hosts that failed, or, if all are left alone for now, every host.
    """

    start: Cursor
    cursor: Cursor
    host: str = ""
    rows: list[ImagePost] = field(default_factory=list)
    events: int = 0
    posts: int = 0
    malformed: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    started_us: int = 0
    ended_us: int = 0
    newest_us: int | None = None
    caught_up: bool = False
    tip_seq: int | None = None
    gaps: list[StreamGap] = field(default_factory=list)
    failures: list[HostFailure] = field(default_factory=list)

    def note(self, anomaly: str, sample: str) -> None:
        """Count an anomaly; its first sample is kept."""
        name = _NOT_IN_A_NAME.sub("_", anomaly)[:_MAX_NAME]
        if name not in self.anomalies and len(self.anomalies) >= MAX_ANOMALIES - 1:
            name = OTHER
        self.anomalies[name] += 1
        if name not in self.samples:
            self.samples[name] = printable(sample)

    @property
    def has_record(self) -> bool:
        """Whether there is anything to write down about it."""
        return bool(self.rows or self.events or self.anomalies or self.gaps)


def printable(text: str) -> str:
    """At most 300 characters without line breaks, escapes or other control characters."""
    return "".join(one if one.isprintable() else "�" for one in text[:_MAX_SAMPLE])
