"""Every table, view and column says what it holds."""

import pytest

from phash_dagster.analysis.parts import LARGE_TABLES
from phash_dagster.analysis.views import MACROS, OTHERS, VIEWS
from phash_dagster.sql import sql_root
from phash_dagster.warehouse import Connection
from tests.analysis.conftest import Snapped

ENTRIES = (
    "FROM duckdb_tables() SELECT table_name, '', comment WHERE NOT internal UNION ALL "
    "FROM duckdb_views() SELECT view_name, '', comment WHERE NOT internal UNION ALL "
    "FROM duckdb_columns() SELECT table_name, column_name, comment WHERE NOT internal"
)


def comments(connection: Connection) -> dict[tuple[str, str], str | None]:
    rows = connection.execute(ENTRIES).fetchall()
    return {(table, column): comment for table, column, comment in rows}


def assert_all_say_something(found: dict[tuple[str, str], str | None]) -> None:
    silent = [
        f"{table}.{column}".rstrip(".") for (table, column), text in found.items() if not text
    ]
    assert silent == [], "COMMENT ON each of these in a migration: sql/schema/…_comments.sql"
    for (table, column), text in found.items():
        assert text is not None
        assert text.endswith("."), f"{table}.{column}: a comment is a sentence"


def test_in_the_snapshot(past: Snapped) -> None:
    past.take()
    with past.open() as connection:
        assert_all_say_something(comments(connection))


@pytest.mark.parametrize("table", LARGE_TABLES)
def test_the_views_of_large_tables_say_what_the_tables_say(past: Snapped, table: str) -> None:
    past.take()
    with past.open() as snapshot, past.warehouse.read() as warehouse:
        for one in (snapshot, warehouse):
            assert comments(one)[table, ""]
        assert {key: text for key, text in comments(snapshot).items() if key[0] == table} == {
            key: text for key, text in comments(warehouse).items() if key[0] == table
        }


def test_every_file_of_views_macros_and_comments_is_used() -> None:
    def stems(folder: str) -> set[str]:
        return {path.stem for path in (sql_root() / folder).glob("*.sql")}

    own = {name for name, source in VIEWS.items() if source.startswith("analysis/views/")}
    assert stems("analysis/views") == own
    assert stems("analysis/macros") == set(MACROS)
    assert stems("analysis/comments") == {*LARGE_TABLES, *OTHERS, *VIEWS}
