"""Reads rows of the ledger without touching it, and copies them into the ledger of a preview."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, insert, inspect, select, true

from phash_dagster.moderation.ledger_database import chunks, open_engine
from phash_dagster.moderation.ledger_reading import read_ledger
from phash_dagster.moderation.ledger_schema import (
    moderation_actions,
    quarantined_hashes,
    rule_hash_hours,
)

Rows = Mapping[Table, list[dict[str, Any]]]
"""Rows of the ledger by their table."""


def rows_of(url: str, dids: Collection[str]) -> Rows:
    """All that planning for these accounts goes by; nothing if there is no ledger yet.

    That is what was done to them and their posts, and what each rule hash found in the last weeks:
    without it every hash would seem flooded.

    Args:
        url: As `LEDGER_URL`.
        dids: DIDs of the accounts.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    nothing: Rows = {}
    return read_ledger(url, lambda connection: _read(connection, dids), nothing=nothing)


def copy_rows(rows: Rows, url: str) -> None:
    """Put rows into an empty ledger as they are, their numbers included."""
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            for table, found in rows.items():
                for chunk in chunks(found):
                    connection.execute(insert(table), chunk)
    finally:
        engine.dispose()


def _read(connection: Connection, dids: Collection[str]) -> Rows:
    did = moderation_actions.c.subject_did
    return {
        moderation_actions: [
            row
            for chunk in chunks(sorted(dids))
            for row in _rows(connection, moderation_actions, did.in_(chunk))
        ],
        rule_hash_hours: _rows(connection, rule_hash_hours, true()),
        quarantined_hashes: _rows(connection, quarantined_hashes, true()),
    }


def _rows(
    connection: Connection, table: Table, condition: ColumnElement[bool]
) -> list[dict[str, Any]]:
    """Rows of a table. A ledger of an earlier release lacks some, until the pipeline opens it."""
    known = inspect(connection)
    if not known.has_table(table.name):
        return []
    present = [table.c[column["name"]] for column in known.get_columns(table.name)]
    found = connection.execute(select(*present).where(condition)).mappings()
    return [dict(row) for row in found]
