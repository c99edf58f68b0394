"""The ingest record of a batch: what was read, from where, how late, and what was wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from phash_dagster.jetstream import Batch
from phash_dagster.warehouse import BatchFile
from phash_dagster.warehouse.parquet_files import SCHEMA_VERSION_KEY

SCHEMA_VERSION = "1"

SCHEMA = pa.schema(
    [
        # First, because files are ordered by their columns from left to right.
        ("ended_us", pa.int64()),
        ("started_us", pa.int64()),
        ("name", pa.string()),
        ("host", pa.string()),
        ("start_us", pa.int64()),
        ("cursor_us", pa.int64()),
        ("newest_us", pa.int64()),
        ("seq", pa.int64()),
        ("tip_seq", pa.int64()),
        ("caught_up", pa.bool_()),
        ("events", pa.int64()),
        ("posts", pa.int64()),
        ("malformed", pa.int64()),
        (
            "files",
            pa.list_(
                pa.struct(
                    [
                        ("hour", pa.string()),
                        ("file", pa.string()),
                        ("rows", pa.int64()),
                        ("images", pa.int64()),
                        ("bytes", pa.int64()),
                    ]
                )
            ),
        ),
        (
            "gaps",
            pa.list_(
                pa.struct(
                    [
                        ("from_us", pa.int64()),
                        ("to_us", pa.int64()),
                        ("host", pa.string()),
                        ("reason", pa.string()),
                    ]
                )
            ),
        ),
        (
            "anomalies",
            pa.list_(
                pa.struct([("name", pa.string()), ("count", pa.int64()), ("sample", pa.string())])
            ),
        ),
    ],
    metadata={SCHEMA_VERSION_KEY: SCHEMA_VERSION},
)


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file of `image_posts` that a batch wrote.

    Attributes:
        hour: Partition key of its hour.
        file: Its name in the hour's folder.
        rows: Rows in it, `images` of them with an image.
    """

    hour: str
    file: str
    rows: int
    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that a host no longer had, or may not have had.

    Attributes:
        from_us: Time of the last event known before it, microseconds since 1970.
        to_us: Time of the first event after it.
        host: The host that was read from.
        reason: How it was noticed: `clamped`, `CursorTooOld` and so on.
    """

    from_us: int
    to_us: int
    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something in events that was not understood or not taken: how often, and one sample."""

    name: str
    count: int
    sample: str


@dataclass(frozen=True)
class IngestRecord:
    """What one batch did. All times are microseconds since 1970.

    Attributes:
        ended_us: Our clock when reading ended.
        started_us: Our clock when it began.
        name: Name of the position it started from; names its files too.
        host: The Jetstream host it was read from.
        start_us: Event time that it started from.
        cursor_us: Event time that the next batch starts from.
        newest_us: The largest event time taken, None without events.
        seq: Sequence number that the next batch starts from, if the host names one.
        tip_seq: Sequence number at the host's live tip, where it was asked.
        caught_up: Whether the stream had nothing more to give.
        events: Events taken, of every kind.
        posts: Events that are records of wanted collections.
        malformed: Frames that are no events.
    """

    ended_us: int
    started_us: int
    name: str
    host: str
    start_us: int
    cursor_us: int
    newest_us: int | None
    seq: int | None
    tip_seq: int | None
    caught_up: bool
    events: int
    posts: int
    malformed: int
    files: tuple[PartFile, ...] = ()
    gaps: tuple[Gap, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


def record_of(batch: Batch, files: Sequence[BatchFile]) -> IngestRecord | None:
    """The record of a batch and the files it wrote; None if it has nothing to tell."""
    if not (batch.events or batch.gaps or batch.anomalies):
        return None
    return IngestRecord(
        ended_us=batch.ended_us,
        started_us=batch.started_us,
        name=batch.start.name,
        host=batch.host,
        start_us=batch.start.time_us,
        cursor_us=batch.cursor.time_us,
        newest_us=batch.newest_us,
        seq=batch.cursor.seq,
        tip_seq=batch.tip_seq,
        caught_up=batch.caught_up,
        events=batch.events,
        posts=batch.posts,
        malformed=batch.malformed,
        files=tuple(_part_file(file) for file in files),
        gaps=tuple(Gap(gap.from_us, gap.to_us, gap.host, gap.reason) for gap in batch.gaps),
        anomalies=tuple(
            Anomaly(name, count, batch.samples.get(name, ""))
            for name, count in sorted(batch.anomalies.items())
        ),
    )


def _part_file(file: BatchFile) -> PartFile:
    return PartFile(
        hour=file.partition_key,
        file=file.path.name,
        rows=len(file.rows),
        images=sum(row.blob_cid is not None for row in file.rows),
        bytes=file.path.stat().st_size,
    )
