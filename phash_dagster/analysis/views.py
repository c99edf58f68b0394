"""The views of the snapshot: over Parquet files, and for people.

The files are named by patterns, so a snapshot that was opened long ago finds what compaction made
of them since, and posts that came later.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from phash_dagster.analysis.parts import LARGE_TABLES
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.schema import SCHEMA as RECORD_SCHEMA
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts
from phash_dagster.warehouse.image_posts import SCHEMA as POST_SCHEMA
from phash_dagster.warehouse.parquet_files import write_table

VIEWS: Final[Mapping[str, str]] = {
    "image_posts": "analysis/views/image_posts",
    "ingest_batches": "analysis/views/ingest_batches",
    "stream_gaps": "ingest/stream_gaps",
    "ingest_anomalies": "ingest/ingest_anomalies",
    "pipeline_lag": "ingest/pipeline_lag",
    "rules_in_force": "analysis/views/rules_in_force",
    "post_matches": "analysis/views/post_matches",
    "actions_daily": "analysis/views/actions_daily",
    "top_accounts": "analysis/views/top_accounts",
    "rule_precision": "analysis/views/rule_precision",
    "coverage": "analysis/views/coverage",
    "hash_clusters": "analysis/views/hash_clusters",
}
"""The views for people, each after those it stands on, and the statement that it is."""

MACROS: Final = ("hour_of", "hash_text", "hamming_distance")

OTHERS: Final = ("image_post_files", "ingest_batch_files", "unhashed_outcomes", "about_snapshot")
"""What else only the snapshot has."""


def add_views(
    connection: Connection,
    *,
    files: Mapping[str, str],
    last_numbers: Mapping[str, int],
    posts: ImagePosts,
    ingest: IngestRecords,
    store: Path,
) -> None:
    """Add the views to the database in use, which has the tables already.

    Args:
        connection: To the snapshot.
        files: Pattern of the files of each large table.
        last_numbers: The largest number in each large table, as of the snapshot.
        posts: The folder behind `image_posts`.
        ingest: The folder behind `ingest_batches`.
        store: Where files without rows are kept.
    """
    for table in LARGE_TABLES:
        connection.execute(statement(f"snapshot/drop_{table}"))
        view = connection.sql(
            statement(f"snapshot/{table}"),
            params={"files": files[table], "last_number": last_numbers[table]},
        )
        view.create_view(table)
    _add_files(connection, "image_post_files", posts.root, _NO_POSTS, store)
    _add_files(connection, "ingest_batch_files", ingest.root, _NO_BATCHES, store)
    for name in MACROS:
        connection.execute(statement(f"analysis/macros/{name}"))
    for name, source in VIEWS.items():
        connection.sql(statement(source)).create_view(name)
    for name in (*LARGE_TABLES, *OTHERS, *VIEWS):
        connection.execute(statement(f"analysis/comments/{name}"))


class _Nothing:
    """A file without rows: with it a pattern always has a file to read the columns from."""

    def __init__(self, partition: str, schema: pa.Schema) -> None:
        self.key = partition.partition("=")[0]
        self._partition = partition
        self._schema = schema

    def file(self, store: Path, name: str) -> Path:
        path = store / "empty" / name / self._partition / "empty.parquet"
        return path if path.exists() else write_table(self._schema.empty_table(), path)


_NO_POSTS: Final = _Nothing("hour=1970-01-01-00", POST_SCHEMA)
_NO_BATCHES: Final = _Nothing("day=1970-01-01", RECORD_SCHEMA)


def _add_files(
    connection: Connection, name: str, root: Path, nothing: _Nothing, store: Path
) -> None:
    """A view of all Parquet files in the folders `key=…` of `root`, with the column `key`."""
    pattern = f"{nothing.key}=*/*.parquet"
    found = [str(root / pattern)] if next(root.glob(pattern), None) else []
    paths = [str(nothing.file(store, name)), *found]
    connection.read_parquet(paths, hive_partitioning=True).create_view(name)
