"""What reached an hour lately: the figures of a materialization of `image_posts`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from phash_dagster.ingest.records import IngestRecords
from phash_dagster.jetstream.batch import MAX_ANOMALIES, OTHER
from phash_dagster.sql import statement

Row = dict[str, Any]


@dataclass
class Arrivals:
    """The batches that brought something to an hour.

    Attributes:
        until_us: When the last of them ended, microseconds since 1970, our clock.
        rows: Rows of `image_posts` they brought to the hour, `images` of them with an image.
        files: How many files they wrote there, of so many `bytes`.
        events: Events of these batches, `posts` of them records of wanted collections, also those
            of other hours.
        lag_seconds: How old the newest event was when the last of them ended.
        sequence_lag: Events that the host had beyond it, where that was asked.
    """

    until_us: int
    host: str
    lag_seconds: float | None
    sequence_lag: int | None
    rows: int = 0
    images: int = 0
    files: int = 0
    bytes: int = 0
    events: int = 0
    posts: int = 0
    malformed: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)


def arrivals(records: IngestRecords, hours: Mapping[str, datetime]) -> dict[str, Arrivals]:
    """What each hour got from batches that ended after the moment that stands with it.

    Hours that got nothing are left out.
    """
    since = min(hours.values(), default=None)
    if since is None or not records.files(since=since):
        return {}
    found = {}
    with records.query(since=since) as connection:
        for hour, after in hours.items():
            result = connection.execute(
                statement("ingest/arrivals"),
                {"hour": hour, "since_us": int(after.timestamp() * 1_000_000)},
            )
            columns = [column[0] for column in result.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
            if rows:
                found[hour] = _summed(rows)
    return found


def _summed(rows: Sequence[Row]) -> Arrivals:
    last = rows[-1]
    total = Arrivals(
        until_us=last["ended_us"],
        host=last["host"],
        lag_seconds=_seconds_between(last["newest_us"], last["ended_us"]),
        sequence_lag=_difference(last["seq"], last["tip_seq"]),
        files=len(rows),
        **{name: sum(row[name] for row in rows) for name in _SUMMED},
    )
    for row in rows:
        total.anomalies.update({one["name"]: one["count"] for one in row["anomalies"]})
    total.anomalies = _most_frequent(total.anomalies)
    return total


def _most_frequent(anomalies: Counter[str]) -> Counter[str]:
    """As many names as a batch has at most; each batch can bring others."""
    kept = Counter(dict(anomalies.most_common(MAX_ANOMALIES - 1)))
    rest = anomalies.total() - kept.total()
    return kept + Counter({OTHER: rest})


_SUMMED = ("rows", "images", "bytes", "events", "posts", "malformed")


def _seconds_between(earlier_us: int | None, later_us: int) -> float | None:
    return None if earlier_us is None else (later_us - earlier_us) / 1_000_000


def _difference(position: int | None, tip: int | None) -> int | None:
    return None if position is None or tip is None else max(tip - position, 0)
