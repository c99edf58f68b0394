"""The ledger's copy in a backup: always a SQLite file, whatever database the ledger is in.

So a ledger can be brought from SQLite to PostgreSQL, or back, by a backup and a restore.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    Table,
    create_engine,
    func,
    inspect,
    make_url,
    select,
)

from phash_dagster.backup.sqlite_files import sqlite_snapshot
from phash_dagster.moderation.ledger_database import open_engine, write
from phash_dagster.moderation.ledger_schema import metadata

_ROWS_AT_ONCE: Final = 400


class Copyable(Protocol):
    """Something that stands still and can be written into a new file."""

    def copy_to(self, path: Path) -> None:
        """Write it."""


@dataclass(frozen=True)
class _RowsOfPostgres:
    """The rows of a ledger in PostgreSQL as one transaction sees them."""

    _connection: Connection

    def copy_to(self, path: Path) -> None:
        """Write them into a new SQLite ledger."""
        with _sqlite(path) as target, target.begin() as connection:
            _copy_rows(self._connection, connection)


@contextmanager
def ledger_snapshot(url: str) -> Iterator[Copyable | None]:
    """Let the ledger stand still for us while others go on; None if there is none yet.

    Raises:
        LedgerError: The database does not let us in.
    """
    file = ledger_file(url)
    if file is not None:
        if not file.exists():
            yield None
            return
        with sqlite_snapshot(file) as snapshot:
            yield snapshot
        return
    engine = open_engine(url)
    try:
        repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
        with repeatable.connect() as connection, connection.begin():
            # PostgreSQL takes the snapshot at the first query.
            connection.execute(select(1))
            yield _RowsOfPostgres(connection)
    finally:
        engine.dispose()


def ledger_file(url: str) -> Path | None:
    """The file of a ledger in SQLite; None for PostgreSQL."""
    parsed = make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def ledger_rows(url: str) -> int:
    """How many actions a ledger holds; its tables are created where they are missing.

    Raises:
        LedgerError: The database does not let us in.
    """
    file = ledger_file(url)
    if file is not None and not file.exists():
        return 0
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return sum(
                connection.scalar(select(func.count()).select_from(table)) or 0
                for table in metadata.sorted_tables
            )
    finally:
        engine.dispose()


def restore_ledger(copy: Path, url: str) -> None:
    """Put the rows of a copy into a ledger that has none.

    Raises:
        LedgerError: A database does not let us in.
        ValueError: The ledger has rows.
    """
    if ledger_rows(url):
        raise ValueError("the ledger holds rows already")
    # Opened as a ledger, the copy gets the columns that were added since it was made.
    source, target = open_engine(f"sqlite:///{copy}"), open_engine(url)
    try:
        with source.connect() as reading, write(target) as writing:
            _copy_rows(reading, writing)
            if target.dialect.name == "postgresql":
                _go_on_counting(writing)
    finally:
        source.dispose()
        target.dispose()


def unknown_columns(copy: Path) -> list[str]:
    """Tables and columns of a copy that this release does not know: a newer one made it."""
    with _sqlite(copy) as engine:
        found = inspect(engine)
        unknown = []
        for name in found.get_table_names():
            if name.startswith("sqlite_"):
                continue
            table = metadata.tables.get(name)
            known = set(table.columns.keys()) if table is not None else set()
            unknown += [
                f"{name}.{column['name']}"
                for column in found.get_columns(name)
                if column["name"] not in known
            ]
        return unknown


@contextmanager
def _sqlite(path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{path}")
    try:
        yield engine
    finally:
        engine.dispose()


def _copy_rows(source: Connection, target: Connection) -> None:
    metadata.create_all(target)
    for table in metadata.sorted_tables:
        # In the order of the key, so that rows which name earlier ones come after them.
        ordered = select(table).order_by(*table.primary_key.columns)
        rows = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(ordered).mappings()
        for some in rows.partitions():
            target.execute(table.insert(), [dict(row) for row in some])


def _go_on_counting(connection: Connection) -> None:
    """Let PostgreSQL's own numbers begin after those of the rows."""
    for table in metadata.sorted_tables:
        for column in _numbered(table):
            sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column)))
            highest = connection.scalar(select(func.max(table.c[column])))
            if sequence and highest:
                connection.execute(select(func.setval(sequence, highest)))


def _numbered(table: Table) -> list[str]:
    """Key columns that the database may number."""
    return [column.name for column in table.primary_key.columns if isinstance(column.type, Integer)]
