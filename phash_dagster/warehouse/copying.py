"""A copy of the DuckDB file as it stands."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from phash_dagster.warehouse.database import Connection, Warehouse

_AT_ONCE: Final = 1 << 26
_NOT_HERE: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What the kernel says where it cannot copy between these files."""


@dataclass(frozen=True)
class StillWarehouse:
    """A warehouse that nobody writes to at the moment.

    Attributes:
        migrations: The names of those that it has seen.
    """

    migrations: tuple[str, ...]
    _warehouse: Warehouse
    _open_files: ExitStack

    def copy_to(self, path: Path) -> None:
        """Write the file, and the log beside it that a killed process may have left."""
        path.parent.mkdir(parents=True, exist_ok=True)
        source = self._warehouse.path
        for one, target in ((source, path), (_log_of(source), _log_of(path))):
            if one.exists():
                # Left open: closing any descriptor of a file takes this process's lock on it away.
                file = self._open_files.enter_context(one.open("rb", buffering=0))
                with target.open("xb", buffering=0) as copy:
                    _copy_bytes(file, copy)


@contextmanager
def still_warehouse(warehouse: Warehouse) -> Iterator[StillWarehouse]:
    """Keep every process from writing to the warehouse while the block lasts; reading goes on.

    Raises:
        WarehouseBusyError: The file stayed locked by another process.
    """
    with ExitStack() as open_files, warehouse.standing_still() as connection:
        yield StillWarehouse(_migrations(connection), warehouse, open_files)


def _migrations(connection: Connection) -> tuple[str, ...]:
    rows = connection.execute("FROM schema_migrations SELECT name ORDER BY name").fetchall()
    return tuple(name for (name,) in rows)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _copy_bytes(source: FileIO, target: FileIO) -> None:
    """Copy a file within the kernel, which shares blocks where the file system can."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), _AT_ONCE):
            pass
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        shutil.copyfileobj(source, target, _AT_ONCE)
