"""The ledger's copy in the warehouse, where people ask questions about actions."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse

SET_BACK: Final = timedelta(days=1)
"""How far back changes are copied again while the clock is behind the last copy."""

_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    {
        "action_id": pa.int64(),
        "external_id": pa.string(),
        "subject_uri": pa.string(),
        "subject_did": pa.string(),
        "subject_cid": pa.string(),
        "source_uri": pa.string(),
        "blob_cids": pa.list_(pa.string()),
        "event": pa.string(),
        "value": pa.string(),
        "rule_id": pa.string(),
        "rule_version": pa.string(),
        "rule_hash": pa.string(),
        "distance": pa.int32(),
        "comment": pa.string(),
        "report_reason": pa.string(),
        "lane": pa.string(),
        "mode": pa.string(),
        "state": pa.string(),
        "reason": pa.string(),
        "attempts": pa.int32(),
        "failed_runs": pa.int32(),
        "undoes": pa.int64(),
        "review": pa.string(),
        "reviewed_at": _TIME,
        "reviewed_by": pa.string(),
        "settled_at": _TIME,
        "ozone_event_id": pa.int64(),
        "batch_id": pa.string(),
        "run_id": pa.string(),
        "planned_at": _TIME,
        "sent_at": _TIME,
        "updated_at": _TIME,
    }
)


def mirror_ledger(ledger: Ledger, warehouse: Warehouse, clock: Clock = utc_now) -> int:
    """Copy what changed in the ledger since the last copy; return how many rows that were.

    A clock that was set back stamps changes with times from before the last copy: until it has
    caught up, all that changed within a day of it is copied.
    """
    with warehouse.read() as connection:
        [(until,)] = connection.execute(statement("moderation/mirrored_until")).fetchall()
    now = clock()
    since = until or datetime(1970, 1, 1, tzinfo=UTC)
    changed = ledger.changed_since(since if since <= now else now - SET_BACK)
    if changed:
        with warehouse.write() as connection:
            save_actions(connection, changed)
    return len(changed)


def save_actions(connection: Connection, actions: Sequence[Action]) -> None:
    """Insert or replace these rows of the copy."""
    table = pa.Table.from_pylist([asdict(action) for action in actions], schema=_SCHEMA)
    connection.register("changed_actions", table)
    connection.execute(statement("moderation/mirror_actions"))
    connection.unregister("changed_actions")
