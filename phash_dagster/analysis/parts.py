"""The tables that grow with every image, as Parquet files that grow with them.

Copied whole, they would be gigabytes each time. Their rows are numbered in the order of writing and
hardly ever change, so each range of numbers, a part, has a file of its own, and only the files of
parts that changed are written: mostly the last one. Whether a part changed is told by sums over its
rows, here and there. So nothing has to be remembered that could be wrong: when rows are forgotten,
or the warehouse comes out of a backup, the files follow.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.parquet_files import remove_abandoned, write_durably

LARGE_TABLES: Final = ("image_hashes", "image_outcomes")
"""Of image_outcomes those of images with a hash; the others change often and are copied."""

ROWS_PER_PART: Final = 100_000
"""Read in about 0.1 s, which writers wait for; 4 MB as a file."""

_EMPTY: Final = "_empty.parquet"


@dataclass(frozen=True)
class Parts:
    """The files of one large table.

    Attributes:
        table: Its name.
        folder: Where they are. Its name depends on columns and size: with others all are made anew.
        rows_per_part: Numbers that one file covers.
    """

    table: str
    folder: Path
    rows_per_part: int = ROWS_PER_PART

    @property
    def files(self) -> str:
        """A pattern that all the files have, one without rows among them."""
        return str(self.folder / "*.parquet")

    def look_at_files(self, connection: Connection) -> None:
        """Note what the files hold, before the warehouse is attached."""
        connection.execute(
            statement(f"snapshot/{self.table}_in_files"),
            {"files": self.files, "rows_per_part": self.rows_per_part},
        )

    def changed(self, connection: Connection) -> list[int]:
        """The parts that are not as their files have them, the oldest first.

        The warehouse is attached, and the files were looked at.
        """
        parts = connection.execute(
            statement(f"snapshot/{self.table}_changed"), {"rows_per_part": self.rows_per_part}
        )
        return [part for (part,) in parts.fetchall()]

    def take(self, connection: Connection, part: int) -> pa.Table:
        """The rows of a part; the warehouse is attached."""
        return self._rows(connection, 1 + part * self.rows_per_part, self.rows_per_part)

    def write(self, connection: Connection, part: int, rows: pa.Table) -> int:
        """Make the file of a part hold these rows, durably; return its size in bytes."""
        path = self.folder / f"{part:06}.parquet"
        if not rows.num_rows:
            path.unlink(missing_ok=True)
            return 0
        self._write(connection, path, rows)
        return path.stat().st_size

    def prepare(self, connection: Connection) -> None:
        """Make the folder, and in it the file without rows; the warehouse is attached."""
        if not (self.folder / _EMPTY).exists():
            self._write(connection, self.folder / _EMPTY, self._rows(connection, 1, 0))
        remove_abandoned(self.folder)

    def _rows(self, connection: Connection, first_number: int, count: int) -> pa.Table:
        numbers = {"first_number": first_number, "last_number": first_number + count - 1}
        return connection.sql(
            statement(f"snapshot/{self.table}_part"), params=numbers
        ).to_arrow_table()

    def _write(self, connection: Connection, path: Path, rows: pa.Table) -> None:
        table = connection.from_arrow(rows)
        write_durably(path, lambda file: table.write_parquet(str(file), compression="zstd"))


def parts_of(connection: Connection, store: Path, rows_per_part: int) -> list[Parts]:
    """The parts of each large table, whose folders are in `store`; the warehouse is attached."""
    found = connection.execute(statement("snapshot/large_columns")).fetchall()
    columns: Mapping[str, str] = dict(found)
    return [
        Parts(table, store / f"{table}-{_digest(columns[table], rows_per_part)}", rows_per_part)
        for table in LARGE_TABLES
    ]


def unused_folders(store: Path, used: list[Parts]) -> Iterator[Path]:
    """Folders with the parts of earlier releases."""
    folders = {parts.folder for parts in used}
    for table in LARGE_TABLES:
        yield from (path for path in store.glob(f"{table}-*") if path not in folders)


def _digest(columns: str, rows_per_part: int) -> str:
    return hashlib.sha256(f"{columns} {rows_per_part}".encode()).hexdigest()[:8]
