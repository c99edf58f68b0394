"""Which posts and accounts nothing may be done to: gone, edited, or exempt."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from phash_dagster.moderation.actions import GoneSubjects
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts
from phash_dagster.warehouse.image_posts import PARTITION_FORMAT, hour_key

LOOK_BACK: Final = timedelta(hours=24)
"""Deletes and account events count from this long before a post. Hosts' clocks differ, and one
host repeats a post whose delete another told of before; a day covers both without reading more."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is known of posts and accounts by the latest that was heard of each."""

    gone: GoneSubjects = field(default_factory=GoneSubjects)
    cids: Mapping[str, str] = field(default_factory=dict)
    """AT URI of a post -> CID of its record as it stands now; only of posts heard of."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """DID of an account that nothing is done to -> the reason."""

    @property
    def left_alone(self) -> GoneSubjects:
        """Subjects that nothing may be done to: gone, or exempt."""
        return GoneSubjects(self.gone.uris, {**self.exempt, **self.gone.dids})

    def is_current(self, uri: str, cid: str | None) -> bool:
        """Whether the record at this AT URI is still the one with this CID, as far as is known."""
        return self.cids.get(uri, cid) == cid


def look_up(
    posts: ImagePosts, uris: Collection[str], dids: Collection[str], first_hour: str
) -> Subjects:
    """Read what was heard of these posts and accounts, from a day before `first_hour` until now.

    That may be months, so it is done without the warehouse, which nobody could write to meanwhile.

    Args:
        posts: What Jetstream delivered.
        uris: AT URIs of posts.
        dids: DIDs of accounts.
        first_hour: Partition key of the earliest hour concerned.
    """
    if not dids:
        return Subjects()
    first, wanted = _a_day_before(first_hour), sorted(uris)
    hours = [key for key in posts.partition_keys() if key >= first]
    with posts.in_memory(hours) as connection:
        found = connection.execute(
            statement("moderation/gone_subjects"), {"uris": wanted, "dids": sorted(dids)}
        ).fetchall()
        records = connection.execute(
            statement("moderation/current_records"), {"uris": wanted}
        ).fetchall()
    reasons = {subject: _reason(operation) for subject, operation in found}
    gone = GoneSubjects(
        uris={subject: reason for subject, reason in reasons.items() if subject not in dids},
        dids={subject: reason for subject, reason in reasons.items() if subject in dids},
    )
    return Subjects(gone, dict(records))


def _a_day_before(hour: str) -> str:
    return hour_key(datetime.strptime(f"{hour}+0000", f"{PARTITION_FORMAT}%z") - LOOK_BACK)


def _reason(operation: str) -> str:
    if operation == "delete":
        return "post deleted"
    return f"account {operation.removeprefix('account_')}"
