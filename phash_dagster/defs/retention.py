"""Removes runs from Dagster's storage, with everything they left there.

Dagster itself never deletes a run. `DagsterInstance.delete_run` deletes its row and its events; the
rest is done here: logs, the evaluations of asset checks, and with SQLite the run's own database.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

FAILED_RUNS_STAY = timedelta(days=30)
"""How long failed and cancelled runs can be looked at."""

_FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

FINISHED = (dg.DagsterRunStatus.SUCCESS, *_FAILED)


def expendable(records: Sequence[dg.RunRecord], *, now: datetime) -> list[dg.RunRecord]:
    """Which of an hour's runs may go: the successful ones, and failures of long ago.

    While a failed run stays, so does the last successful one: without it the hour would look as if
    it had failed for good, and be processed again.
    """
    newest_first = sorted(records, key=lambda record: record.storage_id, reverse=True)
    succeeded = [record for record in newest_first if record.dagster_run.is_success]
    failed = [record for record in newest_first if record.dagster_run.status in _FAILED]
    old = [record for record in failed if record.create_timestamp < now - FAILED_RUNS_STAY]
    kept = 1 if len(old) < len(failed) else 0
    return [*succeeded[kept:], *old]


def delete_runs(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> None:
    """Delete finished runs and everything they left in Dagster's storage."""
    for some in _chunks(run_ids):
        _delete_check_evaluations(instance, some)
        for run_id in some:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            instance.delete_run(run_id)
            _delete_database(instance, run_id)


def delete_orphaned_databases(instance: dg.DagsterInstance, *, now: datetime) -> int:
    """Delete the SQLite databases of runs that are gone, left by a deletion that was killed.

    Returns how many there were.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return 0
    yesterday = (now - timedelta(days=1)).timestamp()
    existing = set(instance.get_run_ids())
    orphans = [
        run_id
        for run_id in storage.get_all_run_ids()
        # The empty name is that of the events without a run.
        if run_id
        and run_id not in existing
        and Path(storage.path_for_shard(run_id)).stat().st_mtime < yesterday
    ]
    for run_id in orphans:
        _delete_database(instance, run_id)
    return len(orphans)


def _delete_check_evaluations(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """All but the last evaluation of each check, which is the one that people see."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    table = AssetCheckExecutionsTable
    last = sa.select(sa.func.max(table.c.id)).group_by(table.c.asset_key, table.c.check_name)
    with storage.index_connection() as connection:
        connection.execute(
            sa.delete(table).where(table.c.run_id.in_(run_ids), table.c.id.not_in(last))
        )


def _delete_database(instance: dg.DagsterInstance, run_id: str) -> None:
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        database = storage.path_for_shard(run_id)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)


def _chunks(run_ids: Iterable[str], size: int = 100) -> Iterator[Sequence[str]]:
    remaining = iter(run_ids)
    while chunk := list(islice(remaining, size)):
        yield chunk
