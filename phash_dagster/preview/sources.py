"""Takes out of the pipeline's stores what a preview needs, without writing to them.

Who reads the DuckDB file keeps writers out of it, so it is opened twice for a moment: for the hash
values alone, and once it is known which of them are near, for the images that have these. All
else happens in the preview's own folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import stamina

from phash_dagster.rules import RuleSet, current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse

_WORD: Final = 64
"""Bits that the column `hash` holds; those of wider hashes fill more columns."""


@dataclass(frozen=True)
class StoredValues:
    """What the first look takes.

    Attributes:
        by_algorithm: The hash columns of every image, by algorithm.
        exempt: The accounts that lists exempt; None where there is no warehouse yet.
        in_force: Since when each rule hash in force acts as it does; None where there is no
            warehouse yet.
        ruleset: The rules in force; None before the first.
    """

    by_algorithm: Mapping[str, pa.Table] = field(default_factory=dict)
    exempt: pa.Table | None = None
    in_force: pa.Table | None = None
    ruleset: RuleSet | None = None


class OldWarehouseError(RuntimeError):
    """The DuckDB file is of an earlier release, and nothing may be written to it here."""


def take_values(warehouse: Warehouse, algorithms: Mapping[str, int]) -> StoredValues:
    """Every stored hash by these algorithms, and what is in force.

    Args:
        warehouse: The pipeline's; it may not exist yet.
        algorithms: Name of each algorithm and the bits of its hashes.

    Raises:
        OldWarehouseError: It lacks tables of this release.
    """
    if not warehouse.path.exists():
        return StoredValues()
    with warehouse.read() as connection, require_current(warehouse):
        return StoredValues(
            by_algorithm={
                name: _values(connection, name, bits) for name, bits in algorithms.items()
            },
            exempt=arrow(connection, "preview/listed_accounts"),
            in_force=arrow(connection, "preview/hashes_in_force"),
            # Last: it leaves a result open, and then the connection takes no other question.
            ruleset=current_version(connection),
        )


@contextmanager
def require_current(warehouse: Warehouse) -> Iterator[None]:
    """Explain what fails in this block because the file lacks tables of this release.

    Raises:
        OldWarehouseError: It does.
    """
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise OldWarehouseError(
            f"{warehouse.path} was last written by an earlier release; start the pipeline "
            f"once, which brings it up to date. DuckDB says: {error}"
        ) from error


def _values(connection: Connection, algorithm: str, bits: int) -> pa.Table:
    name = "preview/hash_values" if bits <= _WORD else "preview/wide_hash_values"
    return arrow(connection, name, algorithm=algorithm)


def take_images(warehouse: Warehouse, near: pa.Table) -> pa.Table:
    """The rows of `image_hashes` with one of these values of `hash`.

    The warehouse must exist.
    """
    with warehouse.read() as connection:
        connection.register("near_values", near)
        return arrow(connection, "preview/near_images")


@dataclass(frozen=True)
class Period:
    """The hours whose posts count, and those that may tell what became of these."""

    hours: Sequence[str]
    told_by: Sequence[str]


def take_posts(source: ImagePosts, period: Period, images: pa.Table, target: ImagePosts) -> int:
    """Copy what `image_posts` tells of the posts with these images, and of their authors.

    Returns:
        How many rows with an image the period has in all.
    """
    # Files may go while we read: their hour was compacted. Then look again.
    for attempt in stamina.retry_context(on=duckdb.IOException, attempts=5, wait_initial=0.05):
        with attempt:
            rows, count = _read_posts(source, period, images)
    if rows.num_rows:
        pq.write_to_dataset(rows, target.root, partition_cols=["hour"])
    return count


def _read_posts(source: ImagePosts, period: Period, images: pa.Table) -> tuple[pa.Table, int]:
    files = source.files(period.hours)
    if not files:
        return pa.table({}), 0
    with duckdb.connect() as connection:
        connection.register("near_images", images.select(["blob_cid"]))
        set_files(connection, files)
        [(count,)] = connection.execute(statement("preview/image_count")).fetchall()
        connection.execute(statement("preview/wanted_posts"))
        set_files(connection, source.files(period.told_by))
        return arrow(connection, "preview/wanted_rows"), int(count)


def set_files(connection: Connection, files: Sequence[Path]) -> None:
    """Name the Parquet files that the statements of this package read."""
    connection.execute("SET VARIABLE preview_files = $1", [[str(path) for path in files]])


def arrow(connection: Connection, name: str, **parameters: object) -> pa.Table:
    """The rows of a statement as an Arrow table."""
    return connection.sql(statement(name), params=parameters or None).to_arrow_table()
