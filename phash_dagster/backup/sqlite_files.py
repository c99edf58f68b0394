"""SQLite files as they stand at one moment, copied while others go on writing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_BUSY_SECONDS = 60.0


@dataclass(frozen=True)
class SqliteSnapshot:
    """A database as it stood when the snapshot began."""

    _connection: sqlite3.Connection

    def copy_to(self, path: Path) -> None:
        """Write it into a new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as target:
            self._connection.backup(target)


@contextmanager
def sqlite_snapshot(path: Path) -> Iterator[SqliteSnapshot]:
    """Let a database stand still for us, in a read transaction; in WAL mode nobody waits for it."""
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        # The transaction begins with the first read.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield SqliteSnapshot(connection)


def is_sound(path: Path) -> bool:
    """Whether a file is a SQLite database without damage."""
    try:
        with closing(_connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchall() == [("ok",)])
    except sqlite3.DatabaseError:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: no new file where there is none.
    address = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
