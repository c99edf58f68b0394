"""When a rule hash suddenly finds far more posts than it ever did: it is quarantined. Pure.

A hash that turns out to be that of a blank page, or of a picture that everybody shares today, is
found out by its numbers before it has labelled thousands.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

HISTORY: Final = timedelta(days=14)
"""How far back a hash's own history goes."""

AFTER_LIFTING: Final = timedelta(hours=24)
"""How long a hash is not quarantined again once a person has lifted its quarantine."""


@dataclass(frozen=True, slots=True)
class HashHistory:
    """The posts that a rule hash decided about before an hour."""

    posts: int
    """Within `HISTORY`."""
    since: datetime
    """The hour of the first of them."""

    def hourly(self, hour: datetime) -> float:
        """Posts an hour, on average, from the first of them to `hour`."""
        hours = min(hour - self.since, HISTORY) / timedelta(hours=1)
        return self.posts / max(hours, 1.0)


def flood(
    posts: int, hour: datetime, history: HashHistory | None, *, min_posts: int, factor: float
) -> str | None:
    """Why a hash counts as flooded; None if it does not.

    Args:
        posts: Posts of this hour that it decided about.
        hour: Beginning of the hour.
        history: What it decided about in the hours before; None: nothing.
        min_posts: `FLOOD_MIN_POSTS`.
        factor: `FLOOD_FACTOR`.
    """
    usual = history.hourly(hour) if history else 0.0
    if posts < max(min_posts, factor * usual):
        return None
    return (
        f"flood: {posts:,} posts in the hour from {hour:%Y-%m-%d %H:%M} UTC, "
        f"{usual:.1f} an hour before"
    )
