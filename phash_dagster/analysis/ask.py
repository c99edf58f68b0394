"""Asks the snapshot a question."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


class Session:
    """The snapshot, open for one question after the other."""

    def __init__(self, connection: Connection, taken_at: datetime) -> None:
        self._connection = connection
        self.taken_at = taken_at

    # Compaction removes files while they are read; the rows are in another one when asked again.
    @stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.1)
    def ask(self, question: Question, values: Mapping[str, Value]) -> pa.Table:
        """The answer to a question.

        Raises:
            duckdb.Error: The question failed.
        """
        for name, value in values.items():
            # A name cannot be bound; this one stands in the header of the question.
            self._connection.execute(f"SET VARIABLE {name} = $1", [value])
        try:
            return self._connection.sql(question.sql).to_arrow_table()
        finally:
            for name in values:
                self._connection.execute(f"RESET VARIABLE {name}")

    @stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.1)
    def run(self, name: str, **parameters: object) -> pa.Table:
        """The rows of `sql/<name>.sql`, whose values are bound.

        Raises:
            duckdb.Error: The statement failed.
        """
        return self._connection.sql(statement(name), params=parameters).to_arrow_table()


@contextmanager
def asking(path: Path) -> Iterator[Session]:
    """Open the snapshot that this link leads to.

    Raises:
        NoSnapshotError: There is none, another program writes into it, or another release made it.
    """
    with TemporaryDirectory(prefix="phash-dagster-query-") as spill, _open(path) as connection:
        connection.execute("SET memory_limit = $1", [MEMORY_LIMIT])
        connection.execute("SET temp_directory = $1", [spill])
        yield Session(connection, _taken_at(connection))


def ask(path: Path, question: Question, values: Mapping[str, Value]) -> Answer:
    """Ask the snapshot that this link leads to.

    Raises:
        NoSnapshotError: There is none, another program writes into it, or another release made it.
        duckdb.Error: The question failed.
    """
    with asking(path) as session:
        return Answer(session.taken_at, session.ask(question, values))


# Between looking and opening, the next snapshot may have taken the place of this one.
@stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.1)
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
