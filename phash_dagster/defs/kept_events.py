"""Reports the latest state of an hour's assets once more, in a run that stays."""

from collections.abc import Collection

import dagster as dg

HOURLY_ASSETS = ("image_posts", "image_hashes", "rule_matches", "moderation_actions")

_KEPT_TAGS = ("dagster/data_version", "dagster/code_version", "dagster/input_data_version/")
"""By these Dagster knows whether an asset is up to date."""


def keep_latest_materializations(
    context: dg.OpExecutionContext, hour: str, run_ids: Collection[str]
) -> None:
    """Before these runs are deleted: report what they said last about the assets of the hour.

    Deleting a run deletes its events, and an hour without events does not count as materialized.

    Raises:
        LookupError: An event that was reported just now cannot be found. Nothing may be deleted.
    """
    for name in HOURLY_ASSETS:
        latest = _latest(context.instance, name, hour)
        if latest is None or latest.run_id not in run_ids:
            continue
        context.log_event(_copy(latest))
        kept = _latest(context.instance, name, hour)
        if kept is None or kept.run_id in run_ids:
            raise LookupError(
                f"the state of {name} in the hour {hour} was reported and cannot be found; no run "
                "of the hour was deleted"
            )


def _latest(instance: dg.DagsterInstance, name: str, hour: str) -> dg.EventLogEntry | None:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[hour]), limit=1
    ).records
    return records[0].event_log_entry if records else None


def _copy(event: dg.EventLogEntry) -> dg.AssetMaterialization:
    reported = event.asset_materialization
    if reported is None:
        raise LookupError(f"event of run {event.run_id} is no materialization")
    return dg.AssetMaterialization(
        reported.asset_key,
        description=reported.description,
        partition=reported.partition,
        metadata=reported.metadata,
        tags={
            name: value
            for name, value in (reported.tags or {}).items()
            if name.startswith(_KEPT_TAGS)
        },
    )
