"""`analytics_snapshot`: the database that people ask, made anew every 15 minutes."""

import dagster as dg

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.defs.tags import PRIORITY


@dg.asset(
    deps=["image_hashes", "rule_matches", "moderation_actions"],
    description=(
        "A snapshot of the DuckDB tables for questions, DATA_DIR/analytics.duckdb, with views over "
        "the Parquet files. Whoever has it open keeps nobody out: ask it with "
        "`phash-dagster query`, or open it with any DuckDB client."
    ),
    group_name="moderation",
    tags={"contacts": "nobody"},
    kinds={"duckdb"},
    owners=["team:moderation"],
)
def analytics_snapshot(
    context: dg.AssetExecutionContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> dg.MaterializeResult[None]:
    """Make it."""
    from phash_dagster.analysis import Sources, make_snapshot

    made = make_snapshot(
        Sources(warehouse, posts, ingest),
        settings.analytics_path,
        clock,
        progress=context.log.debug,
    )
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(settings.analytics_path),
            "taken_at": dg.MetadataValue.timestamp(made.taken_at),
            "bytes": made.bytes,
            "parts_written": made.parts_written,
            "parts_bytes": made.parts_bytes,
            "longest_lock_seconds": made.longest_lock_seconds,
        }
    )


take_snapshot = dg.define_asset_job(
    "take_snapshot",
    selection=dg.AssetSelection.assets(analytics_snapshot),
    description="Make the snapshot that people ask. Started by `snapshot_schedule`.",
    executor_def=IN_PROCESS,
    # Live posts go first.
    tags={PRIORITY: "-1", "dagster/max_runtime": "1800"},
)

snapshot_schedule = dg.ScheduleDefinition(
    name="snapshot_schedule",
    job=take_snapshot,
    cron_schedule="*/15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Makes the snapshot that people ask, every 15 minutes.",
)
