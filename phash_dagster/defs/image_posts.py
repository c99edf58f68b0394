"""`image_posts`, written by `jetstream_sensor`: an asset without a computation of its own."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from phash_dagster.defs.partitions import HOURLY
from phash_dagster.ingest import IngestRecords
from phash_dagster.warehouse.image_posts import SCHEMA, moment_of

COLUMNS = dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in SCHEMA])

UNTIL = "ingested_until_us"
"""Metadata: when the last reported batch ended, microseconds since 1970."""

image_posts = dg.AssetSpec(
    "image_posts",
    description=(
        "Every image that a post carried, as Jetstream delivered it, and every delete and account "
        "event: Parquet files in hourly partitions, one file per micro-batch until compaction "
        "makes one per hour. Written by `jetstream_sensor`, exactly once; what it wrote is "
        "reported here by the run that processes it. An hour counts as materialized from its "
        "first batch on."
    ),
    partitions_def=HOURLY,
    group_name="images",
    tags={"contacts": "jetstream"},
    kinds={"parquet", "bluesky"},
    owners=["team:moderation"],
    metadata={"dagster/column_schema": COLUMNS},
)


def report_arrivals(context: dg.AssetExecutionContext, ingest: IngestRecords) -> None:
    """Report, as materializations of `image_posts`, what reached the run's hours lately.

    They belong to the run, and go with it when its hour is compacted; events that the sensor
    reported itself would stay for ever, thousands a day.
    """
    # Imported here: the processes that only list the assets have no use for it.
    from phash_dagster.ingest.arrivals import arrivals

    since = {hour: _reported_until(context.instance, hour) for hour in context.partition_keys}
    for hour, arrived in arrivals(ingest, since).items():
        known = {"lag_seconds": arrived.lag_seconds, "sequence_lag": arrived.sequence_lag}
        context.log_event(
            dg.AssetMaterialization(
                image_posts.key,
                partition=hour,
                metadata={
                    "rows": arrived.rows,
                    "images": arrived.images,
                    "events": arrived.events,
                    "posts": arrived.posts,
                    "malformed_frames": arrived.malformed,
                    "anomalies": dict(arrived.anomalies),
                    "files": arrived.files,
                    "bytes": arrived.bytes,
                    "jetstream_host": arrived.host,
                    **{name: value for name, value in known.items() if value is not None},
                    UNTIL: arrived.until_us,
                },
            )
        )


def _reported_until(instance: dg.DagsterInstance, hour: str) -> datetime:
    """When the last batch ended that was reported for this hour."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=image_posts.key, asset_partitions=[hour]), limit=1
    ).records
    event = records[0].asset_materialization if records else None
    until = event.metadata.get(UNTIL) if event else None
    if until is None or not isinstance(until.value, int):
        return moment_of(hour)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=until.value)
