"""Makes one Parquet file out of the small ones of a folder, without changing a row.

The files of a folder are a set of rows, whatever the number of files: a row that stands in two
files is one row. So the new file may appear beside the ones that it was made of, and those may go
afterwards, one by one. A process that is killed anywhere in between leaves the same set of rows,
and the next compaction completes the work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from phash_dagster.sql import statement
from phash_dagster.warehouse.database import Connection
from phash_dagster.warehouse.image_posts import ImagePosts, moment_of
from phash_dagster.warehouse.parquet_files import remove_abandoned, sync, write_durably

COMPACTED = "compacted.parquet"
"""The one file. Files of batches are named by numbers, so none has this name."""

MEMORY_LIMIT = "512MB"
"""What sorting may use before it goes to disk."""

_ROWS_AT_ONCE = 65_536


class CompactionError(RuntimeError):
    """The compacted file would not have held exactly the rows of its sources; nothing changed."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Attributes:
        path: The one file.
        files: How many files it was made of and that are gone.
        rows: Rows in it.
        bytes_before: Size of the files it was made of.
        bytes_after: Its own size.
    """

    path: Path
    files: int
    rows: int
    bytes_before: int
    bytes_after: int


def compact_files(files: Sequence[Path], schema: pa.Schema) -> Compacted | None:
    """Make `COMPACTED` out of these files of one folder, and remove them.

    An earlier compacted file of the folder is replaced. None if there is no other.

    Args:
        files: Files of batches that are never read again, which would overwrite them. So list
            the files first, then ask for the stored cursor, and leave out those of its name.
        schema: What their rows have; a column that an older file lacks is null.

    Raises:
        CompactionError: The verification failed; all files are as they were.
        OSError, duckdb.Error: A file cannot be read or written; all files are as they were.
    """
    parts = [path for path in files if path.name != COMPACTED]
    if not parts:
        return None
    target = parts[0].parent / COMPACTED
    remove_abandoned(target.parent)
    # It is replaced, so its rows are always among the new ones, whether the caller named it or not.
    files = [*parts, target] if target.exists() else parts
    modified_us = max(path.stat().st_mtime_ns for path in files) // 1000
    bytes_before = sum(path.stat().st_size for path in files)
    write = partial(_write_verified, files=files, schema=schema)
    write_durably(target, write, time_us=modified_us)
    for path in parts:
        path.unlink(missing_ok=True)
    sync(target.parent)
    return Compacted(
        path=target,
        files=len(files),
        rows=pq.read_metadata(target).num_rows,
        bytes_before=bytes_before,
        bytes_after=target.stat().st_size,
    )


def _write_verified(target: Path, files: Sequence[Path], schema: pa.Schema) -> None:
    with _database(target.parent, files) as connection:
        rows = connection.sql(statement("warehouse/compacted_rows").rstrip().rstrip(";"))
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for batch in rows.to_arrow_reader(_ROWS_AT_ONCE):
                writer.write_table(_as(schema, pa.Table.from_batches([batch]), files))
        connection.execute("SET VARIABLE compacted_file = $1", [str(target)])
        found = connection.execute(statement("warehouse/compaction_differences")).fetchone()
    if found != (0, 0, 0):
        raise CompactionError(
            f"compacting {len(files)} files of {target.parent} would have changed their rows "
            f"(missing, added, repeated: {found}); they were left as they are. Please report this."
        )


def _as(schema: pa.Schema, table: pa.Table, files: Sequence[Path]) -> pa.Table:
    unknown = set(table.column_names) - set(schema.names)
    if unknown:
        raise CompactionError(
            f"files of {files[0].parent} have columns that this version does not know "
            f"({', '.join(sorted(unknown))}); they were left as they are. Were they written by "
            "a newer version?"
        )
    for name in set(schema.names) - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table.select(schema.names).cast(schema)


@contextmanager
def _database(folder: Path, files: Sequence[Path]) -> Iterator[Connection]:
    """A database in memory that sorts on disk beside the files."""
    spill = folder.parent / ".spill"
    with duckdb.connect(
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spill), "threads": 1}
    ) as connection:
        connection.execute("SET VARIABLE compaction_files = $1", [[str(path) for path in files]])
        yield connection


def due_hours(posts: ImagePosts, *, now: datetime, after: timedelta) -> dict[str, list[Path]]:
    """The hours that ended so long ago and have files to compact, oldest first, and their files."""
    due = {}
    for key in posts.partition_keys():
        if is_over(key, now=now, after=after):
            files = posts.files([key])
            if any(path.name != COMPACTED for path in files):
                due[key] = files
    return due


def is_over(partition_key: str, *, now: datetime, after: timedelta) -> bool:
    """Whether the hour ended at least `after` ago."""
    return moment_of(partition_key) + timedelta(hours=1) + after <= now
