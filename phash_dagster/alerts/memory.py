"""What is remembered from one look to the next: what fails, since when, and what was told of it.

What is seen is remembered first and told at the next look, and counts as told once it was
delivered. So while the webhook is down everything stays due, and a process that dies between
sending and remembering tells the same once more: at worst something is told twice, never not at
all, and whatever was told to fail is also told to be well again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from phash_dagster.alerts.model import RANK, Kind, Look, Notice, Policy, Severity, Trouble

KEPT: Final = timedelta(days=1)
"""How long something is remembered that is well again."""

FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=10)
"""Pauses after deliveries that failed; each is twice as long as the one before."""


class Episode(msgspec.Struct, frozen=True):
    """Something from its first failure until it is well for good.

    Attributes:
        trouble: As it was last seen to fail.
        earlier: How many episodes of the same came shortly before.
        told_at: When it was last told that it fails; None: never.
        told_severity: The worst that was told.
        well_since: Since when looks found it well; None: it fails.
        over_at: When it was told that it is over; None: it is not.
    """

    trouble: Trouble
    earlier: int = 0
    told_at: datetime | None = None
    told_severity: Severity = "warning"
    well_since: datetime | None = None
    over_at: datetime | None = None


class Memory(msgspec.Struct, frozen=True):
    """Everything that is remembered.

    Attributes:
        episodes: By key of the trouble.
        failures: Deliveries that failed, in a row.
        retry_at: No delivery is tried before; None: at any time.
        version: Version of this document.
    """

    episodes: dict[str, Episode] = {}
    failures: int = 0
    retry_at: datetime | None = None
    version: int = 1

    def may_deliver(self, now: datetime) -> bool:
        """Whether a delivery may be tried.

        A pause longer than any comes from a clock that was wrong.
        """
        return self.retry_at is None or not now < self.retry_at <= now + LONGEST_PAUSE


def observe(memory: Memory, look: Look) -> Memory:
    """The memory after a look."""
    episodes: dict[str, Episode] = {}
    for key, trouble in look.troubles.items():
        episodes[key] = _failing(memory.episodes.get(key), trouble, look.at)
    for key, before in memory.episodes.items():
        if key in look.troubles:
            continue
        if before.over_at is not None:
            if look.at - before.over_at < KEPT:
                episodes[key] = before
        elif before.well_since is None and key not in look.unknown:
            episodes[key] = msgspec.structs.replace(before, well_since=look.at)
        else:
            episodes[key] = before
    return msgspec.structs.replace(memory, episodes=episodes)


def _failing(before: Episode | None, trouble: Trouble, now: datetime) -> Episode:
    if before is None:
        return Episode(trouble)
    if before.over_at is not None:
        recent = now - before.over_at < KEPT
        return Episode(trouble, earlier=before.earlier + 1 if recent else 0)
    since = min(before.trouble.since, trouble.since)
    seen = Trouble(
        trouble.key,
        trouble.name,
        trouble.detail,
        trouble.severity,
        since,
        trouble.path,
        max(before.trouble.count, trouble.count),
    )
    return msgspec.structs.replace(before, trouble=seen, well_since=None)


def due(memory: Memory, stored: Memory, now: datetime, policy: Policy) -> list[Notice]:
    """What is to be told now, what fails before what is well again.

    Args:
        memory: The memory after the look.
        stored: The memory before it; what began since then is told after the next look.
        now: The time of the look.
        policy: When to speak.
    """
    begun = {key for key, episode in stored.episodes.items() if episode.over_at is None}
    notices = [
        notice
        for key, episode in memory.episodes.items()
        if key in begun and (notice := _notice(episode, now, policy)) is not None
    ]
    return sorted(notices, key=_order)


def _notice(episode: Episode, now: datetime, policy: Policy) -> Notice | None:
    if episode.over_at is not None:
        return None
    trouble, well_since = episode.trouble, episode.well_since
    if well_since is not None:
        if now - well_since < policy.quiet_after(episode.earlier):
            return None
        kind = Kind.PASSED if episode.told_at is None else Kind.ENDED
        return Notice(kind, trouble, ended_at=well_since)
    if episode.told_at is None:
        return Notice(Kind.STARTED, trouble)
    if RANK[trouble.severity] > RANK[episode.told_severity]:
        return Notice(Kind.WORSE, trouble)
    if now - episode.told_at >= policy.repeat_after:
        return Notice(Kind.STILL, trouble)
    return None


def _order(notice: Notice) -> tuple[bool, int, str]:
    return notice.ended_at is not None, -RANK[notice.trouble.severity], notice.trouble.key


def after_delivery(memory: Memory, delivered: Iterable[Notice], now: datetime) -> Memory:
    """The memory once these notices were delivered."""
    episodes = dict(memory.episodes)
    for notice in delivered:
        episode = episodes[notice.trouble.key]
        if notice.ended_at is not None:
            episodes[notice.trouble.key] = msgspec.structs.replace(episode, over_at=now)
        else:
            worst = max(notice.trouble.severity, episode.told_severity, key=RANK.__getitem__)
            episodes[notice.trouble.key] = msgspec.structs.replace(
                episode, told_at=now, told_severity=worst
            )
    return Memory(episodes=episodes)


def undelivered(memory: Memory, now: datetime, asked: float | None = None) -> Memory:
    """The memory after a delivery that failed; `asked`: seconds that the server asks to wait."""
    pause = min(FIRST_PAUSE * 2 ** min(memory.failures, 10), LONGEST_PAUSE)
    if asked is not None:
        pause = min(max(pause, timedelta(seconds=asked)), LONGEST_PAUSE)
    return msgspec.structs.replace(memory, failures=memory.failures + 1, retry_at=now + pause)
