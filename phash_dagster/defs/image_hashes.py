"""`image_hashes`: every image of an hour, fetched, decoded and hashed once."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg
from pydantic import Field

from phash_dagster.defs.image_posts import image_posts, report_arrivals
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.partitions import HOURLY, WEEK_PER_RUN
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.images.coverage import (
    HourCoverage,
    hour_coverage,
    judge_coverage,
    total_counts,
)
from phash_dagster.images.store import given_up_preview, hash_preview
from phash_dagster.ingest import IngestRecords

COVERAGE = "coverage"


class ImageHashesConfig(dg.Config):
    """What a person may ask of a run, in the launchpad."""

    retry_given_up: bool = Field(
        default=False,
        description=(
            "Also try the images again that were given up after a day of failures. Those that "
            "fail again wait, and are retried for another day."
        ),
    )


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=WEEK_PER_RUN,
    deps=[image_posts],
    check_specs=[
        dg.AssetCheckSpec(
            COVERAGE,
            asset="image_hashes",
            description=(
                "Every image of the run's hours has one outcome or waits, and none of an hour "
                "that ended over an hour ago was forgotten. Warns of images that were given up."
            ),
        )
    ],
    description=(
        "The perceptual hash of every image, fetched from the CDN or the author's PDS. Images are "
        "never stored. Each image ends in one recorded outcome, or waits with a time of its next "
        "attempt; running an hour again tries what is due. After more than a day of failures an "
        "image is given up; the config `retry_given_up` tries those again."
    ),
    group_name="images",
    tags={"contacts": "image-hosts"},
    kinds={"duckdb", "python"},
    owners=["team:moderation"],
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5),
)
def image_hashes(
    context: dg.AssetExecutionContext,
    config: ImageHashesConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it, and knows the bare one only
    """Hash what the run's hours hold and was not hashed yet."""
    # Imported here: decoders and HTTP are of no use to the processes that only list the assets.
    from phash_dagster.images.hash_images import hash_hours, wanted_algorithms

    hours = context.partition_keys
    report_arrivals(context, IngestRecords.under(settings.data_dir))
    try:
        algorithms = wanted_algorithms(settings, warehouse)
    except ValueError as error:
        # It would fail the same way again.
        raise dg.Failure(str(error), allow_retries=False) from error
    outcomes = hash_hours(
        hours,
        algorithms,
        settings=settings,
        warehouse=warehouse,
        posts=posts,
        clock=clock,
        retry_given_up=config.retry_given_up,
    )
    with warehouse.read() as connection:
        posts.attach(connection, hours)
        coverage = hour_coverage(connection)
        totals = total_counts(coverage)
        preview = hash_preview(connection)
        given_up = given_up_preview(connection) if totals.get("gave_up") else []
    return dg.MaterializeResult(
        metadata={
            "processed": outcomes.total(),
            "hashed": outcomes["hashed"],
            "not_hashed": outcomes.total() - outcomes["hashed"],
            "algorithms": ", ".join(algorithm.name for algorithm in algorithms),
            "outcomes_of_the_hour": totals,
            "latest": markdown_table(("blob CID", "hash", "quality", "size", "source"), preview),
            "given_up": markdown_table(("blob CID", "DID", "attempts", "when", "why"), given_up),
        },
        check_results=[_coverage_check(coverage, clock())],
    )


def _coverage_check(hours: Sequence[HourCoverage], now: datetime) -> dg.AssetCheckResult:
    verdict = judge_coverage(hours, now)
    return dg.AssetCheckResult(
        check_name=COVERAGE,
        passed=not (verdict.errors or verdict.warnings),
        severity=dg.AssetCheckSeverity.ERROR if verdict.errors else dg.AssetCheckSeverity.WARN,
        description=" ".join((*verdict.errors, *verdict.warnings)),
        metadata={"seen": sum(hour.seen for hour in hours), **total_counts(hours)},
    )
