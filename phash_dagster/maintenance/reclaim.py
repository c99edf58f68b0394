"""Gives back to the file system what the DuckDB file no longer needs.

Measured with DuckDB 2.0: after rows are deleted, a checkpoint (each write transaction ends with
one) frees their blocks for reuse within the file. The file itself hardly gets smaller, neither by
`CHECKPOINT` nor by `VACUUM`; only a copy is as small as its content. Since freed blocks are reused,
a copy is worth its time only where much is free at once, e.g. after `RETENTION_DAYS` was lowered.

The copy is made while nobody else can open the file, and takes its place in one step.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse
from phash_dagster.warehouse.parquet_files import remove_abandoned, write_durably

MIN_FREE_SHARE: Final = 0.5
MIN_FREE_BYTES: Final = 256_000_000
"""So much must be free for a copy to be worth its time."""

MAX_BYTES_ONLINE: Final = 500_000_000
"""Content that is copied while others wait: about 20 s. They wait for up to a minute."""


class ReclaimError(RuntimeError):
    """The copy was not what it should be; the file is as it was."""


@dataclass(frozen=True)
class Space:
    """Bytes of a DuckDB file, and how many of them are free for reuse."""

    total: int = 0
    free: int = 0

    @property
    def used(self) -> int:
        """Bytes of its content."""
        return self.total - self.free

    @property
    def is_worth_a_copy(self) -> bool:
        """Whether much of the file is free."""
        return self.free >= MIN_FREE_BYTES and self.free >= MIN_FREE_SHARE * self.total


@dataclass(frozen=True)
class Reclaimed:
    """What became of the file.

    Attributes:
        before: Its space before.
        after: Its space after; the same if it was not copied.
        note: Why it was not copied although much is free, or what was done.
    """

    before: Space
    after: Space
    note: str


def space(warehouse: Warehouse) -> Space:
    """The space of the file; none if there is no file."""
    if not warehouse.path.exists():
        return Space()
    with warehouse.read() as connection:
        [(total, free)] = connection.execute(statement("maintenance/space")).fetchall()
    return Space(int(total), int(free))


def reclaim(warehouse: Warehouse, *, others_wait: bool) -> Reclaimed:
    """Replace the file by a copy of its content if much of it is free.

    Args:
        warehouse: The file.
        others_wait: Whether the pipeline is running; then only a small file is copied.

    Raises:
        ReclaimError: The copy was not what it should be.
        OSError: It could not be written; the file is as it was.
        WarehouseBusyError: Another process kept the file open for long.
    """
    before = space(warehouse)
    if not before.is_worth_a_copy:
        return Reclaimed(before, before, "free blocks are reused; not worth a copy")
    if others_wait and before.used > MAX_BYTES_ONLINE:
        note = "too large to be copied while others wait: stop the pipeline and run "
        return Reclaimed(before, before, f"{note}`phash-dagster maintenance`")
    room = shutil.disk_usage(warehouse.path.parent).free
    if room < 1.2 * before.used:
        return Reclaimed(before, before, f"a copy does not fit: {room} bytes of disk are left")
    if not replace_by_copy(warehouse):
        return Reclaimed(before, before, "somebody was writing; the next maintenance tries again")
    return Reclaimed(before, space(warehouse), "replaced by a copy")


def replace_by_copy(warehouse: Warehouse) -> bool:
    """Copy the content into a new file and put it in the place of the old one.

    Returns:
        Whether it was; not if changes wait to be written into the old file (a writer was killed).
    """
    _remove_abandoned(warehouse.path)
    with warehouse.write():
        pass  # Opening for writing and closing leaves nothing in the write-ahead log.
    with duckdb.connect() as connection, warehouse.attached(connection, "old", alone=True):
        if Path(f"{warehouse.path}.wal").exists():
            return False
        write_durably(warehouse.path, lambda temporary: _copy(connection, temporary))
    return True


def _remove_abandoned(path: Path) -> None:
    """Remove what a copy that was killed has left."""
    remove_abandoned(path.parent)
    for log in path.parent.glob(f".{path.name}.*.tmp.wal"):
        if not log.with_suffix("").exists():
            log.unlink(missing_ok=True)


def _copy(connection: Connection, target: Path) -> None:
    """Copy the database `old` into a new file, and look at what came out."""
    try:
        connection.execute(f"ATTACH '{_quoted(target)}' AS new")
        connection.execute("COPY FROM DATABASE old TO new")
        before, copied = _content(connection, "old"), _content(connection, "new")
        connection.execute("DETACH new")
    except BaseException:
        Path(f"{target}.wal").unlink(missing_ok=True)
        raise
    if copied != before:
        raise ReclaimError(
            f"the copy of {target} differs from the original and was thrown away: "
            f"{set(before) ^ set(copied)}. Please report this."
        )


def _content(connection: Connection, database: str) -> list[tuple[object, ...]]:
    """What the database consists of, and of each table the number of rows and a sum over them."""
    rows = connection.execute(statement("maintenance/content"), {"database": database}).fetchall()
    for table in [content for kind, content in rows if kind == "table"]:
        relation = connection.table(f"{database}.{table}").set_alias("each_row")
        [found] = relation.aggregate("count(*), bit_xor(hash(each_row))").fetchall()
        rows.append((table, *found))
    return rows


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
