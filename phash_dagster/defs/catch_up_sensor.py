"""Runs an hour again that is not done: images that wait, or a last run that failed.

Live runs are requested as posts arrive, and take up the images of their hour that are due. When
the hour is over nobody asks for it any more, so what its last run left undone would stay undone;
and an hour in which nothing more is posted has no live runs either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from phash_dagster.defs.jobs import moderate_hour
from phash_dagster.defs.resources import ClockParam, ImagePostsParam, WarehouseParam
from phash_dagster.defs.tags import LANE, PARTITION
from phash_dagster.images.store import LONGEST_RETRY, unfinished_hours
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

LOOK_BACK = timedelta(hours=48)
"""What every tick looks at. Images that cannot be had are given up after about 27 hours."""

LOOK_FAR_BACK = timedelta(days=30)
"""What is looked at for overdue images every `LONGEST_RETRY`: those that wait for the operator's
own hosts, that a person let be tried again, or whose time came while the pipeline was down."""

LIVE_GRACE = timedelta(minutes=2)
"""Images of the current hour that are overdue for longer have no live run that takes them up."""

MAX_OLD_HOURS = 24
"""Older hours requested at once; the next ones come `BETWEEN_OLD_HOURS` later."""

BETWEEN_OLD_HOURS = timedelta(minutes=10)

MAX_FAILURES = 10
"""Failed runs of an hour after which it is left to a person."""


@dg.sensor(
    job=moderate_hour,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests `moderate_hour` again for hours of the last two days whose images wait for "
        "another attempt, or whose last run failed; every six hours also for older hours, of the "
        "last 30 days, with images that are overdue."
    ),
)
def catch_up_sensor(
    context: dg.SensorEvaluationContext,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.SensorResult:
    """One look back. The cursor is the time of the next look far back."""
    now = clock()
    keys = posts.partition_keys()
    first, current = hour_key(now - LOOK_BACK), hour_key(now)
    past = [key for key in keys if first <= key < current]
    look = _Look(warehouse, posts)
    wanted = {
        *look.unfinished(past, due_by=now),
        *look.overdue([key for key in keys if key == current], since=now - LIVE_GRACE),
        *(set(_failed_hours(context.instance)) & set(past)),
    }
    next_far_look = datetime.fromisoformat(context.cursor) if context.cursor else now
    if next_far_look <= now:
        older = [key for key in keys if hour_key(now - LOOK_FAR_BACK) <= key < first]
        overdue = look.overdue(older, since=now)
        wanted.update(overdue[:MAX_OLD_HOURS])
        more = len(overdue) > MAX_OLD_HOURS
        next_far_look = now + (BETWEEN_OLD_HOURS if more else LONGEST_RETRY)
    requests = [
        request
        for key in sorted(wanted)
        if (request := _request(context.instance, key)) is not None
    ]
    return dg.SensorResult(
        run_requests=requests,
        cursor=next_far_look.isoformat(),
        skip_reason=None if requests else "Every hour is done, in progress or given up.",
    )


@dataclass(frozen=True)
class _Look:
    warehouse: Warehouse
    posts: ImagePosts

    def unfinished(self, hours: Sequence[str], *, due_by: datetime) -> list[str]:
        """Those of the hours with images that nobody tried, or that are due."""
        return self._hours(hours, due_by, untried=True)

    def overdue(self, hours: Sequence[str], *, since: datetime) -> list[str]:
        """Those of the hours with images that wait and were due by then."""
        return self._hours(hours, since, untried=False)

    def _hours(self, hours: Sequence[str], due_by: datetime, *, untried: bool) -> list[str]:
        if not hours:
            return []
        with self.warehouse.read() as connection:
            self.posts.attach(connection, hours)
            found = unfinished_hours(connection, due_by=due_by, untried=untried)
        return sorted(found.keys() & set(hours))


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
    # The last run makes each repetition a new request, also once earlier runs were deleted.
    return dg.RunRequest(
        run_key=f"catch-up/{key}/{runs[0].run_id if runs else 'first'}",
        partition_key=key,
        tags={LANE: "live"},
    )


def _runs_of(key: str) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=moderate_hour.name, tags={PARTITION: key})
