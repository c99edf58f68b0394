"""`maintain`: what keeps the pipeline running for months, once a night."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from pydantic import Field

from phash_dagster.defs.compact_hours import Span, span_of
from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.old_runs import old_tick_logs, overtaken_runs, sqlite_files, vacuum
from phash_dagster.defs.preview import preview_rules
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.defs.retention import FINISHED, delete_orphaned_databases, delete_runs
from phash_dagster.defs.tags import LANE, PRIORITY
from phash_dagster.maintenance.expiry import Held

SUCCESSFUL_RUNS_STAY_DAYS = 7.0
"""Failed ones stay for `FAILED_RUNS_STAY`."""

_UNFINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]


class FilesConfig(dg.Config):
    """What a person may ask of a run, in the launchpad."""

    dry_run: bool = Field(default=False, description="Only say what would be removed.")
    retention_days: float | None = Field(
        default=None,
        description="Days for which posts are kept, in the place of RETENTION_DAYS; 0: for ever.",
    )


class DagsterConfig(dg.Config):
    """Likewise."""

    dry_run: bool = Field(default=False, description="Only say what would be removed.")
    successful_runs_stay_days: float = Field(
        default=SUCCESSFUL_RUNS_STAY_DAYS,
        description="Days for which successful runs stay that later runs have overtaken.",
    )


def held_by_runs(instance: dg.DagsterInstance) -> Held:
    """Says which run or backfill needs an hour, of all that are queued or under way."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    spans: Sequence[tuple[Span, str]] = [(span_of(run.tags), run.run_id) for run in runs]
    everything = [run.run_id for run in runs if run.job_name == preview_rules.name]
    backfills = instance.get_backfills(
        BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING])
    )

    def held(hour: str) -> str | None:
        if everything:
            return f"the preview {everything[0]} is under way"
        if backfills:
            return f"the backfill {backfills[0].backfill_id} is under way"
        found = (run_id for (first, last), run_id in spans if first <= hour <= last)
        run_id = next(found, None)
        return f"the run {run_id} is queued or under way" if run_id else None

    return held


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "Removes the posts of hours that ended over RETENTION_DAYS ago, and what is known of "
        "images that no post carries any more; old ingest records and reports; and gives space in "
        "the DuckDB file back. By default posts are kept for ever."
    ),
)
def maintain_files(
    context: dg.OpExecutionContext,
    config: FilesConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> None:
    """Maintain the pipeline's own files."""
    from phash_dagster.maintenance.run import Stores, Wishes, maintain, plan_maintenance

    days = settings.retention_days if config.retention_days is None else config.retention_days
    stores = Stores(settings, warehouse, posts, ingest)
    wishes = Wishes(clock(), days, held_by_runs(context.instance))
    if config.dry_run:
        plan = plan_maintenance(stores, wishes)
        context.log.info("Nothing was changed: this was a dry run.")
    else:
        done = maintain(stores, wishes, context.log.info)
        plan = done.plan
        context.add_output_metadata(
            {
                "hours_removed": len(done.forgotten.hours),
                "bytes_of_posts_removed": done.forgotten.bytes,
                "images_forgotten": done.forgotten.images,
                "images_kept_for_later_posts": done.forgotten.kept_images,
                "bytes_of_old_files_removed": done.bytes_of_files,
                "warehouse": done.reclaimed.note,
                "warehouse_bytes": done.reclaimed.after.total,
                "warehouse_free_bytes": done.reclaimed.after.free,
            }
        )
    before = plan.expiry.before
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "expired_before": before.isoformat() if before else "nothing expires",
            "expired_hours": _named(plan.expiry.hours),
            "hours_for_the_next_maintenance": plan.expiry.left,
            "completed_from_before": len(plan.set_aside),
            "hours_that_stay_for_now": markdown_table(
                ("hour", "why"), list(plan.expiry.held.items())[:100]
            ),
            "old_ingest_records": len(plan.records.files),
            "old_reports": len(plan.reports.files),
        }
    )


def _named(hours: Sequence[str]) -> str:
    return f"{len(hours)}: {hours[0]} to {hours[-1]}" if hours else "none"


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "Deletes runs that later runs have overtaken, and logs of ticks that are gone; gives "
        "space in Dagster's SQLite files back. Failed runs stay for 30 days, and what holds the "
        "latest state of an asset or hour stays for good."
    ),
)
def maintain_dagster(
    context: dg.OpExecutionContext, config: DagsterConfig, clock: ClockParam
) -> None:
    """Maintain Dagster's own storage."""
    instance, now = context.instance, clock()
    stay = timedelta(days=config.successful_runs_stay_days)
    runs, logs = (
        overtaken_runs(instance, now=now, successful_stay=stay),
        old_tick_logs(instance, now=now),
    )
    said: dict[str, str] = {}
    orphans = 0
    if not config.dry_run:
        delete_runs(instance, runs)
        for path in logs:
            path.unlink(missing_ok=True)
        orphans = delete_orphaned_databases(instance, now=now)
        said = vacuum(sqlite_files(instance), others_wait=True)
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "runs": len(runs),
            "tick_logs": len(logs),
            "databases_of_deleted_runs": orphans,
            "rewritten": said,
            "sqlite_files": markdown_table(
                ("file", "bytes", "of these free"),
                [(file.path.name, file.total, file.free) for file in sqlite_files(instance)],
            ),
        }
    )


@dg.job(
    description=(
        "Removes what is older than it has to be, and gives space back. Started by "
        "`maintenance_schedule`; launch it with `dry_run` to see what it would do."
    ),
    executor_def=IN_PROCESS,
    # The lane of backfills has one place, so no rematch or compaction reads what would go.
    tags={LANE: "backfill", PRIORITY: "-1", "dagster/max_runtime": "3600"},
)
def maintain() -> None:
    """One maintenance."""
    maintain_files()
    maintain_dagster()


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_schedule",
    job=maintain,
    cron_schedule="47 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Maintains files and Dagster's storage, every night at 3:47 UTC.",
)
