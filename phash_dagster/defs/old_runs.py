"""Removes from Dagster's storage what `compact_hours` leaves: runs that later ones have overtaken,
logs of ticks, and free space in SQLite files."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage

from phash_dagster.defs.retention import FAILED_RUNS_STAY, FINISHED

MAX_RUNS: Final = 5_000
"""Runs deleted in one maintenance, the oldest first: at about 30 ms each, some minutes."""

TICK_LOGS_STAY: Final = FAILED_RUNS_STAY
"""As long as the failed ticks themselves, by `dagster.yaml`."""

MIN_FREE_SHARE: Final = 0.5
MIN_FREE_BYTES: Final = 64_000_000
MAX_BYTES_ONLINE: Final = 200_000_000
"""Content of a SQLite file that is rewritten while others wait: about 2 s. They wait for 20 s."""


def overtaken_runs(
    instance: dg.DagsterInstance, *, now: datetime, successful_stay: timedelta
) -> list[str]:
    """Finished runs that nobody needs: old, and without the latest state of any asset or hour.

    A run that holds the latest state stays, however old: without it the hour or the asset would
    look as if it had never been materialized.

    Args:
        instance: Dagster's.
        now: The current time.
        successful_stay: How long successful runs can be looked at. Others stay for
            `FAILED_RUNS_STAY`.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED, created_before=now - successful_stay), ascending=True
    )
    needed = runs_with_latest_state(instance)
    overtaken = [
        record.dagster_run.run_id
        for record in records
        if record.dagster_run.run_id not in needed
        and (record.dagster_run.is_success or record.create_timestamp < now - FAILED_RUNS_STAY)
    ]
    return overtaken[:MAX_RUNS]


def runs_with_latest_state(instance: dg.DagsterInstance) -> frozenset[str]:
    """The runs with the latest materialization of an asset, or of one of its hours.

    Raises:
        TypeError: Dagster's events are kept somewhere that this cannot ask.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"events in {type(storage).__name__} cannot be asked for the latest state")
    events = SqlEventLogStorageTable
    latest = (
        sa.select(sa.func.max(events.c.id))
        .where(
            events.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            events.c.asset_key.is_not(None),
        )
        .group_by(events.c.asset_key, events.c.partition)
    )
    with storage.index_connection() as connection:
        rows = connection.execute(
            sa.select(events.c.run_id).where(events.c.id.in_(latest)).distinct()
        )
        return frozenset(run_id for (run_id,) in rows)


def old_tick_logs(instance: dg.DagsterInstance, *, now: datetime) -> list[Path]:
    """Files that sensors and schedules logged into, whose ticks are gone.

    Dagster names them by repository, sensor and tick, and never deletes one.
    """
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return []
    before = (now - TICK_LOGS_STAY).timestamp()
    base = Path(manager._base_dir)  # noqa: SLF001 - it has no public name
    return sorted(
        path
        for state in instance.all_instigator_state()
        for path in base.glob(f"*/{state.instigator_name}/*")
        if path.is_file() and path.stat().st_mtime < before
    )


@dataclass(frozen=True)
class SqliteFile:
    """One of Dagster's SQLite files: its bytes, and how many of them are free for reuse."""

    path: Path
    total: int
    free: int

    @property
    def is_worth_rewriting(self) -> bool:
        """Whether much of it is free."""
        return self.free >= MIN_FREE_BYTES and self.free >= MIN_FREE_SHARE * self.total

    @property
    def is_small(self) -> bool:
        """Whether its content can be rewritten while others wait."""
        return self.total - self.free <= MAX_BYTES_ONLINE


def sqlite_files(instance: dg.DagsterInstance) -> list[SqliteFile]:
    """Dagster's shared SQLite files; none with PostgreSQL, which looks after itself."""
    return [_measured(path) for path in _sqlite_paths(instance)]


def _sqlite_paths(instance: dg.DagsterInstance) -> Iterator[Path]:
    runs, events, schedules = (
        instance.run_storage,
        instance.event_log_storage,
        instance.schedule_storage,
    )
    with ExitStack() as stack:
        connections = [
            stack.enter_context(storage.connect())
            for storage in (runs, schedules)
            if isinstance(storage, SqlRunStorage | SqlScheduleStorage)
        ]
        if isinstance(events, SqlEventLogStorage):
            connections.append(stack.enter_context(events.index_connection()))
        for connection in connections:
            if connection.dialect.name == "sqlite" and connection.engine.url.database:
                yield Path(connection.engine.url.database)


def _measured(path: Path) -> SqliteFile:
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        page, pages, free = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
    return SqliteFile(path, pages * page, free * page)


def vacuum(files: Sequence[SqliteFile], *, others_wait: bool) -> dict[str, str]:
    """Rewrite the files with much free space; say of each of these what became of it.

    Pages that deleted runs leave are reused, so this is of use after a peak only.
    """
    said: dict[str, str] = {}
    for file in files:
        if not file.is_worth_rewriting:
            continue
        if others_wait and not file.is_small:
            said[file.path.name] = (
                "too large to be rewritten while others wait: stop the pipeline and run "
                "`phash-dagster maintenance`"
            )
            continue
        try:
            with closing(sqlite3.connect(file.path, timeout=5)) as connection:
                connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            said[file.path.name] = f"not rewritten ({error}); the next maintenance tries again"
        else:
            said[file.path.name] = (
                f"rewritten: {file.total} bytes became {_measured(file.path).total}"
            )
    return said
