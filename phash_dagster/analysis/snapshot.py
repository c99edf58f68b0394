"""Makes `analytics.duckdb`, the database that people ask instead of the working file.

Who has the working file open keeps the pipeline out of it, so people get a database of their own:
copies of the small tables, and views over Parquet files that hold what is large. It is made beside
the one before and takes its name in one step. Whoever has the one before open keeps it, as it is.

`analytics.duckdb` is a link to a file whose name is never used again. DuckDB keeps the log of what
a person writes beside the file that the link leads to; with one name for all, the log of a shell
that stayed open would be taken for that of the next snapshot, which then could not be opened.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from phash_dagster.analysis.parts import ROWS_PER_PART, Parts, parts_of, unused_folders
from phash_dagster.analysis.views import add_views
from phash_dagster.clock import Clock
from phash_dagster.ingest import IngestRecords
from phash_dagster.sql import sql_root, statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse
from phash_dagster.warehouse.database import transaction
from phash_dagster.warehouse.parquet_files import remove_abandoned, sync, write_durably

OLD_FOLDERS_STAY: Final = timedelta(days=1)
"""How long the Parquet files of an earlier release stay, for those who have its snapshot open."""

MEMORY_LIMIT: Final = "1GB"

Progress = Callable[[str], None]
"""Is told what is done next, in a few words."""


@dataclass(frozen=True)
class Sources:
    """What a snapshot is made of."""

    warehouse: Warehouse
    posts: ImagePosts
    ingest: IngestRecords


@dataclass(frozen=True)
class Snapshot:
    """What was made.

    Attributes:
        path: The file itself, which the link leads to.
        taken_at: When the tables were read.
        bytes: Its size.
        parts_written: Files of the large tables that were written.
        parts_bytes: Their size.
        longest_lock_seconds: For how long at a time nobody could write to the working file.
    """

    path: Path
    taken_at: datetime
    bytes: int
    parts_written: int
    parts_bytes: int
    longest_lock_seconds: float


def make_snapshot(
    sources: Sources,
    path: Path,
    clock: Clock,
    *,
    rows_per_part: int = ROWS_PER_PART,
    progress: Progress = lambda _: None,
) -> Snapshot:
    """Make a snapshot and let `path` lead to it. Of two at once, one waits for the other.

    Args:
        sources: What it is made of.
        path: The link. What belongs to it is in a folder of the same name without suffix.
        clock: The current time.
        rows_per_part: See `Parts`.
        progress: Is told what is done next.

    Raises:
        WarehouseBusyError: Another process kept the working file for long.
        OSError: It could not be written, e.g. because the disk is full; the one before is there.
    """
    store = path.with_suffix("")
    store.mkdir(parents=True, exist_ok=True)
    with sources.warehouse.read():
        pass  # What does not exist yet, or is of an earlier release, is brought up to date.
    progress("waiting for another snapshot")
    with _alone(store), duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _remove_leftovers(path, store)
        making = _Making(sources, store, connection, clock)
        parts = making.find_parts(rows_per_part)
        making.catch_up(parts, progress)
        progress("copying tables")
        made = making.make(parts)
        _point(path, made.path)
        for folder in unused_folders(store, parts):
            if datetime.fromtimestamp(folder.stat().st_mtime, UTC) < clock() - OLD_FOLDERS_STAY:
                shutil.rmtree(folder)
        return made


def recipe() -> str:
    """A digest of all that decides what a snapshot holds: with another, a new one is needed."""
    digest = hashlib.sha256()
    for folder in ("schema", "snapshot", "ingest", "analysis/views", "analysis/macros"):
        for file in sorted((sql_root() / folder).glob("*.sql")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Changed:
    """A part whose file is to be written, and its rows."""

    parts: Parts
    part: int
    rows: pa.Table


@dataclass
class _Making:
    """One snapshot while it is made."""

    sources: Sources
    store: Path
    connection: Connection
    clock: Clock
    longest_lock: float = 0.0
    written: list[int] = field(default_factory=list)
    """Sizes of the files of parts, in bytes."""

    def find_parts(self, rows_per_part: int) -> list[Parts]:
        """The large tables and where their files are."""
        with self._attached():
            parts = parts_of(self.connection, self.store, rows_per_part)
            for each in parts:
                each.prepare(self.connection)
        return parts

    def catch_up(self, parts: list[Parts], progress: Progress) -> None:
        """Write what changed, part by part, so that little is left for the moment of the snapshot.

        Writers have their turn in between. The last part of each table is left: it goes on growing.
        """
        for each in parts:
            each.look_at_files(self.connection)
            with self._attached():
                changed = each.changed(self.connection)[:-1]
            for done, part in enumerate(changed, start=1):
                progress(f"writing {each.table}, part {done} of {len(changed)}")
                with self._attached():
                    rows = each.take(self.connection, part)
                self._write(_Changed(each, part, rows))

    def make(self, parts: list[Parts]) -> Snapshot:
        """Make the file, under a name of its own."""
        path = self.store / f"snapshot-{time.time_ns()}.duckdb"
        taken_at = self.clock()
        write_durably(path, lambda file: self._build(file, parts, taken_at))
        return Snapshot(
            path=path,
            taken_at=taken_at,
            bytes=path.stat().st_size,
            parts_written=len(self.written),
            parts_bytes=sum(self.written),
            longest_lock_seconds=self.longest_lock,
        )

    def _build(self, path: Path, parts: list[Parts], taken_at: datetime) -> None:
        for each in parts:
            each.look_at_files(self.connection)
        self.connection.execute("ATTACH $1 AS snapshot", [str(path)])
        try:
            with self._attached():
                with transaction(self.connection):
                    self._copy(taken_at)
                numbers = self.connection.execute(statement("snapshot/last_numbers")).fetchall()[0]
                changed = [
                    _Changed(each, part, each.take(self.connection, part))
                    for each in parts
                    for part in each.changed(self.connection)
                ]
            for each_changed in changed:
                self._write(each_changed)
            self.connection.execute("USE snapshot")
            with transaction(self.connection):
                add_views(
                    self.connection,
                    files={each.table: each.files for each in parts},
                    last_numbers=dict(zip((each.table for each in parts), numbers, strict=True)),
                    posts=self.sources.posts,
                    ingest=self.sources.ingest,
                    store=self.store,
                )
        finally:
            self.connection.execute("USE memory")
            self.connection.execute("DETACH snapshot")

    def _copy(self, taken_at: datetime) -> None:
        """Copy what is small. Writers wait meanwhile."""
        self.connection.execute(statement("snapshot/copy_schema"))
        tables = self.connection.execute(statement("snapshot/tables")).fetchall()
        for (name,) in tables:
            rows = self.connection.table(f"warehouse.main.{name}")
            rows.insert_into(f"snapshot.main.{name}")
        self.connection.execute(statement("snapshot/unhashed_outcomes"))
        self.connection.execute(
            statement("snapshot/save_about"), {"taken_at": taken_at, "made_by": recipe()}
        )

    def _write(self, changed: _Changed) -> None:
        self.written.append(changed.parts.write(self.connection, changed.part, changed.rows))

    @contextmanager
    def _attached(self) -> Iterator[None]:
        with self.sources.warehouse.attached(self.connection, "warehouse"):
            start = time.perf_counter()
            yield
            self.longest_lock = max(self.longest_lock, time.perf_counter() - start)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Only one process makes a snapshot: two would replace each other's files of parts."""
    with (store / ".making").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _point(path: Path, target: Path) -> None:
    """Let the link lead to this file, and remove all others but the one before.

    That one stays until the next time: a process may have read the link and not yet opened the
    file, and opening a file that is gone would make an empty database.
    """
    before = path.readlink().name if path.is_symlink() else target.name
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.relative_to(path.parent))
    temporary.replace(path)
    sync(path.parent)
    # With their logs, snapshot-….duckdb.wal, of people who wrote into them.
    for other in target.parent.glob("snapshot-*.duckdb*"):
        if not other.name.startswith((target.name, before)):
            other.unlink(missing_ok=True)


def _remove_leftovers(path: Path, store: Path) -> None:
    """Remove what processes that were killed left half made."""
    remove_abandoned(path.parent)
    remove_abandoned(store)
    for log in store.glob(".*.tmp.wal"):
        if not log.with_suffix("").exists():
            log.unlink(missing_ok=True)
