"""Plans the actions of some hours: matches and rules in, ledger rows out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from phash_dagster.clock import utc_now
from phash_dagster.moderation.actions import Action, Claims, GoneSubjects, Lane, State
from phash_dagster.moderation.decisions import (
    Decision,
    PostMatch,
    decide,
    left_out_for_quality,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import PlanContext, plan, wanted_claims
from phash_dagster.moderation.subjects import Subjects, look_up
from phash_dagster.moderation.unwanted import suppress_unwanted
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
    """

    hours: Sequence[str]
    lane: Lane
    run_id: str
    now: datetime


@dataclass(frozen=True)
class PlanSummary:
    """What a planning run did.

    Attributes:
        decisions: Posts and rules that say something about them.
        recorded: Rows that are new in the ledger.
        deduplicated: Actions left out because they would repeat one.
        suppressed: Rows that waited to be sent and are no longer wanted, and new rows whose
            subject is gone.
        low_quality: Images of posts within a rule's reach that nothing was decided about, since
            their hash is of a quality below `MIN_IMAGE_QUALITY`.
        rows: The planned rows, for a look at them.
    """

    decisions: int = 0
    recorded: int = 0
    deduplicated: int = 0
    suppressed: int = 0
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
    """Decide about the posts of these hours and record what follows.

    Posts that were updated since, in whatever hour, are left to the hour of the update. Rows that
    still wait from earlier are looked at too: what is no longer wanted is suppressed.
    """
    suppressed = suppress_unwanted(ledger, warehouse, posts, planning.now)
    with warehouse.read() as connection:
        ruleset = current_version(connection)
        decisions, low_quality = _decided(connection, posts, planning, ruleset, settings)
        subjects = _subjects(connection, posts, decisions, planning)
    decisions = [one for one in decisions if subjects.is_current(one.uri, one.cid)]
    if ruleset is None or not decisions:
        return PlanSummary(suppressed=suppressed, low_quality=low_quality)
    claim_ttl = timedelta(days=settings.claim_ttl_days)
    context = plan_context(planning, settings)
    claimed = ledger.claims(wanted_claims(decisions, context), since=planning.now - claim_ttl)
    planned = plan(decisions, ruleset, context, claimed, subjects.gone)
    recorded = ledger.record(planned.rows, claim_ttl=claim_ttl)
    return PlanSummary(
        decisions=len(decisions),
        recorded=recorded,
        deduplicated=len(planned.deduplicated) + len(planned.rows) - recorded,
        suppressed=suppressed + sum(row.state is State.SUPPRESSED for row in planned.rows),
        low_quality=low_quality,
        rows=planned.rows,
    )


def repeats_left_out(warehouse: Warehouse, posts: ImagePosts, settings: Settings) -> int:
    """How many actions all posts together ask for that repeat one on the same subject."""
    planning = Planning(hours=posts.partition_keys(), lane="live", run_id="", now=utc_now())
    with warehouse.read() as connection:
        ruleset = current_version(connection)
        decisions, _ = _decided(connection, posts, planning, ruleset, settings)
    if ruleset is None:
        return 0
    context = plan_context(planning, settings)
    return len(plan(decisions, ruleset, context, Claims(), GoneSubjects()).deduplicated)


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
    )


def _decided(
    connection: Connection,
    posts: ImagePosts,
    planning: Planning,
    ruleset: RuleSet | None,
    settings: Settings,
) -> tuple[list[Decision], int]:
    """The decisions, and how many images were left out for their quality."""
    if ruleset is None or not _exceptions_are_known(connection, planning.hours, ruleset):
        return [], 0
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


def _exceptions_are_known(connection: Connection, hours: Sequence[str], ruleset: RuleSet) -> bool:
    """Whether the distances to the rules' exceptions are there.

    They are not where the rules changed after the hours were matched, in the midst of a run. Then
    nothing may be decided: images that the rules mean to leave alone would be acted upon. The hours
    count as not matched yet, so another run comes for them.
    """
    if not any(rule.except_hashes for rule in ruleset.rules):
        return True
    matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
    return all(matched.get(hour) == ruleset.version for hour in hours)


def _subjects(
    connection: Connection,
    posts: ImagePosts,
    decisions: Sequence[Decision],
    planning: Planning,
) -> Subjects:
    if not decisions:
        return Subjects()
    return look_up(
        connection,
        posts,
        uris={decision.uri for decision in decisions},
        dids={decision.did for decision in decisions},
        first_hour=min(planning.hours),
    )
