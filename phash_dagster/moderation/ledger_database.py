"""Opens the ledger's database: SQLite or PostgreSQL, safe after a crash, safe for two at once."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import stamina
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from phash_dagster.database_url import is_ambiguous, place_of, words_of
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ledger_schema import metadata, moderation_actions, to_row

_BUSY_MILLISECONDS: Final = 30_000
_CHUNK: Final = 500
"""Rows or keys in one statement. A row binds some thirty values."""

_Item = TypeVar("_Item")
_SQLITE, _POSTGRESQL = "sqlite", "postgresql+psycopg2"
_OPENING_ERRORS: Final = (SQLAlchemyError, OSError, ValueError, TypeError)
"""The last two: options in the URL that the driver does not know."""

# Keys of PostgreSQL advisory locks; they hold within one database. Any fixed numbers will do.
_WRITER_LOCK: Final = 7_016_401
_EMITTER_LOCK: Final = 7_016_402


class LedgerError(Exception):
    """The ledger cannot be opened; the text says why and what to change in LEDGER_URL."""


def open_engine(url: str) -> Engine:
    """Connect, and create the table where it is missing.

    Args:
        url: A SQLAlchemy URL, `sqlite:///…` or `postgresql+psycopg2://…`.

    Raises:
        LedgerError: The URL is of another kind, or the database does not let us in. Neither the
            text nor a cause holds more of the URL than dialect, host and database name.
    """
    parsed = _parse(url)
    opened = _open(parsed)
    if isinstance(opened, Engine):
        return opened
    # Raised out here, so that the error of the driver, which may quote the URL, is no part of it.
    unclear = is_ambiguous(url, parsed)
    place = parsed.drivername if unclear else place_of(parsed)
    cause = type(opened).__name__ if unclear else words_of(opened, parsed)
    raise LedgerError(f"cannot open the ledger {place}: {cause}; check LEDGER_URL")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One write transaction; writers wait for each other, so that what it read stays true.

    On SQLite the transaction takes the write lock as it begins, on PostgreSQL an advisory lock.
    """
    immediate = engine.execution_options(sqlite_begin="IMMEDIATE")
    with immediate.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))
        yield connection


@contextmanager
def emitter_lock(engine: Engine) -> Iterator[bool]:
    """Hold the right to be the only emitter; gives False if another process has it.

    The system takes the lock back when its holder dies, so that a successor may settle what a
    killed emitter left behind at once. On SQLite it is a lock on a file beside the database, on
    PostgreSQL an advisory lock of a connection.
    """
    if engine.dialect.name == "postgresql":
        with _postgres_emitter_lock(engine) as held:
            yield held
    else:
        with _file_lock(Path(f"{engine.url.database}.emitter")) as held:
            yield held


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Parts that one statement takes: SQLite binds no more than 32,766 values."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def insert_new(connection: Connection, actions: Sequence[Action], now: datetime) -> list[str]:
    """Insert the rows whose `external_id` the ledger does not know; return what was inserted.

    Returns:
        The `external_id` of each new row.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(moderation_actions)
        .on_conflict_do_nothing(index_elements=[moderation_actions.c.external_id])
        .returning(moderation_actions.c.external_id)
    )
    return [
        external_id
        for chunk in chunks(actions)
        for external_id in connection.scalars(
            statement.values([to_row(action, now) for action in chunk])
        )
    ]


def _open(url: URL) -> Engine | Exception:
    """The engine, or what was wrong."""
    try:
        engine = _sqlite_engine(url) if url.drivername == _SQLITE else _postgres_engine(url)
    except _OPENING_ERRORS as error:
        return error
    try:
        if url.drivername == _SQLITE:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        _create_schema(engine)
    except _OPENING_ERRORS as error:
        engine.dispose()
        return error
    return engine


def _parsed_or_none(url: str) -> URL | None:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        return None


def _parse(url: str) -> URL:
    parsed = _parsed_or_none(url)
    if parsed is None:
        raise LedgerError(
            "LEDGER_URL is not a database URL; write sqlite:////path/to/ledger.sqlite "
            "or postgresql+psycopg2://user:password@host/database, "
            "with @ : / # ? in a password written as %40 %3A %2F %23 %3F"
        )
    if parsed.drivername not in (_SQLITE, _POSTGRESQL):
        raise LedgerError(
            f"LEDGER_URL names {parsed.drivername}://, which the ledger does not run on; "
            f"write {_SQLITE}:/// or {_POSTGRESQL}://"
        )
    if parsed.drivername == _SQLITE and parsed.database in (None, "", ":memory:"):
        raise LedgerError(
            "LEDGER_URL names a database in memory, which would forget what was sent; "
            "write sqlite:////path/to/ledger.sqlite"
        )
    return parsed


def _postgres_engine(url: URL) -> Engine:
    return create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True)


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_size=2, max_overflow=2)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    # A row must be on disk before its request leaves, also when the power fails.
    connection.execute("PRAGMA synchronous=FULL")
    _use_wal(connection)


@stamina.retry(on=lambda error: "locked" in str(error), attempts=20, wait_initial=0.05, timeout=30)
def _use_wal(connection: Any) -> None:
    """Readers and the writer do not block each other. Changing it ignores the busy time-out."""
    connection.execute("PRAGMA journal_mode=WAL").close()


def _begin_sqlite(connection: Connection) -> None:
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")


def _create_schema(engine: Engine) -> None:
    """Create what is missing: tables, columns that a later release added, indexes."""
    with write(engine) as connection:
        found = inspect(connection)
        for table in metadata.sorted_tables:
            if not found.has_table(table.name):
                connection.execute(CreateTable(table, if_not_exists=True))
                continue
            present = {column["name"] for column in found.get_columns(table.name)}
            operations = Operations(MigrationContext.configure(connection))
            for column in table.columns:
                if column.name not in present:
                    operations.add_column(table.name, _detached(column))
        for table in metadata.sorted_tables:
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def _detached(column: Column[Any]) -> Column[Any]:
    """The same column, of no table."""
    default = column.server_default
    return Column(column.name, column.type, nullable=column.nullable, server_default=default)


@contextmanager
def _file_lock(path: Path) -> Iterator[bool]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True  # closing the file gives the lock back


@contextmanager
def _postgres_emitter_lock(engine: Engine) -> Iterator[bool]:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        held = bool(connection.scalar(select(func.pg_try_advisory_lock(_EMITTER_LOCK))))
        try:
            yield held
        finally:
            if held:
                _unlock(connection)


def _unlock(connection: Connection) -> None:
    try:
        connection.execute(select(func.pg_advisory_unlock(_EMITTER_LOCK)))
    except OperationalError:
        # The connection is lost, and PostgreSQL has freed the lock with it.
        connection.invalidate()
