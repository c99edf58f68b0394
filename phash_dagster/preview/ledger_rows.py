"""Reads rows of the ledger without touching it, and copies them into the ledger of a preview."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, insert, inspect, select

from phash_dagster.moderation.ledger_database import chunks, open_engine
from phash_dagster.moderation.ledger_reading import read_ledger
from phash_dagster.moderation.ledger_schema import moderation_actions

Row = dict[str, Any]


def rows_of(url: str, dids: Collection[str]) -> list[Row]:
    """Every row on these accounts and their posts; none if there is no ledger yet.

    Args:
        url: As `LEDGER_URL`.
        dids: DIDs of the accounts.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    return read_ledger(url, lambda connection: _read(connection, dids), nothing=[])


def copy_rows(rows: Sequence[Row], url: str) -> None:
    """Put rows into an empty ledger as they are, their numbers included."""
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            for chunk in chunks(rows):
                connection.execute(insert(moderation_actions), chunk)
    finally:
        engine.dispose()


def _read(connection: Connection, dids: Collection[str]) -> list[Row]:
    # A ledger of an earlier release lacks some, until the pipeline opens it.
    present = inspect(connection).get_columns(moderation_actions.name)
    rows = select(*(moderation_actions.c[column["name"]] for column in present))
    return [
        dict(row)
        for chunk in chunks(sorted(dids))
        for row in connection.execute(
            rows.where(moderation_actions.c.subject_did.in_(chunk))
        ).mappings()
    ]
