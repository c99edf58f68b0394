"""Asks the snapshot a question."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

import duckdb
import pyarrow as pa
import stamina

from phash_dagster.analysis.questions import Question, Value
from phash_dagster.analysis.snapshot import recipe
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.database import is_lock_conflict

MEMORY_LIMIT: Final = "2GB"
"""What a question may use before it goes to disk: the pipeline runs on the same machine."""


class NoSnapshotError(RuntimeError):
    """There is no snapshot that this release can ask; the text says why. Making one helps."""


@dataclass(frozen=True)
class Answer:
    """What the snapshot says.

    Attributes:
        taken_at: When the snapshot was taken.
        rows: The answer.
    """

    taken_at: datetime
    rows: pa.Table


# Compaction removes files while they are read; the rows are in another one when asked again.
@stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.1)
def ask(path: Path, question: Question, values: Mapping[str, Value]) -> Answer:
    """Ask the snapshot that this link leads to.

    Raises:
        NoSnapshotError: There is none, another program writes into it, or another release made it.
        duckdb.Error: The question failed.
    """
    with TemporaryDirectory(prefix="phash-dagster-query-") as spill, _open(path) as connection:
        connection.execute("SET memory_limit = $1", [MEMORY_LIMIT])
        connection.execute("SET temp_directory = $1", [spill])
        taken_at = _taken_at(connection)
        for name, value in values.items():
            # A name cannot be bound; this one stands in the header of the question.
            connection.execute(f"SET VARIABLE {name} = $1", [value])
        return Answer(taken_at, connection.sql(question.sql).to_arrow_table())


def _open(path: Path) -> Connection:
    if not path.exists():
        raise NoSnapshotError("there is no snapshot yet")
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.IOException as error:
        if is_lock_conflict(error):
            raise NoSnapshotError("a program has the snapshot open for writing") from None
        raise
    # One time zone for every session, so that days are the same on any machine.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _taken_at(connection: Connection) -> datetime:
    """When the snapshot was taken.

    Raises:
        NoSnapshotError: It was made by another release.
    """
    try:
        about = connection.execute(statement("snapshot/about")).fetchall()
    except duckdb.CatalogException:
        about = []
    for taken_at, made_by in about:
        if made_by == recipe():
            return cast("datetime", taken_at)
    raise NoSnapshotError("the snapshot was made by another release")
