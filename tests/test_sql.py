"""SQL is code: in files, each with a header, loaded by name."""

import re
from pathlib import Path

import pytest

from phash_dagster.analysis.questions import questions
from phash_dagster.sql import sql_root, statement, statements
from phash_dagster.warehouse import Warehouse

FILES = sorted(sql_root().rglob("*.sql"))
NAMES = [str(path.relative_to(sql_root()).with_suffix("")) for path in FILES]
PACKAGE = Path(__file__).parents[1] / "phash_dagster"


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_says_what_it_is_for_and_stands_alone(name: str) -> None:
    text = statement(name)
    assert text.startswith("-- "), "the first line is a comment: what does it answer?"
    code = re.sub(r"--.*", "", text).strip()
    assert code.endswith(";")
    # A migration is one step, of several statements, and so are the comments of a view.
    if not name.startswith(("schema/", "analysis/comments/")):
        assert code.count(";") == 1, "one statement per file"
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("schema/")])
def test_a_statement_is_used(name: str) -> None:
    sources = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    folder, stem = name.rsplit("/", 1)
    if folder == "analysis":
        assert stem.replace("_", "-") in questions(), f"nobody can ask {stem}"
        return
    assert f'"{name}"' in sources or f'f"{folder}/' in sources, f"nothing loads {stem}"


def test_a_name_without_a_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        statement("no/such")


def test_migrations_come_in_the_order_of_their_numbers() -> None:
    names = list(statements("schema"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_every_table_view_and_column_of_the_warehouse_says_what_it_holds(tmp_path: Path) -> None:
    entries = (
        "FROM duckdb_tables() SELECT table_name, comment WHERE NOT internal UNION ALL "
        "FROM duckdb_views() SELECT view_name, comment WHERE NOT internal UNION ALL "
        "FROM duckdb_columns() SELECT table_name || '.' || column_name, comment WHERE NOT internal"
    )
    with Warehouse(tmp_path / "warehouse.duckdb").read() as connection:
        found = connection.execute(entries).fetchall()
    silent = [name for name, comment in found if not comment]
    assert silent == [], "COMMENT ON each of these in a migration: sql/schema/…_comments.sql"
    assert all(comment.endswith(".") for _, comment in found), "a comment is a sentence"
