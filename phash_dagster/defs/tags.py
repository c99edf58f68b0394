"""Run tags, and what they say about a run."""

from collections.abc import Mapping

from phash_dagster.moderation.actions import Lane

LANE = "phash/lane"
"""`live` for runs that the Jetstream sensor asked for, `backfill` for runs over the past."""

RULES_VERSION = "phash/rules_version"
"""The rules version that a backfill run brings to the past."""

PARTITION = "dagster/partition"
"""Dagster's own: the hour of a run over one hour."""

RANGE_START = "dagster/asset_partition_range_start"
"""Dagster's own: the first hour of a run over several."""

RANGE_END = "dagster/asset_partition_range_end"
"""Dagster's own: the last hour of a run over several."""

PRIORITY = "dagster/priority"
"""Dagster's own: of queued runs that with the largest number starts first; 0 without it."""


def lane_of(tags: Mapping[str, str]) -> Lane:
    """The lane of a run. Only the sensor's runs are live: a run launched by hand over any hour
    follows the stricter rules of backfills."""
    return "live" if tags.get(LANE) == "live" else "backfill"
