"""Which hours of the past the rules in force have not seen yet, as ranges for backfill runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from phash_dagster.warehouse.image_posts import PARTITION_FORMAT

SETTLED_AFTER = timedelta(hours=2)
"""From then on no live run is expected for what came in an hour; until then it is left to them."""

HOURS_PER_RUN = 168
"""A week of hours in one backfill run: few runs, and a bounded loss when one fails."""


@dataclass(frozen=True)
class HourRange:
    """A range of partition keys, both ends included."""

    first: str
    last: str


def stale_hours(
    partition_keys: Iterable[str],
    matched_with: Mapping[str, str],
    *,
    version: str,
    settled_before: str,
) -> list[str]:
    """The hours with data that were not matched with `version`, oldest first.

    Args:
        partition_keys: The hours that have data.
        matched_with: The rules version each hour was last matched with.
        version: The version in force.
        settled_before: Hours from this key on that were never matched are left to live runs,
            which are about to do it.
    """
    return sorted(
        key
        for key in partition_keys
        if matched_with.get(key, version if key >= settled_before else None) != version
    )


def hour_ranges(partition_keys: Sequence[str], *, longest: int) -> list[HourRange]:
    """Cover these sorted hours with ranges of at most `longest` hours."""
    ranges: list[HourRange] = []
    for key in partition_keys:
        if ranges and _hours_between(ranges[-1].first, key) < longest:
            ranges[-1] = HourRange(ranges[-1].first, key)
        else:
            ranges.append(HourRange(key, key))
    return ranges


def _hours_between(first: str, last: str) -> int:
    span = datetime.strptime(last, PARTITION_FORMAT) - datetime.strptime(first, PARTITION_FORMAT)  # noqa: DTZ007 - keys are UTC, and only their difference is wanted
    return span // timedelta(hours=1)
