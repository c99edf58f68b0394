"""The table `moderation_actions` on SQLite and PostgreSQL, and how a row becomes an `Action`."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator

from phash_dagster.moderation.actions import Action, Event, Review, State


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite knows no time zones, so there it is stored without and given back with.

    Raises:
        ValueError: A time without time zone is to be stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From Python to the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the ledger stores times with a time zone only, found {value!r}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database to Python."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only where the key is declared INTEGER."""

metadata = MetaData()

moderation_actions: Final = Table(
    "moderation_actions",
    metadata,
    Column("action_id", _ID, primary_key=True, autoincrement=True),
    Column("external_id", String, nullable=False, unique=True),
    Column("subject_uri", String),
    Column("subject_did", String, nullable=False),
    Column("subject_cid", String),
    Column("source_uri", String, nullable=False),
    Column("blob_cids", JSON, nullable=False),
    Column("event", String, nullable=False),
    Column("value", String, nullable=False),
    Column("rule_id", String, nullable=False),
    Column("rule_version", String, nullable=False),
    Column("rule_hash", String, nullable=False),
    Column("distance", Integer, nullable=False),
    Column("comment", String, nullable=False),
    Column("report_reason", String),
    Column("lane", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("attempts", Integer, nullable=False),
    Column("failed_runs", Integer, nullable=False, server_default="0"),
    Column("undoes", BigInteger),
    Column("review", String),
    Column("reviewed_at", UtcDateTime),
    Column("reviewed_by", String),
    Column("settled_at", UtcDateTime),
    Column("ozone_event_id", BigInteger),
    Column("batch_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # An action_id is never used twice, also after rows were removed.
    sqlite_autoincrement=True,
)
"""Times in UTC, distance in bits. A column that a later release adds may be null or has a default
of the database's, so that it can be added to a ledger of an earlier one."""

Index(
    "moderation_actions_claim",
    moderation_actions.c.subject_did,
    moderation_actions.c.event,
    moderation_actions.c.value,
)
Index("moderation_actions_state", moderation_actions.c.state, moderation_actions.c.action_id)
Index("moderation_actions_updated", moderation_actions.c.updated_at)
Index("moderation_actions_planned", moderation_actions.c.planned_at)
Index("moderation_actions_batch", moderation_actions.c.batch_id)

backfill_batches: Final = Table(
    "backfill_batches",
    metadata,
    Column("batch_id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("posts", Integer, nullable=False),
    Column("accounts", Integer, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("reason", String),
    Column("evaluated_at", UtcDateTime, nullable=False),
    Column("reviewed_at", UtcDateTime),
    Column("reviewed_by", String),
)
"""How far each backfill reaches, judged before anything of it is sent: `open`, `held`, or
`released` by a person."""

rule_hash_hours: Final = Table(
    "rule_hash_hours",
    metadata,
    Column("rule_id", String, primary_key=True),
    Column("rule_hash", String, primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("posts", Integer, nullable=False),
)
"""Posts that each rule hash decided about in each hour of the last two weeks."""

quarantined_hashes: Final = Table(
    "quarantined_hashes",
    metadata,
    Column("rule_id", String, primary_key=True),
    Column("rule_hash", String, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("reason", String, nullable=False),
    Column("lifted_at", UtcDateTime),
    Column("lifted_by", String),
)
"""Rule hashes that were flooded; those not lifted have their actions held."""

emitter_terms: Final = Table(
    "emitter_terms",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("finished", Boolean, nullable=False),
    Column("rival_until", UtcDateTime),
)
"""One row: the term of the emitter that is at work, or was last."""

ozone_circuits: Final = Table(
    "ozone_circuits",
    metadata,
    Column("service", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("paused_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    Column("kind", String),
    Column("reason", String),
)
"""An Ozone that failed or is left alone; none for one that answers."""

ledger_totals: Final = Table(
    "ledger_totals",
    metadata,
    Column("name", String, primary_key=True),
    Column("labels", String, primary_key=True),
    Column("total", BigInteger, nullable=False),
)
"""For the metrics, what no row tells; labels and their values as JSON."""

_FIELDS: Final = tuple(field.name for field in fields(Action))


def to_row(action: Action, updated_at: datetime) -> dict[str, Any]:
    """The values to insert for an action; the database gives `action_id`."""
    row = {name: getattr(action, name) for name in _FIELDS if name != "action_id"}
    row |= {
        "event": action.event.value,
        "state": action.state.value,
        "blob_cids": list(action.blob_cids),
        "review": action.review.value if action.review else None,
        "updated_at": updated_at,
    }
    return row


def to_action(row: RowMapping) -> Action:
    """The action that a row holds."""
    values = {name: row[name] for name in _FIELDS}
    values |= {
        "event": Event(row["event"]),
        "state": State(row["state"]),
        "blob_cids": tuple(cast("list[str]", row["blob_cids"])),
        "review": Review(row["review"]) if row["review"] else None,
    }
    return Action(**values)
