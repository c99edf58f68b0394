"""Reads the stores for the metrics. Nothing is written but what opening a ledger needs."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from phash_dagster.backup.ledger_copy import ledger_file
from phash_dagster.clock import Clock
from phash_dagster.images.breaker import BreakerEvent
from phash_dagster.images.counts import CONFIGURED, OTHERS
from phash_dagster.images.model import Outcome
from phash_dagster.ingest import IngestRecords
from phash_dagster.metrics.samples import Samples
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_metrics import Tallies
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse
from phash_dagster.warehouse.totals import Total, read_totals

OVERDUE: Final = timedelta(hours=1)
OZONE: Final = "ozone"

LOCK_WAIT_SECONDS: Final = 3.0
"""How long the DuckDB file is waited for; Prometheus waits 10 s for the whole answer."""

_MICROSECONDS: Final = 1_000_000
_UNLABELLED: Final = (
    "ingest_batches",
    "ingest_events",
    "ingest_posts",
    "ingest_images",
    "ingest_malformed_frames",
    "ingest_anomalies",
    "ingest_gaps",
    "image_references",
    "image_cache_hits",
    "image_cache_misses",
)
_LABELLED: Final = (
    "image_attempts",
    "images_fetched",
    "image_hashes",
    "matches",
    "circuit_transitions",
    "circuit_rejections",
)
_TRANSITIONS: Final = (BreakerEvent.OPENED, BreakerEvent.HALF_OPENED, BreakerEvent.CLOSED)


class NothingYetError(Exception):
    """The store does not exist yet: the pipeline has not run."""


@dataclass(frozen=True)
class Source:
    """A store that metrics come from.

    Attributes:
        name: Its name in the label of `source_up`.
        read: Reads it; raises what the store raises, or `NothingYetError`.
    """

    name: str
    read: Callable[[], Samples]


def sources_of(settings: Settings, clock: Clock) -> list[Source]:
    """The stores of a pipeline."""
    warehouse = Warehouse(settings.warehouse_path, lock_wait_seconds=LOCK_WAIT_SECONDS)
    records = IngestRecords.under(settings.data_dir)
    url = settings.effective_ledger_url
    return [
        Source("warehouse", lambda: read_warehouse(warehouse, clock())),
        Source("ledger", lambda: read_ledger(url, clock)),
        Source("ingest", lambda: read_ingest(records, clock())),
    ]


# Warehouse


def read_warehouse(warehouse: Warehouse, now: datetime) -> Samples:
    """What the warehouse tells. It is read as it is, of whatever release.

    Raises:
        NothingYetError: There is none.
        WarehouseBusyError: Another process kept it for long.
        duckdb.Error: It lacks what this release brings until the pipeline has run with it.
    """
    if not warehouse.path.exists():
        raise NothingYetError(f"{warehouse.path} does not exist yet")
    samples = Samples()
    samples.add("warehouse_size_bytes", warehouse.path.stat().st_size)
    with warehouse.standing_still() as connection:
        _add_totals(samples, read_totals(connection))
        _add_images(samples, connection, now)
        _add_rules(samples, connection)
        _add_circuits(samples, connection, now)
        for outcome, by, count in connection.execute(
            statement("metrics/action_outcomes")
        ).fetchall():
            samples.add("action_outcomes_total", count, outcome=outcome, by=by)
    return samples


def _add_totals(samples: Samples, totals: Mapping[Total, int]) -> None:
    # What has not happened yet is 0: a rate over a value that just appeared would miss it.
    for name in _UNLABELLED:
        samples.add(f"{name}_total", totals.get(Total.of(name), 0))
    gap = totals.get(Total.of("ingest_gap_microseconds"), 0)
    samples.add("ingest_gap_seconds_total", gap / _MICROSECONDS)
    for outcome in Outcome:
        samples.add("image_attempts_total", 0, outcome=outcome.value)
    for service in (CONFIGURED, OTHERS):
        samples.add("circuit_rejections_total", 0, service=service)
        for event in _TRANSITIONS:
            samples.add("circuit_transitions_total", 0, service=service, to=event.value)
    for total, count in totals.items():
        if total.name in _LABELLED:
            samples.add(f"{total.name}_total", count, **dict(total.labels))
        elif total.name == "repeated_actions":
            samples.add("actions_skipped_total", count, reason="claimed", **dict(total.labels))


def _add_images(samples: Samples, connection: Connection, now: datetime) -> None:
    rows = connection.execute(
        statement("metrics/images"), {"overdue_since": now - OVERDUE}
    ).fetchall()
    for outcome in Outcome:
        samples.add("images", 0, outcome=outcome.value)
    samples.add("images_overdue", sum(overdue for *_, overdue in rows))
    for outcome, images, _ in rows:
        samples.add("images", images, outcome=outcome)


def _add_rules(samples: Samples, connection: Connection) -> None:
    [(rules, active, set_aside, loads, loaded_at)] = connection.execute(
        statement("metrics/rules")
    ).fetchall()
    samples.add("rules", rules)
    samples.add("rule_hashes", active, state="active")
    samples.add("rule_hashes", set_aside, state="set_aside")
    samples.add("rule_loads_total", loads)
    if loaded_at is not None:
        samples.add("rules_loaded_timestamp_seconds", loaded_at)


def _add_circuits(samples: Samples, connection: Connection, now: datetime) -> None:
    rows = connection.execute(statement("metrics/open_circuits"), {"now": now}).fetchall()
    hosts = dict(rows)
    samples.add("circuits_open", hosts.get(True, 0), service=CONFIGURED)
    samples.add("circuits_open", hosts.get(False, 0), service=OTHERS)


# Ledger


def read_ledger(url: str, clock: Clock) -> Samples:
    """What the ledger tells.

    Raises:
        NothingYetError: There is none.
        LedgerError: The database does not let us in.
    """
    file = ledger_file(url)
    if file is not None and not file.exists():
        raise NothingYetError(f"{file} does not exist yet")
    with Ledger(url, clock) as ledger:
        tallies = ledger.tallies()
    samples = Samples()
    _add_actions(samples, tallies)
    samples.add("quarantined_hashes", tallies.quarantined_hashes)
    samples.add("backfills_held", tallies.backfills_held)
    samples.add("circuits_open", tallies.ozone_paused, service=OZONE)
    samples.add("circuit_rejections_total", tallies.rejections, service=OZONE)
    for to, count in tallies.transitions.items():
        samples.add("circuit_transitions_total", count, service=OZONE, to=to)
    for kind, count in tallies.pauses.items():
        samples.add("ozone_pauses_total", count, kind=kind)
    return samples


def _add_actions(samples: Samples, tallies: Tallies) -> None:
    for state, oldest in tallies.oldest.items():
        samples.add("oldest_action_timestamp_seconds", oldest.timestamp(), state=state)
    for group in tallies.groups:
        what = {"event": group.event, "subject": group.subject}
        samples.add(
            "actions_recorded_total", group.actions, **what, lane=group.lane, mode=group.mode
        )
        samples.add("actions", group.actions, state=group.state, lane=group.lane)
        if group.state == "sent":
            samples.add(
                "actions_sent_total", group.actions, **what, lane=group.lane, rule=group.rule_id
            )
        if group.is_already_so:
            samples.add("actions_skipped_total", group.actions, **what, reason="already_so")


# Ingest records


def read_ingest(records: IngestRecords, now: datetime) -> Samples:
    """How far ingestion is, by its last record.

    Raises:
        NothingYetError: There is none.
        OSError, duckdb.Error: The records cannot be read.
    """
    last = _last_file(records, now)
    if last is None:
        raise NothingYetError(f"{records.root} has no records yet")
    with records.query(files=[last]) as connection:
        [(ended_us, cursor_us, behind)] = connection.execute(
            statement("metrics/position")
        ).fetchall()
    lag = now - datetime.fromtimestamp(cursor_us / _MICROSECONDS, UTC)
    samples = Samples()
    samples.add("ingest_lag_seconds", max(lag.total_seconds(), 0.0))
    samples.add("ingest_last_batch_timestamp_seconds", ended_us / _MICROSECONDS)
    if behind is not None:
        samples.add("ingest_behind_events", behind)
    return samples


def _last_file(records: IngestRecords, now: datetime) -> Path | None:
    if not records.root.is_dir():
        return None
    for since in (now - timedelta(minutes=10), None):
        with suppress(FileNotFoundError):  # a folder that maintenance has just removed
            if files := records.files(since=since):
                return files[-1]
    return None
