"""The Parquet files of ingest records: one per batch, in daily folders.

The rules are those of `image_posts`: a file is durable before its name appears, and is named by
the position that its batch started from, so that a batch read again overwrites its own record.
Nothing here opens the DuckDB file, which a person may hold: questions are asked in memory.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from phash_dagster.ingest.schema import SCHEMA, IngestRecord
from phash_dagster.sql import statement, temporary_view
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.parquet_files import remove_abandoned, write_table

VIEWS = ("ingest/stream_gaps", "ingest/ingest_anomalies", "ingest/pipeline_lag")
"""They stand on the table `ingest_batches`."""


class IngestRecords:
    """The folder of Parquet files behind `ingest_batches` and the views over it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def under(cls, data_dir: Path) -> "IngestRecords":
        """The records in `DATA_DIR`."""
        return cls(data_dir / "ingest_batches")

    def write(self, record: IngestRecord) -> Path:
        """Write a record durably.

        Its file is as old as the batch: whoever looks for recent records opens only those.

        Raises:
            OSError: It could not be written, e.g. because the disk is full.
        """
        day = datetime.fromtimestamp(record.ended_us / 1_000_000, UTC)
        folder = self.folder(f"{day:%Y-%m-%d}")
        remove_abandoned(folder)
        table = pa.Table.from_pylist([asdict(record)], schema=SCHEMA)
        path = write_table(table, folder / f"{record.name}.parquet", time_us=record.ended_us)
        # Of an interrupted reading of this batch, when midnight lay in between.
        for other in self.root.glob(f"day=*/{record.name}.parquet"):
            if other != path:
                other.unlink()
        return path

    def folder(self, day: str) -> Path:
        """Where the records of a day are, e.g. `2026-11-23`."""
        return self.root / f"day={day}"

    def days(self) -> list[str]:
        """The days that have a folder, oldest first."""
        return sorted(folder.name.removeprefix("day=") for folder in self.root.glob("day=*"))

    def files(self, *, since: datetime | None = None) -> list[Path]:
        """The files with records of batches that ended since then, the oldest first."""
        earliest_us = int(since.timestamp() * 1_000_000) if since else 0
        dated = [
            (time_us, path)
            for day in self.days()
            if since is None or day >= f"{since:%Y-%m-%d}"
            for time_us, path in _dated_files(self.folder(day))
            if time_us >= earliest_us
        ]
        return [path for _, path in sorted(dated)]

    def settled_files(self, day: str, *, before: datetime) -> list[Path]:
        """The files of a day with nothing but batches that ended before that moment."""
        before_us = int(before.timestamp() * 1_000_000)
        dated = _dated_files(self.folder(day))
        return [path for time_us, path in sorted(dated) if time_us < before_us]

    def attach(
        self,
        connection: Connection,
        *,
        since: datetime | None = None,
        files: Sequence[Path] | None = None,
    ) -> None:
        """Make the records of batches that ended since then visible in `connection`.

        `files` names some of the files to read, instead of all that have such records.

        They are the temporary table `ingest_batches` and the views `stream_gaps`,
        `ingest_anomalies` and `pipeline_lag` over it.
        """
        since_us = int(since.timestamp() * 1_000_000) if since else 0
        connection.execute("SET VARIABLE ingest_since_us = $1::BIGINT", [since_us])
        try:
            self._load(connection, self.files(since=since) if files is None else files)
        except duckdb.IOException:
            # Compaction removed a file after it was listed; its rows are in the compacted one.
            self._load(connection, self.files(since=since))
        for view in VIEWS:
            connection.execute(temporary_view(view))

    def _load(self, connection: Connection, files: Sequence[Path]) -> None:
        # An empty file of the right schema keeps the table valid when there are no records.
        paths = [str(self._empty_file()), *map(str, files)]
        connection.execute("SET VARIABLE ingest_files = $1", [paths])
        connection.execute(statement("ingest/ingest_batches"))

    @contextmanager
    def query(
        self, *, since: datetime | None = None, files: Sequence[Path] | None = None
    ) -> Iterator[Connection]:
        """A database in memory with the views attached, as `attach` does."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            self.attach(connection, since=since, files=files)
            yield connection

    def _empty_file(self) -> Path:
        path = self.root / "_empty.parquet"
        return path if path.exists() else write_table(SCHEMA.empty_table(), path)


def _dated_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """The files of a folder with their modification times, microseconds since 1970."""
    with os.scandir(folder) as entries:
        for entry in entries:
            # Compaction may remove a file while the folder is listed.
            with suppress(FileNotFoundError):
                if entry.name.endswith(".parquet"):
                    yield entry.stat().st_mtime_ns // 1000, Path(entry.path)
