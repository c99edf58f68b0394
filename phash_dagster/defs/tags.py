"""Run tags, and what they say about a run."""

from collections.abc import Mapping

from phash_dagster.moderation.actions import Lane

LANE = "phash/lane"
"""`live` for runs that the Jetstream sensor asked for, `backfill` for runs over the past."""

RULES_VERSION = "phash/rules_version"
"""The rules version that a backfill run brings to the past."""


def lane_of(tags: Mapping[str, str]) -> Lane:
    """The lane of a run. Only the sensor's runs are live: a run launched by hand over any hour
    follows the stricter rules of backfills."""
    return "live" if tags.get(LANE) == "live" else "backfill"
