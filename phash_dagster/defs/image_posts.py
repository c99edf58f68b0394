"""`image_posts`, written by `jetstream_sensor`: an asset without a computation of its own."""

import dagster as dg

from phash_dagster.defs.partitions import HOURLY
from phash_dagster.warehouse.image_posts import SCHEMA

COLUMNS = dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in SCHEMA])

image_posts = dg.AssetSpec(
    "image_posts",
    description=(
        "Every image that a post carried, as Jetstream delivered it, and every delete and account "
        "event: Parquet files in hourly partitions, one file per micro-batch. Written by "
        "`jetstream_sensor`, exactly once. An hour counts as materialized from its first batch on."
    ),
    partitions_def=HOURLY,
    group_name="images",
    kinds={"parquet", "bluesky"},
    owners=["team:moderation"],
    metadata={"dagster/column_schema": COLUMNS},
)
