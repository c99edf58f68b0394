"""Reads snapshots as people do, with DuckDB and nothing else."""

from pathlib import Path
from typing import Any

import duckdb

from phash_dagster.warehouse import Connection, Warehouse


def opened(path: Path) -> Connection:
    return duckdb.connect(path, read_only=True)


def rows(connection: Connection, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table or view, in order; columns by name."""
    names = sorted(column[0] for column in connection.table(table).description)
    quoted = ", ".join(f'"{name}"' for name in names)
    return connection.execute(f"FROM {table} SELECT {quoted} ORDER BY ALL").fetchall()


def working_rows(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    """The same of the working file."""
    with warehouse.read() as connection:
        return rows(connection, table)


def tables(warehouse: Warehouse) -> list[str]:
    with warehouse.read() as connection:
        found = connection.execute(
            "FROM duckdb_tables() SELECT table_name WHERE NOT internal ORDER BY ALL"
        )
        return [name for (name,) in found.fetchall()]
