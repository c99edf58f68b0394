"""Reads the ledger without touching it, and copies rows into the ledger of a preview."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import stamina
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from phash_dagster.moderation.ledger_database import LedgerError, open_engine
from phash_dagster.moderation.ledger_schema import moderation_actions

_CHUNK: Final = 500
"""Accounts or rows in one statement."""

Row = dict[str, Any]


def rows_of(url: str, dids: Collection[str]) -> list[Row]:
    """Every row on these accounts and their posts; none if there is no ledger yet.

    Args:
        url: As `LEDGER_URL`.
        dids: DIDs of the accounts.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    try:
        return _read_any(make_url(url), dids)
    except (SQLAlchemyError, OSError) as error:
        cause = type(error).__name__
    # Raised out here: the driver's own error may quote the URL, and with it the password.
    raise LedgerError(f"cannot read the ledger ({cause}); check LEDGER_URL")


def copy_rows(rows: Sequence[Row], url: str) -> None:
    """Put rows into an empty ledger as they are, their numbers included."""
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            for chunk in _chunks(rows):
                connection.execute(insert(moderation_actions), chunk)
    finally:
        engine.dispose()


def _read_any(url: URL, dids: Collection[str]) -> list[Row]:
    if url.drivername != "sqlite":
        return _read(create_engine(url, execution_options={"postgresql_readonly": True}), dids)
    path = Path(str(url.database))
    return _read_sqlite(path, dids) if path.exists() else []


# A checkpoint may write to the file just while it is read as one that nobody writes to.
@stamina.retry(on=DatabaseError, attempts=3, wait_initial=0.1)
def _read_sqlite(path: Path, dids: Collection[str]) -> list[Row]:
    # A reader of a ledger that nobody has open would leave files beside it, unless it takes the
    # ledger for one that cannot change. Where somebody writes, what they wrote lies in `-wal`.
    in_use = path.with_name(f"{path.name}-wal").exists()
    option = "mode=ro" if in_use else "immutable=1"
    return _read(create_engine(f"sqlite:///file:{path}?{option}&uri=true"), dids)


def _read(engine: Engine, dids: Collection[str]) -> list[Row]:
    with _connected(engine) as connection:
        if not inspect(connection).has_table(moderation_actions.name):
            return []
        # A ledger of an earlier release lacks some, until the pipeline opens it.
        present = inspect(connection).get_columns(moderation_actions.name)
        rows = select(*(moderation_actions.c[column["name"]] for column in present))
        return [
            dict(row)
            for chunk in _chunks(sorted(dids))
            for row in connection.execute(
                rows.where(moderation_actions.c.subject_did.in_(chunk))
            ).mappings()
        ]


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
