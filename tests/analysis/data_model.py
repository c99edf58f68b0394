"""Writes docs/data-model.md from the schema: `python -m tests.analysis.data_model`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from phash_dagster.analysis.parts import LARGE_TABLES
from phash_dagster.analysis.views import MACROS, OTHERS, VIEWS
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection
from tests.analysis.conftest import Snapped

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "data-model.md"

INTRODUCTION: Final = """\
# Data model

What the snapshot `DATA_DIR/analytics.duckdb` holds, table by table. How to ask it:
[sql-cookbook.md](sql-cookbook.md). The same words are in the database:
`FROM duckdb_columns() SELECT table_name, column_name, comment`.

This page is made from the schema by `make data-model`.

## How things hang together

Key columns only.
"""

PARQUET: Final = ("image_posts", "ingest_batches")
"""Kept in Parquet files; views in the snapshot."""

ALSO_FILES: Final = """\
The first two are read in place from the Parquet files of the pipeline, so a snapshot that was
opened long ago shows posts that came later. `image_hashes` and `image_outcomes` are views over
Parquet files, too, as of the snapshot, without what was forgotten or hashed anew since. The others
are copies of the tables in the working file.
"""

REFERENCES: Final = (
    ("image_posts", "blob_cid", "image_outcomes", "blob_cid", "}o--o|", "image"),
    ("image_hashes", "blob_cid", "image_outcomes", "blob_cid", "}o--||", "image"),
    ("image_attempts", "blob_cid", "image_outcomes", "blob_cid", "}o--||", "image"),
    ("image_attempts", "did", "account_endpoints", "did", "}o--o|", "author"),
    ("rule_matches", "blob_cid", "image_hashes", "blob_cid", "}o--||", "image and algorithm"),
    ("rule_matches", "rule_hash", "rule_hashes", "rule_hash", "}o--|{", "rule and hash"),
    ("rule_matches", "first_version", "rule_versions", "version", "}o--||", "found first"),
    ("rule_hashes", "version", "rule_versions", "version", "}o--||", "version"),
    ("rule_loads", "version", "rule_versions", "version", "}|--||", "version"),
    ("hashes_in_force", "rule_hash", "rule_hashes", "rule_hash", "|o--|{", "rule and hash"),
    ("matched_hashes", "version", "rule_versions", "version", "}o--||", "version"),
    ("partition_matches", "version", "rule_versions", "version", "}o--||", "version"),
    ("moderation_actions", "source_uri", "image_posts", "uri", "}o--|{", "post"),
    ("moderation_actions", "rule_version", "rule_versions", "version", "}o--||", "version"),
    ("moderation_actions", "rule_hash", "rule_hashes", "rule_hash", "}o--|{", "rule and hash"),
    ("moderation_actions", "undoes", "moderation_actions", "action_id", "|o--o|", "takes back"),
    ("action_outcomes", "action_id", "moderation_actions", "action_id", "}o--||", "became of it"),
    ("exempt_accounts", "list_uri", "exempt_lists", "list_uri", "}o--||", "list"),
)
"""Which column leads to which, how many on each side (as Mermaid writes it), and by what."""


NAMES: Final = {("image_posts", "hour"), ("ingest_batches", "name"), ("rule_hashes", "rule_id")}
"""Columns that the diagram shows besides those and keys."""


@dataclass(frozen=True)
class Column:
    """A column, and whether it is a key by itself or with others."""

    name: str
    type: str
    comment: str
    is_key: bool


@dataclass(frozen=True)
class Entity:
    """A table or view."""

    name: str
    comment: str
    columns: Sequence[Column]


def entities(connection: Connection, keys: frozenset[tuple[str, str]]) -> dict[str, Entity]:
    """All tables and views of a database."""
    comments = dict(
        connection.execute(
            "FROM duckdb_tables() SELECT table_name, comment WHERE NOT internal UNION ALL "
            "FROM duckdb_views() SELECT view_name, comment WHERE NOT internal"
        ).fetchall()
    )
    columns: dict[str, list[Column]] = {}
    for table, name, kind, comment in connection.execute(
        "FROM duckdb_columns() SELECT table_name, column_name, data_type, comment "
        "WHERE NOT internal ORDER BY table_name, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(
            Column(name, short_type(kind), comment, (table, name) in keys)
        )
    return {name: Entity(name, comments[name], columns[name]) for name in sorted(columns)}


def primary_keys(connection: Connection) -> frozenset[tuple[str, str]]:
    """The columns of primary keys in the working file."""
    rows = connection.execute(
        "FROM duckdb_constraints() SELECT table_name, unnest(constraint_column_names) "
        "WHERE constraint_type = 'PRIMARY KEY'"
    ).fetchall()
    return frozenset((table, column) for table, column in rows)


def short_type(kind: str) -> str:
    """The type without what is in it, and without spaces."""
    return re.sub(r"STRUCT\(.*\)", "STRUCT", kind).replace(
        "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"
    )


def document() -> str:
    """The whole page."""
    with TemporaryDirectory() as folder:
        past = Snapped(Path(folder))
        past.take()
        with past.warehouse.read() as connection:
            keys = primary_keys(connection)
        with past.open() as connection:
            found = entities(connection, keys)
    stored = [name for name in found if name not in {*VIEWS, *OTHERS, *PARQUET, "version_in_force"}]
    tables = [*PARQUET, *stored]
    views = [name for name in found if name not in tables]
    parts = [
        INTRODUCTION,
        *diagram([found[name] for name in tables]),
        "\n## Tables\n\n",
        ALSO_FILES,
        *(part for name in tables for part in section(found[name])),
        "\n## Views for people, and what serves them\n",
        *(part for name in views for part in section(found[name])),
        "\n## Functions\n\n| Function | Meaning |\n|---|---|\n",
        *(f"| `{name}` | {meaning_of_macro(name)} |\n" for name in MACROS),
    ]
    return "".join(parts)


def diagram(tables: Sequence[Entity]) -> Iterator[str]:
    """The entities with the columns that connect them."""
    connecting = {(table, column) for table, column, *_ in REFERENCES}
    connecting |= {(table, column) for _, _, table, column, *_ in REFERENCES}
    connecting |= NAMES
    yield "\n```mermaid\nerDiagram\n"
    for one, _, other, _, cardinality, by in REFERENCES:
        yield f'    {one} {cardinality} {other} : "{by}"\n'
    for table in tables:
        shown = [
            column
            for column in table.columns
            if column.is_key or (table.name, column.name) in connecting
        ]
        yield f"    {table.name} {{\n"
        for column in shown:
            yield f"        {column.type} {column.name}{' PK' if column.is_key else ''}\n"
        yield "    }\n"
    yield "```\n"


def section(entity: Entity) -> Iterator[str]:
    """What one table or view holds."""
    yield f"\n### {entity.name}\n\n{entity.comment}\n\n| Column | Type | Meaning |\n|---|---|---|\n"
    for column in entity.columns:
        key = ", key" if column.is_key else ""
        yield f"| `{column.name}` | {column.type}{key} | {column.comment} |\n"


def meaning_of_macro(name: str) -> str:
    """The header of its file."""
    lines = statement(f"analysis/macros/{name}").splitlines()
    return " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))


assert set(LARGE_TABLES) <= {table for table, *_ in REFERENCES} | {
    table for _, _, table, *_ in REFERENCES
}

if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
