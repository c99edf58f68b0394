"""Drains Jetstream: one micro-batch per tick, durable before the cursor moves, then a run per hour.

The tick is stateless. Its position is in the sensor's cursor, which Dagster stores after the tick
has returned; a crash before that repeats the tick from the old position, and since files carry the
name of the position they start from, the repetition overwrites what the crashed tick wrote.
"""

import time

import dagster as dg

from phash_dagster.defs.jobs import moderate_hour
from phash_dagster.defs.resources import ClockParam, ImagePostsParam, SettingsParam
from phash_dagster.defs.tags import LANE
from phash_dagster.jetstream import Batch, BatchLimits, Cursor, read_batch
from phash_dagster.warehouse import BatchFile

ABANDONED_AFTER_SECONDS = 50.0
"""Dagster gives up on a tick after 60 s and starts its successor while it still runs. A tick that
is this late writes nothing, so that it cannot overwrite its successor's files."""


class LateTickError(RuntimeError):
    """The tick took so long that its successor may already be running."""


@dg.sensor(
    job=moderate_hour,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Reads Jetstream for MICROBATCH_SECONDS, writes the images it saw to `image_posts`, and "
        "requests a `moderate_hour` run for each hour it touched. The cursor is the position in "
        "the stream; clear it to start at the live tip."
    ),
)
def jetstream_sensor(
    context: dg.SensorEvaluationContext,
    settings: SettingsParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.SensorResult:
    """One tick."""
    tick_started = time.monotonic()
    if not context.cursor:
        # Without a stored starting point, a crash in the first batch would start somewhere else.
        return dg.SensorResult(
            cursor=Cursor.at(clock()).to_json(),
            skip_reason=dg.SkipReason("Starting at the live tip; the next tick reads from here."),
        )
    batch = read_batch(
        [settings.jetstream_url, *settings.jetstream_fallback_urls],
        Cursor.from_json(context.cursor),
        wanted=frozenset(settings.wanted_collections),
        limits=BatchLimits(settings.microbatch_seconds, settings.microbatch_max_rows),
        now=clock,
    )
    _log_anomalies(context, batch)
    if not batch.rows:
        return dg.SensorResult(
            cursor=batch.cursor.to_json(),
            skip_reason=dg.SkipReason(f"{batch.events} events from {batch.host}, none to keep"),
        )
    if time.monotonic() - tick_started > ABANDONED_AFTER_SECONDS:
        raise LateTickError(
            f"the tick took over {ABANDONED_AFTER_SECONDS:g} s and wrote nothing; the events are "
            "read again. If this repeats, lower MICROBATCH_SECONDS."
        )
    files = posts.write_batch(batch.rows, start=batch.start.name, now=clock())
    return dg.SensorResult(
        cursor=batch.cursor.to_json(),
        asset_events=[_materialization(file, batch, clock().timestamp()) for file in files],
        run_requests=_run_requests(files, batch, queued_hours(context.instance)),
    )


def _run_requests(
    files: list[BatchFile], batch: Batch, queued: frozenset[str]
) -> list[dg.RunRequest]:
    """A run for each touched hour, unless one is queued that has yet to look at the hour."""
    return [
        dg.RunRequest(
            run_key=f"{file.partition_key}/{batch.start.name}",
            partition_key=file.partition_key,
            tags={LANE: "live"},
        )
        for file in files
        if file.partition_key not in queued
    ]


def queued_hours(instance: dg.DagsterInstance) -> frozenset[str]:
    """The hours that a queued run will process. One that has started may not see new files."""
    runs = instance.get_runs(
        dg.RunsFilter(job_name=moderate_hour.name, statuses=[dg.DagsterRunStatus.QUEUED])
    )
    # A run over a range, launched by hand, has no single partition.
    return frozenset(run.tags.get("dagster/partition", "") for run in runs)


def _materialization(file: BatchFile, batch: Batch, now: float) -> dg.AssetMaterialization:
    newest = max(row.time_us for row in file.rows) / 1_000_000
    return dg.AssetMaterialization(
        "image_posts",
        partition=file.partition_key,
        metadata={
            "dagster/partition_row_count": len(file.rows),
            "images": sum(row.blob_cid is not None for row in file.rows),
            "events": batch.events,
            "posts": batch.posts,
            "malformed_frames": batch.malformed,
            "anomalies": dict(batch.anomalies),
            "lag_seconds": round(now - newest, 1),
            "bytes": file.path.stat().st_size,
            "jetstream_host": batch.host,
            "file": dg.MetadataValue.path(file.path),
        },
    )


def _log_anomalies(context: dg.SensorEvaluationContext, batch: Batch) -> None:
    for name, count in batch.anomalies.items():
        context.log.warning("%s: %d, for example %s", name, count, batch.samples[name])
