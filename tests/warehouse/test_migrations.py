"""A warehouse of any earlier release is brought up to date with all its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from phash_dagster.sql import statements
from phash_dagster.warehouse import Connection, Warehouse

pytestmark = pytest.mark.slow

MIGRATIONS = statements("schema")
ROWS = 3

_VALUES = {
    "VARCHAR": "'text {n}'",
    "VARCHAR[]": "['one {n}', 'two']",
    "JSON": """'{{"rules": [{n}]}}'""",
    "BOOLEAN": "{n} % 2 = 0",
    "TIMESTAMP WITH TIME ZONE": "make_timestamptz(1764000000000000 + {n})",
    "DATE": "DATE '2026-11-23' + {n}",
    "DOUBLE": "{n} + 0.5",
}
"""How the n-th row of a test is written, by the column's type; a number for all others."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    default: str | None

    def value(self, row: int) -> str:
        return _VALUES.get(self.type, "{n}").format(n=row)


def columns(connection: Connection) -> dict[str, list[Column]]:
    """The columns of each table, those of the migrations' own table left out."""
    rows = connection.execute(
        "FROM duckdb_columns() SELECT table_name, column_name, data_type, column_default "
        "WHERE NOT internal AND table_name IN (FROM duckdb_tables() SELECT table_name) "
        "ORDER BY table_name, column_index"
    ).fetchall()
    found: dict[str, list[Column]] = {}
    for table, *column in rows:
        if table != "schema_migrations":
            found.setdefault(table, []).append(Column(*column))
    return found


def written(columns_of_table: list[Column]) -> list[str]:
    """The names of those that a release writes itself; sequences number the rest."""
    return [one.name for one in columns_of_table if "nextval" not in (one.default or "")]


def contents(connection: Connection, table: str, names: list[str]) -> list[tuple[Any, ...]]:
    listed = ", ".join(f'"{name}"' for name in names)
    return sorted(connection.execute(f'SELECT {listed} FROM "{table}"').fetchall(), key=repr)


def old_warehouse(path: Path, release: int) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """A warehouse as it was when there were so many migrations, with rows in every table.

    Rows come before the last migration, so that it has to do with them.
    """
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE schema_migrations (name VARCHAR PRIMARY KEY, "
            "applied_at TIMESTAMPTZ NOT NULL DEFAULT current_timestamp)"
        )
        for name, text in list(MIGRATIONS.items())[:release]:
            connection.execute(text)
            connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", [name])
        found = {}
        for table, known in columns(connection).items():
            names = written(known)
            for row in range(ROWS):
                values = [column.value(row) for column in known if column.name in names]
                listed = ", ".join(f'"{name}"' for name in names)
                connection.execute(f'INSERT INTO "{table}" ({listed}) SELECT {", ".join(values)}')
            found[table] = (names, contents(connection, table, names))
    return found


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Column]]:
    """The tables of a new warehouse."""
    with Warehouse(tmp_path_factory.mktemp("new") / "warehouse.duckdb").read() as connection:
        return columns(connection)


def releases() -> Iterator[Any]:
    for number, name in enumerate(MIGRATIONS, start=1):
        yield pytest.param(number, id=f"after {name}")


@pytest.mark.parametrize("release", releases())
def test_every_earlier_warehouse_keeps_its_rows_and_gets_todays_tables(
    release: int, current: dict[str, list[Column]], tmp_path: Path
) -> None:
    path = tmp_path / "warehouse.duckdb"
    before = old_warehouse(path, release)
    assert before, "the first migration makes a table"
    with Warehouse(path).read() as connection:
        assert {
            table: {(column.name, column.type, column.default) for column in known}
            for table, known in columns(connection).items()
        } == {
            table: {(column.name, column.type, column.default) for column in known}
            for table, known in current.items()
        }
        applied = connection.execute("FROM schema_migrations SELECT name ORDER BY name").fetchall()
        assert [name for (name,) in applied] == list(MIGRATIONS)
        for table, (names, rows) in before.items():
            assert contents(connection, table, names) == rows, table


@pytest.mark.parametrize("release", releases())
def test_every_earlier_warehouse_takes_new_rows(release: int, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    old_warehouse(path, release)
    with Warehouse(path).write() as connection:
        for table, known in columns(connection).items():
            names = written(known)
            values = [column.value(99) for column in known if column.name in names]
            listed = ", ".join(f'"{name}"' for name in names)
            connection.execute(f'INSERT INTO "{table}" ({listed}) SELECT {", ".join(values)}')
        for table in columns(connection):
            count = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            assert count is not None
            assert count[0] >= 1


def test_hashes_of_before_they_had_numbers_have_one_each(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    old_warehouse(path, 1)
    with Warehouse(path).read() as connection:
        numbers = connection.execute("FROM image_hashes SELECT hash_number").fetchall()
    assert len({number for (number,) in numbers if number is not None}) == ROWS
