"""`compact_hours`: keeps the files and Dagster's storage small once an hour is over.

The hour's small files become one. What its runs reported about the assets is reported once more,
by this run, which stays; then the hour's runs are deleted. Whatever is left undone, because the
run was killed or had enough, the next one does.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa

from phash_dagster.defs.jobs import IN_PROCESS, moderate_hour
from phash_dagster.defs.kept_events import keep_latest_materializations
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
)
from phash_dagster.defs.retention import (
    FINISHED,
    delete_orphaned_databases,
    delete_runs,
    expendable,
)
from phash_dagster.defs.sensor_state import positions_in_use
from phash_dagster.defs.tags import LANE, PARTITION, PRIORITY, RANGE_END, RANGE_START
from phash_dagster.ingest.schema import SCHEMA as RECORD_SCHEMA
from phash_dagster.warehouse.compaction import Compacted, CompactionError, compact_files, due_hours
from phash_dagster.warehouse.image_posts import SCHEMA, moment_of

MAX_HOURS = 200
"""Hours compacted in one run, so that the first one over a long past comes to an end."""

MAX_RUNS = 10_000
"""Runs deleted in one run: more than twice what six hours bring, at about 30 ms each."""

MAX_SECONDS = 1200.0
"""Time after which a run begins nothing new."""

_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_LAUNCHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass
class Progress:
    """What the run did."""

    deadline: float
    compacted: list[Compacted] = field(default_factory=list)
    hours_with_runs: int = 0
    runs_deleted: int = 0
    failures: dict[str, Exception] = field(default_factory=dict)

    @property
    def has_time(self) -> bool:
        """Whether something new may be begun."""
        return time.monotonic() < self.deadline


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "For each hour that ended over COMPACT_AFTER_HOURS ago: makes one file of its small ones, "
        "reports the latest state of its assets once more, and deletes its finished runs; failed "
        "runs stay for 30 days."
    ),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
)
def compact(
    context: dg.OpExecutionContext,
    settings: SettingsParam,
    posts: ImagePostsParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> None:
    """Compact what is due."""
    after, now = timedelta(hours=settings.compact_after_hours), clock()
    progress = Progress(deadline=time.monotonic() + MAX_SECONDS)
    busy = busy_spans(context.instance)
    hours = {
        key: files
        for key, files in due_hours(posts, now=now, after=after).items()
        if not _is_in(key, busy)
    }
    days = {day: ingest.settled_files(day, before=now - after) for day in ingest.days()}
    # After the files were listed: a file is then either complete for good, or named here.
    in_use = positions_in_use(context.instance)
    for key, files in list(hours.items())[:MAX_HOURS]:
        # Asked again: what came before may have taken minutes, and runs start at any time.
        if not _is_in(key, busy_spans(context.instance)):
            _compact(progress, key, _unused(files, in_use), SCHEMA)
    for day, files in days.items():
        _compact(progress, day, _unused(files, in_use), RECORD_SCHEMA)
    _delete_runs(context, progress, busy=busy, before=now - after, now=now)
    delete_orphaned_databases(context.instance, now=now)
    _report(context, progress)


Span = tuple[str, str]
"""The first and the last hour of a run."""


def busy_spans(instance: dg.DagsterInstance) -> list[Span]:
    """Hours with a run under way, of any job, which may have listed the files that would go."""
    waiting = instance.get_runs(dg.RunsFilter(job_name=moderate_hour.name, statuses=_WAITING))
    launched = instance.get_runs(dg.RunsFilter(statuses=_LAUNCHED))
    return [span_of(run.tags) for run in (*waiting, *launched)]


def span_of(tags: Mapping[str, str]) -> Span:
    """The hours of a run, by its tags; empty if it has none."""
    hour = tags.get(PARTITION, "")
    return tags.get(RANGE_START, hour), tags.get(RANGE_END, hour)


def _is_in(hour: str, spans: Sequence[Span]) -> bool:
    return any(first <= hour <= last for first, last in spans)


def _unused(files: Sequence[Path], in_use: frozenset[str]) -> list[Path]:
    return [path for path in files if path.stem not in in_use]


def _compact(progress: Progress, what: str, files: Sequence[Path], schema: pa.Schema) -> None:
    """One hour or day. What is wrong with it must not keep the others from their turn."""
    if not progress.has_time:
        return
    try:
        done = compact_files(files, schema)
    except (CompactionError, OSError, duckdb.Error) as error:
        progress.failures[what] = error
    else:
        progress.compacted += [done] if done else []


def _delete_runs(
    context: dg.OpExecutionContext,
    progress: Progress,
    *,
    busy: Sequence[Span],
    before: datetime,
    now: datetime,
) -> None:
    """Delete the runs of hours that ended before, oldest hours first."""
    for hour in _hours_with_runs(context.instance, before=before):
        if not progress.has_time or progress.runs_deleted >= MAX_RUNS:
            return
        if _is_in(hour, busy) or hour in progress.failures:
            continue
        records = context.instance.get_run_records(
            dg.RunsFilter(job_name=moderate_hour.name, tags={PARTITION: hour})
        )
        run_ids = [record.dagster_run.run_id for record in expendable(records, now=now)]
        keep_latest_materializations(context, hour, run_ids)
        delete_runs(context.instance, run_ids)
        progress.hours_with_runs += bool(run_ids)
        progress.runs_deleted += len(run_ids)


def _hours_with_runs(instance: dg.DagsterInstance, *, before: datetime) -> list[str]:
    """Hours that ended before, with finished runs, oldest first."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=moderate_hour.name, statuses=FINISHED),
        limit=4 * MAX_RUNS,
        ascending=True,
    )
    hours = {record.dagster_run.tags.get(PARTITION, "") for record in records} - {""}
    return sorted(hour for hour in hours if moment_of(hour) + timedelta(hours=1) <= before)


def _report(context: dg.OpExecutionContext, progress: Progress) -> None:
    context.log.info(
        "Made %d files of %d (%d rows, %d bytes from %d); deleted %d runs of %d hours.",
        len(progress.compacted),
        sum(done.files for done in progress.compacted),
        sum(done.rows for done in progress.compacted),
        sum(done.bytes_after for done in progress.compacted),
        sum(done.bytes_before for done in progress.compacted),
        progress.runs_deleted,
        progress.hours_with_runs,
    )
    if progress.failures:
        problems = "\n".join(f"{what}: {error}" for what, error in progress.failures.items())
        raise dg.Failure(
            "These could not be compacted; their files are as they were, and the next run tries "
            f"again. A file that cannot be read has to be restored from a copy.\n{problems}",
            allow_retries=False,
        )


@dg.job(
    description=(
        "Makes one file per hour of the many small ones, and deletes the runs of hours that are "
        "over. Started by `compaction_schedule`."
    ),
    executor_def=IN_PROCESS,
    # The lane of backfills has one place, so no rematch reads files while they are replaced.
    tags={LANE: "backfill", PRIORITY: "-1", "dagster/max_runtime": "3600"},
)
def compact_hours() -> None:
    """One compaction of everything that is due."""
    compact()


compaction_schedule = dg.ScheduleDefinition(
    name="compaction_schedule",
    job=compact_hours,
    cron_schedule="23 */6 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compacts the hours that are over, every six hours.",
)
