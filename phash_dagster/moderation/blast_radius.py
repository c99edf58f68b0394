"""How far a backfill reaches, found out over the whole past before anything of it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from phash_dagster.matching.backfill import HOURS_PER_RUN, hour_ranges
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.budgets import Budgets, Reach
from phash_dagster.moderation.draft import Draft, Planning, Stores, draft
from phash_dagster.moderation.ledger_limits import Batch
from phash_dagster.moderation.plan import backfill_batch
from phash_dagster.rules import RuleSet
from phash_dagster.sql import statement

MOST_COUNTED: Final = 100_000
"""Posts after which counting ends: it is too many anyway, and each is held in memory."""


@dataclass(frozen=True)
class BlastRadius:
    """What a backfill would act upon.

    Attributes:
        reach: Posts and accounts.
        images: Image posts that it looks at.
    """

    reach: Reach
    images: int


def judge_backfill(planning: Planning, stores: Stores, found: Draft) -> tuple[Action, ...]:
    """The rows to record of a draft, once its backfill was judged as a whole.

    The first run of a backfill judges it, over all hours and not only those of the run: a week
    that is within bounds must not be sent if the year is not. The verdict is kept in the ledger,
    where recording sees it.

    What a backfill would send is left out, for a later run, while it cannot be judged: since the
    rules have changed after the run matched, so that not all matches are known. The hours of the
    run count as not matched then, so a run comes for them.

    A live run that comes upon posts from before a rule judges nothing: of these it records no more
    than the bounds allow.
    """
    rows = found.planned.rows
    if planning.lane == "live" or found.ruleset is None or not any(map(_would_act, rows)):
        return rows
    limits, batch_id = stores.ledger.limits, backfill_batch(found.ruleset.version)
    if limits.batch(batch_id) is None:
        radius = blast_radius(planning, stores, found.ruleset)
        if radius is None:
            return tuple(row for row in rows if not _would_act(row))
        budgets = Budgets.of(stores.settings, found.ruleset)
        limits.judge_batch(_judged(batch_id, radius, budgets, planning.now))
    return rows


def blast_radius(planning: Planning, stores: Stores, ruleset: RuleSet) -> BlastRadius | None:
    """How far the rules reach into the past; None if not all of it is matched with them yet."""
    reach, images = Reach(), 0
    for keys in _weeks(stores.posts.partition_keys()):
        if not _all_is_matched(stores, ruleset.version):
            return None
        images += _image_posts(stores, keys)
        if len(reach.posts) > MOST_COUNTED:
            continue
        found = draft(replace(planning, hours=keys), stores, all_is_matched=True)
        if found.ruleset is None or found.ruleset.version != ruleset.version:
            return None
        reach = reach.with_rows([row for row in found.planned.rows if _would_act(row)])
    return BlastRadius(reach, images)


def _would_act(row: Action) -> bool:
    return row.lane == "backfill" and row.state is State.PLANNED


def _judged(batch_id: str, radius: BlastRadius, budgets: Budgets, now: datetime) -> Batch:
    reason = budgets.over_reach(radius.reach, radius.images)
    return Batch(
        batch_id=batch_id,
        state="held" if reason else "open",
        posts=len(radius.reach.posts),
        accounts=len(radius.reach.accounts),
        images=radius.images,
        reason=reason,
        evaluated_at=now,
    )


def _weeks(partition_keys: Sequence[str]) -> list[list[str]]:
    """The hours in parts of as many as a run has."""
    return [
        [key for key in partition_keys if hours.first <= key <= hours.last]
        for hours in hour_ranges(partition_keys, longest=HOURS_PER_RUN)
    ]


def _all_is_matched(stores: Stores, version: str) -> bool:
    """Whether every image that was ever matched was matched with this version last."""
    with stores.warehouse.read() as connection:
        found = connection.execute(
            statement("moderation/unmatched_spans"), {"version": version}
        ).fetchall()
    return not found


def _image_posts(stores: Stores, keys: Sequence[str]) -> int:
    with stores.warehouse.read() as connection:
        stores.posts.attach(connection, keys)
        [(images,)] = connection.execute(statement("moderation/image_post_count")).fetchall()
    return int(images)
