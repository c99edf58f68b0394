"""`image_hashes`: every image of an hour, fetched, decoded and hashed once."""

import dagster as dg

from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.partitions import HOURLY, WEEK_PER_RUN
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.images.store import hash_preview, outcome_counts

ALGORITHM = "average"


@dg.asset(
    partitions_def=HOURLY,
    backfill_policy=WEEK_PER_RUN,
    deps=[image_posts],
    description=(
        "The perceptual hash of every image, fetched from the CDN or the author's PDS. Images are "
        "never stored. Each image ends in one recorded outcome, or waits with a time of its next "
        "attempt; running an hour again tries what is due."
    ),
    group_name="images",
    kinds={"duckdb", "python"},
    owners=["team:moderation"],
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5),
)
def image_hashes(
    context: dg.AssetExecutionContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> dg.MaterializeResult[None]:
    """Hash what the run's hours hold and was not hashed yet."""
    # Imported here: decoders and HTTP are of no use to the processes that only list the assets.
    from phash_dagster.hashing import get_algorithm
    from phash_dagster.images.hash_images import hash_hours

    hours = context.partition_keys
    outcomes = hash_hours(
        hours,
        get_algorithm(ALGORITHM),
        settings=settings,
        warehouse=warehouse,
        posts=posts,
        clock=clock,
    )
    with warehouse.read() as connection:
        posts.attach(connection, hours)
        totals = outcome_counts(connection)
        preview = hash_preview(connection)
    return dg.MaterializeResult(
        metadata={
            "processed": outcomes.total(),
            "hashed": outcomes["hashed"],
            "not_hashed": outcomes.total() - outcomes["hashed"],
            "outcomes_of_the_hour": totals,
            "latest": markdown_table(("blob CID", "hash", "quality", "size", "source"), preview),
        },
    )
