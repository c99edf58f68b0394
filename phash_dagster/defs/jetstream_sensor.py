"""Drains Jetstream: one micro-batch per tick, durable before the cursor moves, then a run per hour.

The tick is stateless. Its position is in the sensor's cursor, which Dagster stores after the tick
has returned; a crash before that repeats the tick from the old position, and since files carry the
name of the position they start from, the repetition overwrites what the crashed tick wrote.

A tick reports no materializations: events outside of a run could never be deleted again, and this
would be thousands a day. The runs it requests report them, see `image_posts`.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from phash_dagster.defs.jobs import moderate_hour
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
)
from phash_dagster.defs.tags import LANE, PARTITION, PRIORITY, RANGE_END, RANGE_START
from phash_dagster.ingest import record_of
from phash_dagster.jetstream import Batch, BatchLimits, Cursor, HostFailure, read_batch
from phash_dagster.warehouse.image_posts import hour_key

ABANDONED_AFTER_SECONDS = 50.0
"""Dagster gives up on a tick after 60 s and starts its successor while it still runs. A tick that
is this late writes nothing, so that it cannot overwrite its successor's files."""

MAX_REQUESTS = 50
"""Runs requested in one tick. Each takes Dagster about 0.1 s, and the next tick waits for it."""


class LateTickError(RuntimeError):
    """The tick took so long that its successor may already be running."""


@dg.sensor(
    job=moderate_hour,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Reads Jetstream for MICROBATCH_SECONDS, writes the images it saw to `image_posts`, and "
        "requests a `moderate_hour` run for each hour it touched. The cursor is the position in "
        "the stream; clear it to start at the live tip. While no host can be reached the ticks "
        "are skipped, the position stays, and hosts are tried again after growing pauses."
    ),
)
def jetstream_sensor(
    context: dg.SensorEvaluationContext,
    settings: SettingsParam,
    posts: ImagePostsParam,
    ingest: IngestRecordsParam,
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
        dictionaries=settings.data_dir / "jetstream",
    )
    _log_troubles(context, batch)
    # Without anything to write, what was learnt of failing hosts is worth storing.
    if batch.has_record and time.monotonic() - tick_started > ABANDONED_AFTER_SECONDS:
        raise LateTickError(
            f"the tick took over {ABANDONED_AFTER_SECONDS:g} s and wrote nothing; the events are "
            "read again. If this repeats, lower MICROBATCH_SECONDS."
        )
    files = posts.write_batch(batch.rows, start=batch.start.name, now=clock())
    record = record_of(batch, files)
    if record is not None:
        ingest.write(record)
    requests = _run_requests(
        [file.partition_key for file in files],
        batch.start.name,
        current=hour_key(clock()),
        queued=queued_hours(context.instance) if files else frozenset(),
    )
    return dg.SensorResult(
        cursor=batch.cursor.to_json(),
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(_summary(batch)),
    )


def _run_requests(
    hours: Sequence[str], start: str, *, current: str, queued: frozenset[str]
) -> list[dg.RunRequest]:
    """A run for each touched hour, unless one is queued that has yet to look at the hour.

    Of more hours than one tick may request runs for, the oldest share one run.
    """
    wanted = sorted(set(hours) - queued)
    shared, single = wanted[: -MAX_REQUESTS + 1], wanted[-MAX_REQUESTS + 1 :]
    if len(shared) < 2:
        shared, single = [], wanted
    requests = [
        dg.RunRequest(
            run_key=f"{hour}/{start}",
            partition_key=hour,
            # After an outage the past is caught up with; live posts go before it.
            tags={LANE: "live", PRIORITY: "1" if hour >= current else "0"},
        )
        for hour in single
    ]
    if shared:
        hours_of_one_run = {RANGE_START: shared[0], RANGE_END: shared[-1]}
        requests.append(
            dg.RunRequest(
                run_key=f"{shared[0]}/{shared[-1]}/{start}",
                tags={LANE: "live", PRIORITY: "0", **hours_of_one_run},
            )
        )
    return requests


def queued_hours(instance: dg.DagsterInstance) -> frozenset[str]:
    """The hours that a queued run will process. One that has started may not see new files."""
    runs = instance.get_runs(
        dg.RunsFilter(job_name=moderate_hour.name, statuses=[dg.DagsterRunStatus.QUEUED])
    )
    # A run over a range has no single partition.
    return frozenset(run.tags.get(PARTITION, "") for run in runs)


def _summary(batch: Batch) -> str:
    """Why nothing is requested."""
    if batch.host:
        return f"{batch.events} events from {batch.host}, with nothing new to process"
    tried = "; ".join(_explain(failure) for failure in batch.failures)
    return (
        "No Jetstream host could be read from. Nothing is lost: reading goes on from the same "
        f"position once one answers. {tried}"
    )


def _explain(failure: HostFailure) -> str:
    again = datetime.fromtimestamp(failure.retry_at_us / 1_000_000, UTC)
    times = "once" if failure.failures == 1 else f"{failure.failures} times in a row"
    return f"{failure.host} failed {times} ({failure.reason}), next attempt at {again:%H:%M:%S} UTC"


def _log_troubles(context: dg.SensorEvaluationContext, batch: Batch) -> None:
    # Each tick that logs leaves a file. So what is usual (anomalies) is only in the records, and a
    # host that is left alone for now is not named again.
    for failure in batch.failures:
        before = batch.start.hosts.get(failure.host)
        if before is None or before.retry_at_us != failure.retry_at_us:
            context.log.warning("Jetstream host %s", _explain(failure))
    for gap in batch.gaps:
        context.log.error(
            "Events between %s and %s may be missing: %s, %s",
            *(datetime.fromtimestamp(at / 1_000_000, UTC) for at in (gap.from_us, gap.to_us)),
            gap.reason,
            gap.host,
        )
