"""The DuckDB access path: short transactions, retried on the file lock, and schema migrations.

One process may hold a DuckDB file for writing, and while it does no other process can open it,
not even to read. So a connection lives for one transaction and is never held across network I/O;
whoever finds the file locked waits a moment, with jitter, and tries again.

DuckDB's own lock does not suffice for that. Seen with DuckDB 2.0 (by strace, and as rows that were
lost): it reads the headers of the file, closes it, and only then opens it again and locks it. A
process that reads the headers just before another one ends its transaction gets the lock, takes
what it has read for current, and its own transaction overwrites the other's. So whoever opens the
file here holds a lock of ours beside it, from before DuckDB looks at the file until it has closed
it. A program that writes into the file without (a DuckDB shell) can still lose rows in that way.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import stamina

from phash_dagster.sql import statements

Connection = duckdb.DuckDBPyConnection

T = TypeVar("T")

LOCK_WAIT_SECONDS = 60.0
"""How long opening the file is retried while other processes use it."""


class WarehouseBusyError(RuntimeError):
    """Another process kept the DuckDB file open for longer than the pipeline waits."""


@dataclass(frozen=True)
class SchemaState:
    """Migrations of this release that a file has not seen, and those of later ones that it has."""

    pending: tuple[str, ...]
    unknown: tuple[str, ...]


class Warehouse:
    """The DuckDB working file. Open it only through `read` and `write`."""

    def __init__(self, path: Path, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        self.path = path
        self._lock_wait_seconds = lock_wait_seconds
        self._seen_current = False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed on normal exit, rolled back when the block raises.

        Pending schema migrations are applied first.

        Raises:
            WarehouseBusyError: The file stayed locked by another process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open(read_only=False) as connection:
            _migrate(connection)
            with transaction(connection):
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only connection; several processes may read at the same time.

        A file that does not exist yet, or of an earlier release, is brought up to date first.

        Raises:
            WarehouseBusyError: The file stayed locked by another process.
        """
        if not self._is_current():
            with self.write():
                pass
        with self._open(read_only=True) as connection:
            yield connection

    @contextmanager
    def attached(self, connection: Connection, name: str, *, alone: bool = False) -> Iterator[None]:
        """Let another connection of this process read the database as `name`; nobody can write.

        Args:
            connection: The other connection.
            name: What the database is called there.
            alone: Whether nobody else can read either, so that the file may be replaced: who reads
                the headers of one file must not open the other.

        Raises:
            WarehouseBusyError: The file stayed locked by another process.
        """

        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        attach = f"ATTACH $1 AS {name} (READ_ONLY)"
        with self._locked(kind, lambda: connection.execute(attach, [str(self.path)])):
            try:
                yield
            finally:
                connection.execute(f"DETACH DATABASE IF EXISTS {name}")

    def schema_state(self) -> SchemaState:
        """How the schema of the file compares with this release. Changes nothing.

        Raises:
            WarehouseBusyError: The file stayed locked by another process.
            duckdb.Error: The file does not exist, or is none of DuckDB's.
        """
        with self._open(read_only=True) as connection:
            known = statements("schema")
            applied = _applied(connection)
        return SchemaState(
            pending=tuple(name for name in known if name not in applied),
            unknown=tuple(sorted(applied - known.keys())),
        )

    @contextmanager
    def standing_still(self) -> Iterator[Connection]:
        """A connection that reads the file as it is, of whatever release; nobody writes meanwhile.

        Raises:
            WarehouseBusyError: The file stayed locked by another process.
        """
        with self._open(read_only=True) as connection:
            yield connection

    def _is_current(self) -> bool:
        if not self.path.exists():
            return False
        if not self._seen_current:
            with self._open(read_only=True) as connection:
                self._seen_current = not _pending(connection)
        return self._seen_current

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[Connection]:
        kind = fcntl.LOCK_SH if read_only else fcntl.LOCK_EX
        with self._locked(kind, lambda: self._connect(read_only=read_only)) as connection:
            try:
                # One time zone for every session, so that timestamps read the same on any machine.
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
            finally:
                connection.close()

    def _retry(self, attempt_once: Callable[[], T]) -> T:
        retrying = stamina.retry_context(
            on=is_lock_conflict,
            attempts=None,
            timeout=self._lock_wait_seconds,
            wait_initial=0.01,
            wait_max=0.5,
            wait_jitter=0.1,
            wait_exp_base=1.6,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return attempt_once()
        except (duckdb.Error, BlockingIOError) as error:
            if not is_lock_conflict(error):
                raise
            cause = (
                "The pipeline itself has it open"
                if isinstance(error, BlockingIOError)
                else f"DuckDB says: {error}"
            )
            raise WarehouseBusyError(
                f"{self.path} was in use by another process for {self._lock_wait_seconds:g} s. "
                "Close programs that have this file open (a DuckDB shell, a notebook); "
                f"ask the snapshot analytics.duckdb instead. {cause}"
            ) from error
        raise AssertionError("unreachable: stamina returns or raises")

    def _connect(self, *, read_only: bool) -> Connection:
        return duckdb.connect(self.path, read_only=read_only)

    @contextmanager
    def _locked(self, kind: int, open_file: Callable[[], T]) -> Iterator[T]:
        """Open the file under our lock, which is held while the block runs.

        Both are tried again together: nobody waits for DuckDB's lock while others wait for ours.
        """
        with ExitStack() as held:

            def attempt_once() -> T:
                with ExitStack() as attempt:
                    attempt.enter_context(self._lock(kind))
                    opened = open_file()
                    held.enter_context(attempt.pop_all())
                return opened

            yield self._retry(attempt_once)

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Our lock on the file: shared by those who read, for one alone who writes.

        Not on the file itself: whoever closes it loses all locks that its process has on it.
        """
        path = self.path.with_name(lock_name(self.path.name))
        # Only who writes makes the file: a stranger's would keep the pipeline out.
        create = os.O_CREAT if kind == fcntl.LOCK_EX else 0
        try:
            file = os.open(path, os.O_RDONLY | create, 0o666)
        except OSError:
            if kind == fcntl.LOCK_EX:
                raise
            yield  # Where nobody has written with this release yet.
            return
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            yield
        finally:
            os.close(file)


def lock_name(name: str) -> str:
    """The name of the lock file beside a DuckDB file of this name."""
    return f".{name}.lock"


def is_lock_conflict(error: Exception) -> bool:
    """Whether a file could not be opened because another process, or thread, has it open."""
    if isinstance(error, BlockingIOError):  # of our lock
        return True
    # The second text is what a process gets that reads and writes in two threads.
    return isinstance(error, duckdb.IOException | duckdb.ConnectionException) and (
        "Could not set lock" in str(error) or "different configuration" in str(error)
    )


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """One transaction: committed on normal exit, rolled back when the block raises."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _migrate(connection: Connection) -> None:
    """Apply the files of `sql/schema/` that this database has not seen, in name order."""
    pending = _pending(connection)
    if not pending:
        return
    with transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name VARCHAR PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT current_timestamp)"
        )
        for name, text in pending.items():
            connection.execute(text)
            connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", [name])


def _pending(connection: Connection) -> dict[str, str]:
    """The migrations that this database has not seen, by name."""
    applied = _applied(connection)
    return {name: text for name, text in statements("schema").items() if name not in applied}


def _applied(connection: Connection) -> set[str]:
    known = connection.execute(
        "FROM duckdb_tables() SELECT table_name WHERE table_name = 'schema_migrations'"
    ).fetchall()
    rows = connection.execute("FROM schema_migrations SELECT name").fetchall() if known else []
    return {name for (name,) in rows}
