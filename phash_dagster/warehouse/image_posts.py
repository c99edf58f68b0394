"""`image_posts`: what Jetstream delivered, as Parquet files in hourly partitions.

One file per micro-batch and hour, `hour=2026-11-23-19/<start>.parquet`. A file is complete and
durable before its final name appears, and it is named by the position its batch *started* from:
a batch that is read again after a crash overwrites its own files instead of adding to them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from phash_dagster.sql import statement
from phash_dagster.warehouse.database import Connection
from phash_dagster.warehouse.parquet_files import (
    SCHEMA_VERSION_KEY,
    remove_abandoned,
    write_table,
)

SCHEMA_VERSION = "1"
_HOUR_US = 3_600_000_000
PARTITION_FORMAT = "%Y-%m-%d-%H:%M"
"""Dagster's key of an hour, e.g. `2026-11-23-19:00`, UTC."""

FIRST_HOUR = datetime(2026, 1, 1, tzinfo=UTC)
"""The first partition. Fixed for ever: partition keys are how the past is addressed."""

SCHEMA = pa.schema(
    [
        ("time_us", pa.int64()),
        ("seq", pa.int64()),
        ("host", pa.string()),
        ("did", pa.string()),
        ("collection", pa.string()),
        ("rkey", pa.string()),
        ("uri", pa.string()),
        ("cid", pa.string()),
        ("operation", pa.string()),
        ("blob_cid", pa.string()),
        ("mime_type", pa.string()),
        ("size_bytes", pa.int64()),
        ("position", pa.int32()),
        ("embed_type", pa.string()),
        ("created_at", pa.string()),
    ],
    metadata={SCHEMA_VERSION_KEY: SCHEMA_VERSION},
)


class PostKind(StrEnum):
    """What a row of `image_posts` tells: the column `operation`.

    Account events carry their status: `account_active`, `account_deleted`, `account_takendown`,
    and whatever other status the network names.
    """

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class ImagePost(NamedTuple):
    """One image of one record, or a delete or account event (without image columns).

    Attributes:
        time_us: When the Jetstream host witnessed the event, microseconds since 1970.
        seq: The host's sequence number, if it names one.
        position: Index of the image in its record, from 0.
        size_bytes: Size the record claims; not checked.
        created_at: `createdAt` as the author wrote it; not checked.
    """

    time_us: int
    seq: int | None
    host: str
    did: str
    collection: str | None
    rkey: str | None
    uri: str
    cid: str | None
    operation: str
    blob_cid: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    position: int | None = None
    embed_type: str | None = None
    created_at: str | None = None


@dataclass(frozen=True)
class BatchFile:
    """One file that a batch wrote."""

    partition_key: str
    path: Path
    rows: tuple[ImagePost, ...]


def partition_key_of(time_us: int, *, now: datetime) -> str:
    """The hour an event belongs to.

    A host's clock may be wrong; an hour that is no partition would stop ingestion for good, so
    such an event goes to the nearest hour that is one.
    """
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return hour_key(min(max(moment, FIRST_HOUR), now))


def hour_key(moment: datetime) -> str:
    """The partition key of the hour that a moment (in UTC) lies in."""
    return moment.replace(minute=0, second=0, microsecond=0).strftime(PARTITION_FORMAT)


def moment_of(partition_key: str) -> datetime:
    """The beginning of an hour, in UTC."""
    return datetime.strptime(partition_key, PARTITION_FORMAT).replace(tzinfo=UTC)


class ImagePosts:
    """The folder of Parquet files behind `image_posts`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_batch(
        self, rows: Iterable[ImagePost], *, start: str, now: datetime
    ) -> list[BatchFile]:
        """Write a batch durably, one file per hour, and return the files.

        Args:
            rows: The batch; of rows that fold on (AT URI, record CID, blob CID) the latest is
                written.
            start: Name of the position the batch was read from; names the files.
            now: The current time; bounds the partitions.
        """
        by_hour: dict[str, dict[tuple[object, ...], ImagePost]] = {}
        hours: dict[int, dict[tuple[object, ...], ImagePost]] = {}
        for row in rows:
            number = row.time_us // _HOUR_US
            hour = hours.get(number)
            if hour is None:
                key = partition_key_of(row.time_us, now=now)
                hour = hours[number] = by_hour.setdefault(key, {})
            fold = _fold_key(row)
            other = hour.setdefault(fold, row)
            if other is not row:
                hour[fold] = _latest(other, row)
        written = [
            BatchFile(
                hour, self._write_file(hour, start, list(batch.values())), tuple(batch.values())
            )
            for hour, batch in sorted(by_hour.items())
        ]
        self._remove_leftovers(start, keep={file.path for file in written})
        return written

    def files(self, partition_keys: Iterable[str]) -> list[Path]:
        """The files of these hours, oldest first."""
        return [
            path
            for key in sorted(partition_keys)
            for path in sorted(self.folder(key).glob("*.parquet"))
        ]

    def partition_keys(self) -> list[str]:
        """The hours that have at least one file, oldest first."""
        return sorted(
            f"{folder.name.removeprefix('hour=')}:00"
            for folder in self.root.glob("hour=*")
            if next(folder.glob("*.parquet"), None)
        )

    def attach(self, connection: Connection, partition_keys: Sequence[str]) -> None:
        """Make these hours visible in `connection` as the temporary view `image_posts`."""
        # An empty file of the right schema keeps the view valid when an hour has no files.
        paths = [str(self.empty_file()), *map(str, self.files(partition_keys))]
        connection.execute("SET VARIABLE image_posts_files = $1", [paths])
        connection.execute(statement("images/image_posts"))

    @contextmanager
    def in_memory(self, partition_keys: Sequence[str]) -> Iterator[Connection]:
        """These hours in a database of their own, for questions that need nothing else.

        However long they take, nobody waits for the warehouse.
        """
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            self.attach(connection, partition_keys)
            yield connection

    def folder(self, partition_key: str) -> Path:
        """Where the files of an hour are."""
        return self.root / f"hour={partition_key.removesuffix(':00')}"

    def _write_file(self, partition_key: str, start: str, rows: list[ImagePost]) -> Path:
        folder = self.folder(partition_key)
        remove_abandoned(folder)
        return write_table(_table(rows), folder / f"{start}.parquet")

    def _remove_leftovers(self, start: str, keep: set[Path]) -> None:
        """Remove files of an interrupted reading of this batch that reached into other hours.

        Their events come again: this reading ended earlier, and the next one starts at its end.
        """
        for path in self.root.glob(f"hour=*/{start}.parquet"):
            if path not in keep:
                path.unlink()

    def empty_file(self) -> Path:
        """A file of the right schema without rows."""
        path = self.root / "_empty.parquet"
        return path if path.exists() else write_table(_table([]), path)


def _fold_key(row: ImagePost) -> tuple[object, ...]:
    if row.blob_cid is None:
        return (row.uri, row.cid, row.operation, row.time_us)
    return (row.uri, row.cid, row.blob_cid)


def _latest(one: ImagePost, other: ImagePost) -> ImagePost:
    """The row that counts: a record deleted and made again, with the same CID, is there."""
    return max(one, other, key=lambda row: (row.time_us, -(row.position or 0)))


_COLUMNS = ImagePost._fields


def _table(rows: Sequence[ImagePost]) -> pa.Table:
    values = zip(*rows, strict=True) if rows else ((),) * len(_COLUMNS)
    return pa.table(dict(zip(_COLUMNS, values, strict=True)), schema=SCHEMA)
