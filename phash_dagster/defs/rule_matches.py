"""`rule_matches`: the images of an hour joined with the rules in force; and the sensor that brings
new rules to the past."""

import dagster as dg

from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.jobs import rematch_hours
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.partitions import HOURLY, WEEK_PER_RUN
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.defs.tags import LANE, RANGE_END, RANGE_START, RULES_VERSION, lane_of
from phash_dagster.matching import match_hours
from phash_dagster.matching.backfill import (
    HOURS_PER_RUN,
    SETTLED_AFTER,
    HourRange,
    hour_ranges,
    stale_hours,
)
from phash_dagster.rules import current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse.image_posts import hour_key

MAX_FAILURES = 3
"""Runs that may fail over the same range before the sensor leaves it to a person."""

COMMITTED = "Matches are committed"
"""Begins what a backfill logs after each of its transactions."""


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=WEEK_PER_RUN,
    deps=[image_posts, "image_hashes", "rules"],
    description=(
        "Every image near a rule hash, with its Hamming distance: up to the rule's threshold and "
        "MATCH_MARGIN bits beyond. A live run matches new images with all rules in force. A "
        "backfill brings the rules to the past: the first run joins all images with what the "
        "rules added, those that follow find it done. Running it again changes nothing."
    ),
    group_name="rules",
    tags={"contacts": "nobody"},
    kinds={"duckdb", "sql"},
    owners=["team:moderation"],
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5),
)
def rule_matches(
    context: dg.AssetExecutionContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.MaterializeResult[None]:
    """Match the run's hours, and in a backfill the whole past, with the rules in force."""
    live = lane_of(context.run.tags) == "live"
    done = None
    for done in match_hours(
        context.partition_keys,
        warehouse=warehouse,
        posts=posts,
        margin=settings.match_margin,
        matched_at=clock(),
        whole_past=not live,
    ):
        if not live:
            counts = (done.counts.new_matches, done.counts.images)
            context.log.info("%s: %d new, of %d images.", COMMITTED, *counts)
    if done is None:
        return dg.MaterializeResult(metadata={"note": "no rules are in force yet"})
    columns = ("rule", "rule hash", "distance", "blob CID")
    return dg.MaterializeResult(
        metadata={
            "images_joined": done.counts.images,
            "rule_hashes": done.counts.rule_hashes,
            "matches": done.counts.matches,
            "new_matches": done.counts.new_matches,
            "matching_seconds": done.seconds,
            "rules_version": done.version,
            "nearest_new": markdown_table(columns, done.nearest),
        },
    )


@dg.sensor(
    job=rematch_hours,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "When the rules change, requests `rematch_hours` runs over every hour that was not matched "
        "with the version in force, or whose actions were not planned with it: a week of hours a "
        "run, the latest first, one run at a time, until none is left."
    ),
)
def rematch_sensor(
    context: dg.SensorEvaluationContext,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.SensorResult | dg.SkipReason:
    """One comparison of what the rules in force have seen with what there is."""
    if _in_progress(context.instance):
        return dg.SkipReason("A rematch is in progress.")
    with warehouse.read() as connection:
        ruleset = current_version(connection)
        matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
        planned = dict(connection.execute(statement("moderation/planned_versions")).fetchall())
    if ruleset is None:
        return dg.SkipReason("No rules are in force yet.")
    keys, settled_before = posts.partition_keys(), hour_key(clock() - SETTLED_AFTER)
    stale = {
        key
        for known in (matched, planned)
        for key in stale_hours(keys, known, version=ruleset.version, settled_before=settled_before)
    }
    ranges = hour_ranges(sorted(stale), longest=HOURS_PER_RUN)
    # One at a time: while a run is at work the rules may change again. The latest hours first: what
    # was just posted matters most.
    requests = (_run_request(context, hours, ruleset.version) for hours in reversed(ranges))
    wanted = next((request for request in requests if request is not None), None)
    if wanted is None:
        return dg.SkipReason(f"{len(stale)} hours are left to match.")
    return dg.SensorResult(run_requests=[wanted])


def _in_progress(instance: dg.DagsterInstance) -> bool:
    unfinished = dg.RunsFilter(
        job_name=rematch_hours.name,
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
    )
    return instance.get_runs_count(unfinished) > 0


def _run_request(
    context: dg.SensorEvaluationContext, hours: HourRange, version: str
) -> dg.RunRequest | None:
    tags = {
        LANE: "backfill",
        RULES_VERSION: version,
        RANGE_START: hours.first,
        RANGE_END: hours.last,
    }
    runs = context.instance.get_runs(dg.RunsFilter(job_name=rematch_hours.name, tags=tags))
    failures = sum(run.status is dg.DagsterRunStatus.FAILURE for run in runs)
    if failures >= MAX_FAILURES:
        context.log.error(
            "Rematching %s to %s failed %d times; look at the failed runs, then launch a "
            "backfill of rule_matches over these hours.",
            hours.first,
            hours.last,
            failures,
        )
        return None
    # The count makes a retry, or a return to earlier rules, a new request; without it Dagster
    # would take it for one that it has launched already.
    return dg.RunRequest(run_key=f"{version}/{hours.first}/{hours.last}/{len(runs)}", tags=tags)
