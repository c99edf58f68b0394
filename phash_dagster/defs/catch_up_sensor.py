"""Runs an hour again that is over but not done: images that wait, or a last run that failed.

Live runs are requested as posts arrive. When the hour is over nobody asks for it any more, so what
its last run left undone would stay undone.
"""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from phash_dagster.defs.jobs import moderate_hour
from phash_dagster.defs.resources import ClockParam, ImagePostsParam, WarehouseParam
from phash_dagster.defs.tags import LANE
from phash_dagster.images.store import unfinished_hours
from phash_dagster.warehouse.image_posts import hour_key

LOOK_BACK = timedelta(hours=48)
"""Images that cannot be had are given up after about 27 hours."""

MAX_FAILURES = 10
"""Failed runs of an hour after which it is left to a person."""

PARTITION = "dagster/partition"


@dg.sensor(
    job=moderate_hour,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests `moderate_hour` again for hours of the last two days whose images wait for "
        "another attempt, or whose last run failed."
    ),
)
def catch_up_sensor(
    context: dg.SensorEvaluationContext,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.SensorResult | dg.SkipReason:
    """One look back."""
    now = clock()
    first, current = hour_key(now - LOOK_BACK), hour_key(now)
    past = [key for key in posts.partition_keys() if first <= key < current]
    with warehouse.read() as connection:
        posts.attach(connection, past)
        waiting = unfinished_hours(connection, now=now)
    wanted = (set(waiting) | set(_failed_hours(context.instance))) & set(past)
    requests = [
        request
        for key in sorted(wanted)
        if (request := _request(context.instance, key)) is not None
    ]
    if not requests:
        return dg.SkipReason("Every hour of the last two days is done, in progress or given up.")
    return dg.SensorResult(run_requests=requests)


def _failed_hours(instance: dg.DagsterInstance) -> Iterator[str]:
    """The hours with a failed run and no successful one after it."""
    failures = instance.get_runs(
        dg.RunsFilter(job_name=moderate_hour.name, statuses=[dg.DagsterRunStatus.FAILURE]),
        limit=100,
    )
    for key in {run.tags.get(PARTITION, "") for run in failures} - {""}:
        [last] = instance.get_runs(_runs_of(key), limit=1)
        if last.status is dg.DagsterRunStatus.FAILURE:
            yield key


def _request(instance: dg.DagsterInstance, key: str) -> dg.RunRequest | None:
    """A run over the hour, unless one is under way or too many have failed."""
    runs = instance.get_runs(_runs_of(key), limit=50)
    failures = sum(run.status is dg.DagsterRunStatus.FAILURE for run in runs)
    if failures >= MAX_FAILURES or any(not run.is_finished for run in runs):
        return None
    # The count makes each repetition a new request.
    return dg.RunRequest(
        run_key=f"catch-up/{key}/{instance.get_runs_count(_runs_of(key))}",
        partition_key=key,
        tags={LANE: "live"},
    )


def _runs_of(key: str) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=moderate_hour.name, tags={PARTITION: key})
