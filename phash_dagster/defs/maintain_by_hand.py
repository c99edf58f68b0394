"""Maintenance from the command line: told while the pipeline runs, done while it is stopped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from phash_dagster.defs.maintain import SUCCESSFUL_RUNS_STAY_DAYS, held_by_runs
from phash_dagster.defs.old_runs import (
    SqliteFile,
    old_tick_logs,
    overtaken_runs,
    sqlite_files,
    vacuum,
)
from phash_dagster.defs.retention import delete_orphaned_databases, delete_runs
from phash_dagster.maintenance.run import (
    Done,
    Plan,
    Progress,
    Stores,
    Wishes,
    maintain,
    plan_maintenance,
)

_STAY = timedelta(days=SUCCESSFUL_RUNS_STAY_DAYS)


@dataclass(frozen=True)
class DagsterPlan:
    """What would be removed from Dagster's storage, and the space in its SQLite files."""

    runs: int
    tick_logs: int
    files: tuple[SqliteFile, ...]


def tell(stores: Stores, home: Path, now: datetime) -> tuple[Plan, DagsterPlan]:
    """What a maintenance would do now. Changes nothing, and may be asked at any time."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        days = stores.settings.retention_days
        plan = plan_maintenance(stores, Wishes(now, days, held_by_runs(instance)))
        return plan, _dagster_plan(instance, now)


def do(
    stores: Stores, home: Path, now: datetime, progress: Progress
) -> tuple[Done, DagsterPlan, Mapping[str, str]]:
    """Do it, also what takes long. Call it only while nothing else runs on these stores.

    Returns:
        What was done with the files, what was removed from Dagster's storage and the space that
        its SQLite files had before, and what became of those with much free space.
    """
    with dg.DagsterInstance.from_config(str(home)) as instance:
        days = stores.settings.retention_days
        wishes = Wishes(now, days, held_by_runs(instance), others_wait=False)
        done = maintain(stores, wishes, progress)
        progress("removing old runs from Dagster's storage")
        plan = _dagster_plan(instance, now)
        delete_runs(instance, overtaken_runs(instance, now=now, successful_stay=_STAY))
        for path in old_tick_logs(instance, now=now):
            path.unlink(missing_ok=True)
        delete_orphaned_databases(instance, now=now)
        said = vacuum(sqlite_files(instance), others_wait=False)
        return done, plan, said


def _dagster_plan(instance: dg.DagsterInstance, now: datetime) -> DagsterPlan:
    return DagsterPlan(
        runs=len(overtaken_runs(instance, now=now, successful_stay=_STAY)),
        tick_logs=len(old_tick_logs(instance, now=now)),
        files=tuple(sqlite_files(instance)),
    )
