"""Plans the actions of some hours: matches and rules in, ledger rows out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from phash_dagster.clock import utc_now
from phash_dagster.moderation.actions import Action, Claim, Claims, GoneSubjects, State
from phash_dagster.moderation.blast_radius import judge_backfill
from phash_dagster.moderation.budgets import Budgets, HashKey
from phash_dagster.moderation.decisions import Decision
from phash_dagster.moderation.draft import (
    Draft,
    Planning,
    Stores,
    decided,
    draft,
    plan_context,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import Repeat, plan
from phash_dagster.moderation.unwanted import suppress_unwanted
from phash_dagster.rules import current_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key, moment_of
from phash_dagster.warehouse.totals import Total, count_hours, grown


@dataclass(frozen=True)
class PlanSummary:
    """What a planning run did.

    Attributes:
        decisions: Posts and rules that say something about them.
        recorded: Rows that are new in the ledger.
        deduplicated: Actions left out because they would repeat one.
        suppressed: Rows that waited to be sent and are no longer wanted, and new rows whose
            subject is gone or exempt.
        held: Rows that go beyond a budget and wait for a person.
        low_quality: Images of posts within a rule's reach that nothing was decided about, since
            their hash is of a quality below `MIN_IMAGE_QUALITY`.
        rows: The new rows, for a look at them.
    """

    decisions: int = 0
    recorded: int = 0
    deduplicated: int = 0
    suppressed: int = 0
    held: int = 0
    low_quality: int = 0
    rows: tuple[Action, ...] = ()


def plan_hours(
    planning: Planning,
    *,
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    posts: ImagePosts,
) -> PlanSummary:
    """Decide about the posts of these hours and record what follows, within the budgets.

    Posts that were updated since, in whatever hour, are left to the hour of the update. Rows that
    still wait from earlier are looked at too: what is no longer wanted is suppressed.
    """
    stores = Stores(settings, ledger, warehouse, posts)
    suppressed = suppress_unwanted(ledger, warehouse, posts, planning.now, settings)
    kept = _kept(planning, settings.retention_days)
    expired = [hour for hour in planning.hours if hour not in kept]
    planning = replace(planning, hours=kept, expired=expired)
    found = draft(planning, stores)
    if found.ruleset is None:
        return PlanSummary(suppressed=suppressed)
    if live := _of_live_hours(found.decisions, planning, settings):
        _note_posts(live, stores)
    rows = judge_backfill(planning, stores, found)
    recorded = ledger.add(
        rows,
        claim_ttl=timedelta(days=settings.claim_ttl_days),
        budgets=Budgets.of(settings, found.ruleset),
    )
    if len(rows) == len(found.planned.rows):
        _note_planned(found, found.ruleset.version, stores, planning.now)
    _count_repeated(found.planned.repeated, stores.warehouse)
    return PlanSummary(
        decisions=len(found.decisions),
        recorded=len(recorded),
        deduplicated=len(found.planned.deduplicated) + len(rows) - len(recorded),
        suppressed=suppressed + sum(row.state is State.SUPPRESSED for row in rows),
        held=sum(row.state is State.HELD for row in recorded),
        low_quality=found.low_quality,
        rows=recorded,
    )


def _note_planned(found: Draft, version: str, stores: Stores, now: datetime) -> None:
    """Note the hours that are through with this version, so that no rematch comes for them.

    Only now that all is recorded: a run that is killed before is repeated, and records nothing
    twice.
    """
    if not found.unplanned:
        return
    with stores.warehouse.write() as connection:
        connection.execute(
            statement("moderation/record_plans"),
            {"partition_keys": list(found.unplanned), "version": version, "planned_at": now},
        )


def _count_repeated(repeated: Sequence[Repeat], warehouse: Warehouse) -> None:
    """Count for the metrics what was not planned since it would be done twice.

    Runs come back to an hour and find the same again: only what is more than before counts.
    """
    found = Counter(
        (hour_key(decision.posted_at), _repeats_of(claim))
        for decision, claim in repeated
        if decision.posted_at is not None
    )
    if not found:
        return
    with warehouse.read() as connection:
        is_known = not grown(connection, found)
    if not is_known:
        with warehouse.write() as connection:
            count_hours(connection, found)


def _repeats_of(claim: Claim) -> Total:
    subject = "post" if claim.subject.startswith("at://") else "account"
    return Total.of("repeated_actions", event=claim.event.value, subject=subject)


def _of_live_hours(
    decisions: Sequence[Decision], planning: Planning, settings: Settings
) -> Sequence[Decision]:
    """The decisions of a live run, and those of a rematch in hours that have a live post."""
    if planning.lane == "live":
        return decisions
    context = plan_context(planning, settings)
    hours = {_hour_of(each) for each in decisions if context.lane_of(each) == "live"}
    return [each for each in decisions if _hour_of(each) in hours - {None}]


def _hour_of(decision: Decision) -> datetime | None:
    """The full hour in which the post came."""
    return decision.posted_at and _hour(decision.posted_at)


def _note_posts(decisions: Sequence[Decision], stores: Stores) -> None:
    """Tell the ledger how many posts each rule hash found, which may be a flood."""
    found = {
        (HashKey(each.rule.id, each.rule_hash), each.uri, _hour(each.posted_at))
        for each in decisions
        if each.posted_at is not None
    }
    stores.ledger.limits.note_posts(
        Counter((key, hour) for key, _, hour in found),
        min_posts=stores.settings.flood_min_posts,
        factor=stores.settings.flood_factor,
    )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _kept(planning: Planning, retention_days: int) -> list[str]:
    """Those of the hours that have not expired.

    Expired ones are there for a day more, for what they tell of deletes. What was told of the
    deletes of their own posts may be gone already.
    """
    oldest = planning.now - timedelta(days=retention_days)
    return [
        key
        for key in planning.hours
        if not retention_days or moment_of(key) + timedelta(hours=1) > oldest
    ]


def repeats_left_out(warehouse: Warehouse, posts: ImagePosts, settings: Settings) -> int:
    """How many actions all posts together ask for that repeat one on the same subject."""
    planning = Planning(hours=posts.partition_keys(), lane="live", run_id="", now=utc_now())
    with warehouse.read() as connection:
        ruleset = current_version(connection)
        if ruleset is None:
            return 0
        decisions, _ = decided(connection, posts, planning, ruleset, settings)
    context = plan_context(planning, settings)
    return len(plan(decisions, ruleset, context, Claims(), GoneSubjects()).deduplicated)
