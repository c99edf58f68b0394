"""What Dagster can tell for a report: its runs, and the size of its storage."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from phash_dagster.backup.archive import BackupError
from phash_dagster.defs.storage_copy import sqlite_folder
from phash_dagster.reports.costs import JobRuns, Machine, RunCosts, disk_use, folder_bytes


def machine_costs(instance: dg.DagsterInstance, data_dir: Path, *, since: datetime) -> Machine:
    """What the machine has to tell: disk, runs since then, Dagster's storage."""
    return Machine(
        disk=disk_use(data_dir),
        dagster_storage_bytes=_storage_bytes(instance),
        runs=run_costs(instance, since=since),
    )


def machine_costs_at(home: Path, data_dir: Path, *, since: datetime) -> Machine:
    """The same for the Dagster whose state is in `home`; without its part if there is none yet."""
    if not (home / "dagster.yaml").exists():
        return Machine(disk=disk_use(data_dir))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return machine_costs(instance, data_dir, since=since)


def run_costs(instance: dg.DagsterInstance, *, since: datetime) -> RunCosts | None:
    """The finished runs that began since then, by job; None: kept somewhere that cannot be asked.

    Added up by the database: there are thousands a day.
    """
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        return None
    runs = RunsTable.c
    failed = sa.case((runs.status != dg.DagsterRunStatus.SUCCESS.value, 1), else_=0)
    seconds = sa.func.sum(runs.end_time - runs.start_time)
    by_job = (
        sa.select(runs.pipeline_name, sa.func.count(), sa.func.sum(failed), seconds)
        .where(runs.end_time.is_not(None), runs.start_time >= since.timestamp())
        .group_by(runs.pipeline_name)
        .order_by(seconds.desc(), runs.pipeline_name)
    )
    with storage.connect() as connection:
        rows = connection.execute(by_job).all()
        oldest = connection.scalar(sa.select(sa.func.min(runs.start_time)))
    return RunCosts(
        jobs=tuple(JobRuns(job, count, bad, taken or 0.0) for job, count, bad, taken in rows),
        oldest=datetime.fromtimestamp(oldest, UTC) if oldest else None,
    )


def _storage_bytes(instance: dg.DagsterInstance) -> int | None:
    try:
        return folder_bytes(sqlite_folder(instance))
    except BackupError:
        return None
