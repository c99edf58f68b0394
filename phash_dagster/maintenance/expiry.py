"""Which hours of `image_posts` have expired, and which of these have to stay for now. Reads only.

An hour expires `RETENTION_DAYS` and a day after its end. The day more is for what the hours tell of
deleted posts and accounts: that counts for posts of the day after, too (`subjects.LOOK_BACK`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from phash_dagster.images.store import unfinished_hours
from phash_dagster.matching.backfill import stale_hours
from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.subjects import LOOK_BACK
from phash_dagster.rules import current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.compaction import is_over
from phash_dagster.warehouse.image_posts import moment_of

MAX_HOURS: Final = 24 * 14
"""Hours that one maintenance removes, the oldest first. Once `RETENTION_DAYS` is set, a long past
goes in as many nights as it has fortnights."""

IMAGES_WAIT: Final = timedelta(days=30)
"""Images that wait for another attempt keep their hour for so long; then nobody tries them."""

UNSETTLED: Final = (State.PLANNED, State.SENDING, State.HELD)
"""An action in one of these states keeps the hour of its post."""

Held = Callable[[str], str | None]
"""Says of an hour why whoever runs the pipeline needs it; None if it does not."""


@dataclass(frozen=True)
class Expiry:
    """What has expired.

    Attributes:
        before: Hours that ended before this moment have expired; None: nothing expires.
        hours: The hours to remove, oldest first.
        held: Hours that have expired and stay for now, and why.
        left: How many more have expired, for the next maintenance.
    """

    before: datetime | None = None
    hours: Sequence[str] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    left: int = 0


def expires_before(now: datetime, retention_days: float) -> datetime | None:
    """What ended before that has expired; None if nothing ever does, with 0 days."""
    return now - timedelta(days=retention_days) - LOOK_BACK if retention_days else None


def expired_hours(
    posts: ImagePosts,
    warehouse: Warehouse,
    ledger: Ledger,
    *,
    now: datetime,
    retention_days: float,
    held: Held = lambda _: None,
) -> Expiry:
    """The hours that have expired. Which of them are needed is asked of everything that may."""
    before = expires_before(now, retention_days)
    if before is None:
        return Expiry()
    expired = [
        key for key in posts.partition_keys() if is_over(key, now=before, after=timedelta(0))
    ]
    due, left = expired[:MAX_HOURS], len(expired) - len(expired[:MAX_HOURS])
    if not due:
        return Expiry(before)
    reasons: dict[str, str] = {}
    for found in (
        {key: reason for key in due if (reason := held(key))},
        _not_matched(due, warehouse),
        _waiting(due, posts, warehouse, now),
        _with_actions(due, posts, ledger),
    ):
        reasons = {**found, **reasons}
    hours = [key for key in due if key not in reasons]
    return Expiry(before, hours, {key: reasons[key] for key in due if key in reasons}, left)


def _not_matched(due: Sequence[str], warehouse: Warehouse) -> dict[str, str]:
    """The hours that the rules in force have yet to see: a backfill is on its way to them."""
    with warehouse.read() as connection:
        # Asked first: the rules leave a result open, and then the connection takes no question.
        matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
        ruleset = current_version(connection)
    if ruleset is None:
        return {}
    stale = stale_hours(due, matched, version=ruleset.version, settled_before=_LATER)
    return dict.fromkeys(stale, "not matched with the rules in force yet")


_LATER: Final = "9999"
"""Every hour is before it: one that was never matched has to be, too."""


def _waiting(
    due: Sequence[str], posts: ImagePosts, warehouse: Warehouse, now: datetime
) -> dict[str, str]:
    recent = [key for key in due if moment_of(key) > now - IMAGES_WAIT]
    if not recent:
        return {}
    with warehouse.read() as connection:
        posts.attach(connection, recent)
        hours = unfinished_hours(connection, due_by=now + 10 * IMAGES_WAIT, untried=True)
    return {
        key: f"{hours[key]} images in it wait for another attempt" for key in recent if key in hours
    }


def _with_actions(due: Sequence[str], posts: ImagePosts, ledger: Ledger) -> dict[str, str]:
    uris = {action.source_uri for state in UNSETTLED for action in ledger.in_state(state)}
    if not uris:
        return {}
    with duckdb.connect() as connection:
        files = {str(path): key for key in due for path in posts.files([key])}
        connection.execute("SET VARIABLE due_files = $1", [list(files)])
        found = connection.execute(
            statement("maintenance/hours_of_posts"), {"uris": sorted(uris)}
        ).fetchall()
    states = ", ".join(UNSETTLED)
    return {
        files[str(Path(name))]: f"has a post with an action in state {states}" for (name,) in found
    }
