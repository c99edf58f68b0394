"""Dagster's storage as it stands at one moment, copied and put back: runs, cursors, asset state.

A copy taken while the pipeline runs is what a power cut would have left behind: runs in progress
are failed and repeated by the next start (see `recovery`).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster_postgres import PostgresEventLogStorage

from phash_dagster.backup.archive import BackupError
from phash_dagster.backup.manifest import StorageKind
from phash_dagster.backup.parts import DagsterStorage
from phash_dagster.backup.sqlite_files import SqliteSnapshot, sqlite_snapshot

TABLES: Final = "tables.json"
_RUNS: Final = Path("history/runs.db")
_SHARDS: Final = Path("history/runs")
_DATABASES: Final = (Path("schedules/schedules.db"), Path("history/runs/index.db"), _RUNS)
"""In the order in which they are to stand still: a slot of a pool, in the index, is then always
one of a run that is known, and a cursor never ahead of the runs that it has led to."""

_METADATA: Final = (
    RunStorageSqlMetadata,
    SqlEventLogStorageMetadata,
    ScheduleStorageSqlMetadata,
)


@dataclass(frozen=True)
class SqliteStorage:
    """A storage of SQLite files that stands still."""

    revision: str
    _snapshots: dict[Path, SqliteSnapshot]
    _base: Path

    def copy_to(self, folder: Path) -> None:
        """Write it into a folder.

        The events of each run are in a file of its own. Those of runs that went well are left out:
        they are many, nothing depends on them, and they would be deleted within hours.
        """
        for name, snapshot in self._snapshots.items():
            snapshot.copy_to(folder / name)
        for run_id in _unsuccessful(folder / _RUNS):
            shard = _SHARDS / f"{run_id}.db"
            if (self._base / shard).exists():
                with sqlite_snapshot(self._base / shard) as snapshot:
                    snapshot.copy_to(folder / shard)


@dataclass(frozen=True)
class PostgresStorage:
    """A storage in PostgreSQL as one transaction sees it."""

    revision: str
    _connection: sa.Connection

    def copy_to(self, folder: Path) -> None:
        """Write a file per table into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {
            name: list(table.columns.keys())
            for name, table in sorted(_tables(self._connection).items())
        }
        (folder / TABLES).write_text(json.dumps(tables), "utf-8")
        for table, columns in tables.items():
            with (folder / f"{table}.copy").open("wb") as file:
                _copy(self._connection, f"{_listed(table, columns)} TO STDOUT", file)


@contextmanager
def storage_snapshot(instance: dg.DagsterInstance) -> Iterator[SqliteStorage | PostgresStorage]:
    """Let Dagster's storage stand still for us while others go on.

    Raises:
        BackupError: It is neither in SQLite nor in PostgreSQL.
    """
    revision = _revision(instance)
    if storage_kind(instance) == "sqlite":
        base = sqlite_folder(instance)
        with ExitStack() as stack:
            found = {name: stack.enter_context(sqlite_snapshot(base / name)) for name in _DATABASES}
            yield SqliteStorage(revision, found, base)
        return
    with _postgres(instance) as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            # PostgreSQL takes the snapshot at the first query.
            connection.execute(sa.select(1))
            yield PostgresStorage(revision, connection)


def sqlite_folder(instance: dg.DagsterInstance) -> Path:
    """Where a storage in SQLite is.

    Raises:
        BackupError: The storage is in something else.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        raise BackupError("Dagster's storage is not in SQLite")
    return Path(storage.path_for_shard("index")).parents[2]


def storage_kind(instance: dg.DagsterInstance) -> StorageKind:
    """What the storage is in.

    Raises:
        BackupError: Neither in SQLite nor in PostgreSQL.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        return "sqlite"
    if isinstance(storage, PostgresEventLogStorage):
        return "postgresql"
    raise BackupError(
        f"Dagster's storage is a {type(storage).__name__}; only SQLite and PostgreSQL can be "
        "backed up and restored"
    )


def require_empty_storage(instance: dg.DagsterInstance, kind: StorageKind, revision: str) -> None:
    """See to it that a copy of this kind and revision can be put into the storage.

    Raises:
        BackupError: The storage is of another kind or release, or holds runs or cursors already.
    """
    here = storage_kind(instance)
    if here != kind:
        raise BackupError(
            f"the backup's Dagster storage is in {kind}, and the settings name one in {here}: "
            + ("set" if kind == "postgresql" else "unset")
            + " DAGSTER_STORAGE_URL"
        )
    if kind == "postgresql" and _revision(instance) != revision:
        raise BackupError(
            f"the backup's Dagster storage is at revision {revision}, and this Dagster has "
            f"{_revision(instance)}: restore it with the release that made it, then upgrade"
        )
    if instance.get_runs_count() or instance.all_instigator_state():
        raise BackupError("Dagster's storage holds runs or sensor cursors already")


def restore_postgres_storage(instance: dg.DagsterInstance, folder: Path) -> None:
    """Put a copy into an empty storage, all of it or nothing.

    Raises:
        BackupError: This Dagster does not know a table of the copy, or one of its columns.
    """
    tables: dict[str, list[str]] = json.loads((folder / TABLES).read_text("utf-8"))
    with _postgres(instance) as connection, connection.begin():
        here = _tables(connection)
        for name, columns in tables.items():
            if name not in here or not set(columns) <= set(here[name].columns.keys()):
                raise BackupError(f"this Dagster does not know the table {name} as it was")
        for table in reversed(here.values()):
            connection.execute(sa.delete(table))
        for name in filter(tables.__contains__, here):
            table, columns = here[name], tables[name]
            with (folder / f"{name}.copy").open("rb") as file:
                _copy(connection, f"{_listed(name, columns)} FROM STDIN", file)
            _go_on_counting(connection, table)


def _revision(instance: dg.DagsterInstance) -> str:
    version = instance.run_storage.alembic_version()
    return str(version[0]) if version else ""


def _unsuccessful(runs: Path) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{runs}", poolclass=sa.NullPool)
    success = dg.DagsterRunStatus.SUCCESS.value
    others = sa.select(RunsTable.c.run_id).where(RunsTable.c.status != success)
    with engine.connect() as connection:
        return list(connection.scalars(others))


@contextmanager
def _postgres(instance: dg.DagsterInstance) -> Iterator[sa.Connection]:
    storage = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        raise BackupError("Dagster's storage is not in PostgreSQL")
    engine = sa.create_engine(storage.postgres_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def _tables(connection: sa.Connection) -> dict[str, sa.Table]:
    """Dagster's tables as they are in the database, which others may share; a table comes after
    those that it refers to."""
    names = {name for metadata in _METADATA for name in metadata.tables} | {"alembic_version"}
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name in names)
    return {table.name: table for table in found.sorted_tables}


def _listed(table: str, columns: Sequence[str]) -> str:
    return f"COPY {_quoted(table)} ({', '.join(map(_quoted, columns))})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _copy(connection: sa.Connection, statement: str, file: Any) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.copy_expert(statement, file)


def _go_on_counting(connection: sa.Connection, table: sa.Table) -> None:
    """Let the numbers of new rows begin after those of the copy."""
    if "id" not in table.columns:
        return
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, "id")))
    highest = connection.scalar(sa.select(sa.func.max(table.c.id)))
    if sequence and highest:
        connection.execute(sa.select(sa.func.setval(sequence, highest)))


def storage_of(instance: dg.DagsterInstance) -> DagsterStorage:
    """Dagster's storage as a backup and a restore need it."""
    kind = storage_kind(instance)
    return DagsterStorage(
        kind=kind,
        folder=sqlite_folder(instance) if kind == "sqlite" else None,
        still=lambda: storage_snapshot(instance),
        require_empty=lambda kind, revision: require_empty_storage(instance, kind, revision),
        restore=lambda folder: restore_postgres_storage(instance, folder),
    )
