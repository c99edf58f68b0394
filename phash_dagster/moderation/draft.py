"""What rules ask for in some hours, before budgets: matches, rules and claims in, rows out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from phash_dagster.matching.backfill import SETTLED_AFTER
from phash_dagster.moderation.actions import Lane
from phash_dagster.moderation.decisions import (
    Decision,
    PostMatch,
    decide,
    left_out_for_quality,
)
from phash_dagster.moderation.exemptions import exempt_accounts
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import PlanContext, PlannedActions, plan, wanted_claims
from phash_dagster.moderation.subjects import Subjects, look_up
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse


@dataclass(frozen=True)
class Planning:
    """What a planning run is given.

    Attributes:
        hours: Partition keys whose posts are planned for.
        lane: Lane of the run.
        run_id: Name of the run; recorded, and the batch of its actions in Ozone.
        now: The current time.
        is_rematch: Whether the run brings changed rules to the past: then posts of the last hours
            that came after a rule get what a live run would do, since none may come for them.
        expired: Further hours of the run, too old for anything to be done about their posts.
    """

    hours: Sequence[str]
    lane: Lane
    run_id: str
    now: datetime
    is_rematch: bool = False
    expired: Sequence[str] = ()


@dataclass(frozen=True)
class Stores:
    """Where planning reads and writes, and how it is set up."""

    settings: Settings
    ledger: Ledger
    warehouse: Warehouse
    posts: ImagePosts


@dataclass(frozen=True)
class Draft:
    """What a plan would record, before budgets.

    Attributes:
        ruleset: The rules that decided; None before any were loaded.
        decisions: What they say about posts as they stand now.
        low_quality: As in `PlanSummary`.
        planned: What follows.
        unplanned: The hours that are matched with these rules and were not planned with them yet.
    """

    ruleset: RuleSet | None
    decisions: Sequence[Decision] = ()
    low_quality: int = 0
    planned: PlannedActions = field(default_factory=lambda: PlannedActions((), ()))
    unplanned: Sequence[str] = ()


def draft(planning: Planning, stores: Stores, *, all_is_matched: bool = False) -> Draft:
    """What would be recorded about the posts of these hours, were there no budgets.

    Args:
        planning: Which hours, in which lane.
        stores: Where to read.
        all_is_matched: Whether every image is known to be matched with the rules in force, though
            the hours are not noted as such yet.
    """
    settings, posts = stores.settings, stores.posts
    with stores.warehouse.read() as connection:
        ruleset = current_version(connection)
        known = all_is_matched or _exceptions_are_known(connection, planning.hours, ruleset)
        if ruleset is None or not known:
            return Draft(ruleset)
        unplanned = _unplanned(connection, [*planning.hours, *planning.expired], ruleset)
        decisions, low_quality = decided(connection, posts, planning, ruleset, settings)
        dids = {decision.did for decision in decisions}
        exempt = exempt_accounts(connection, settings, dids)
    subjects = replace(_subjects(posts, decisions, planning), exempt=exempt)
    decisions = [one for one in decisions if subjects.is_current(one.uri, one.cid)]
    if not decisions:
        return Draft(ruleset, low_quality=low_quality, unplanned=unplanned)
    context = plan_context(planning, settings)
    since = planning.now - timedelta(days=settings.claim_ttl_days)
    claimed = stores.ledger.claims(wanted_claims(decisions, context), since=since)
    planned = plan(decisions, ruleset, context, claimed, subjects.left_alone)
    return Draft(ruleset, decisions, low_quality, planned, unplanned)


def plan_context(planning: Planning, settings: Settings) -> PlanContext:
    """What holds for all that a run plans."""
    return PlanContext(
        mode=settings.effective_mode,
        lane=planning.lane,
        backfill_mode=settings.backfill_mode,
        now=planning.now,
        claim_ttl_days=settings.claim_ttl_days,
        batch_id=planning.run_id,
        run_id=planning.run_id,
        live_since=planning.now - SETTLED_AFTER if planning.is_rematch else None,
    )


def decided(
    connection: Connection,
    posts: ImagePosts,
    planning: Planning,
    ruleset: RuleSet,
    settings: Settings,
) -> tuple[list[Decision], int]:
    """The decisions, and how many images were left out for their quality."""
    matches, quality = matches_of(connection, posts, planning.hours), settings.min_image_quality
    return (
        decide(matches, ruleset, planning.now, min_quality=quality),
        left_out_for_quality(matches, ruleset, planning.now, min_quality=quality),
    )


def matches_of(connection: Connection, posts: ImagePosts, hours: Sequence[str]) -> list[PostMatch]:
    """The stored matches of the posts of these hours, those in the margin included."""
    posts.attach(connection, hours)
    rows = connection.execute(statement("moderation/post_matches")).fetchall()
    return [PostMatch(*row) for row in rows]


def _unplanned(connection: Connection, hours: Sequence[str], ruleset: RuleSet) -> list[str]:
    rows = connection.execute(
        statement("moderation/unplanned_hours"),
        {"version": ruleset.version, "partition_keys": list(hours)},
    ).fetchall()
    return [key for (key,) in rows]


def _exceptions_are_known(
    connection: Connection, hours: Sequence[str], ruleset: RuleSet | None
) -> bool:
    """Whether the distances to the rules' exceptions are there.

    They are not where the rules changed after the hours were matched, in the midst of a run. Then
    nothing may be decided: images that the rules mean to leave alone would be acted upon. The hours
    count as not matched yet, so another run comes for them.
    """
    if ruleset is None or not any(rule.except_hashes for rule in ruleset.rules):
        return True
    matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
    return all(matched.get(hour) == ruleset.version for hour in hours)


def _subjects(posts: ImagePosts, decisions: Sequence[Decision], planning: Planning) -> Subjects:
    if not decisions:
        return Subjects()
    return look_up(
        posts,
        uris={decision.uri for decision in decisions},
        dids={decision.did for decision in decisions},
        first_hour=min(planning.hours),
    )
