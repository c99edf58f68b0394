"""The story of a record: what was seen of it, what the rules make of it, what was done. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from phash_dagster.explain.archive import Row
from phash_dagster.explain.images import Judge, Place, image_story, matches_in
from phash_dagster.explain.model import ActionStory, Wish
from phash_dagster.explain.parts import ImageStory, SeenEvent
from phash_dagster.explain.stores import Facts, LedgerFacts
from phash_dagster.moderation.actions import Claim, State
from phash_dagster.moderation.budgets import Budgets
from phash_dagster.moderation.decisions import Decision, PostMatch, decide
from phash_dagster.moderation.outcomes import ActionOutcome
from phash_dagster.moderation.plan import PlanContext, wanted_claims
from phash_dagster.moderation.precision import RulePrecision
from phash_dagster.moderation.shadow import shadow_causes
from phash_dagster.settings import Settings


@dataclass(frozen=True)
class Record:
    """A record as the stream told of it.

    Attributes:
        uri: Its AT URI.
        rows: All that tells of it, oldest first, and of its author's account.
    """

    uri: str
    rows: Sequence[Row]

    @property
    def did(self) -> str:
        """Its author."""
        return self.uri.removeprefix("at://").partition("/")[0]

    @property
    def own(self) -> list[Row]:
        """The rows about the record itself."""
        return [row for row in self.rows if row.is_record]

    @property
    def writing(self) -> Row | None:
        """The last row of its last version."""
        written = [row for row in self.own if row.operation != "delete" and row.cid]
        return max(written, key=lambda row: row.time, default=None)

    @property
    def hour(self) -> str | None:
        """The partition that has its last version: `2026-11-23-20:00`."""
        if self.writing is None:
            return None
        folder = PurePath(self.writing.filename).parent.name
        return f"{folder.removeprefix('hour=')}:00"

    @property
    def images(self) -> list[Row]:
        """One row for each image of its last version, in their order."""
        if self.writing is None:
            return []
        by_place = {
            (row.position or 0, row.blob_cid): row
            for row in self.own
            if row.blob_cid and row.operation != "delete" and row.cid == self.writing.cid
        }
        return [by_place[place] for place in sorted(by_place, key=lambda place: place[0])]

    @property
    def gone(self) -> str | None:
        """Why nothing may be done to it; None if it is there, as far as is known."""
        account = max(self.accounts, key=lambda row: row.time, default=None)
        if account and account.operation != "account_active":
            return account.operation.replace("_", " ")
        last = max(self.own, key=lambda row: row.time, default=None)
        return "post deleted" if last and last.operation == "delete" else None

    @property
    def accounts(self) -> list[Row]:
        """The rows about the account."""
        return [row for row in self.rows if not row.is_record]


def seen_events(rows: Iterable[Row]) -> list[SeenEvent]:
    """The events that these rows tell of, each once."""
    events = {
        (row.time, row.operation, row.cid): SeenEvent(
            time=row.time,
            host=row.host,
            operation=row.operation,
            cid=row.cid,
            file=row.filename,
            created_at=row.created_at,
        )
        for row in rows
    }
    return [events[key] for key in sorted(events, key=lambda key: key[0])]


def post_matches(record: Record, facts: Facts) -> list[PostMatch]:
    """The matches of the record's images, as planning sees them."""
    writing = record.writing
    if writing is None:
        return []
    return matches_in(
        [(row.blob_cid or "", row.position or 0) for row in record.images],
        facts.images,
        uri=record.uri,
        cid=writing.cid or "",
        did=record.did,
        posted_at=writing.time,
    )


def image_stories(record: Record, facts: Facts, judge: Judge) -> list[ImageStory]:
    """What is known of each image of the record."""
    judged = judge.judged(post_matches(record, facts))
    return [
        image_story(
            row.blob_cid or "",
            facts.images,
            judge,
            judged,
            Place(
                position=row.position or 0,
                mime_type=row.mime_type,
                size_bytes=row.size_bytes,
                embed_type=row.embed_type,
            ),
        )
        for row in record.images
    ]


def decisions_of(record: Record, facts: Facts, judge: Judge) -> list[Decision]:
    """What the rules in force say about the record."""
    if judge.ruleset is None:
        return []
    matches = post_matches(record, facts)
    return decide(matches, judge.ruleset, judge.now, min_quality=judge.min_quality)


def context_of(settings: Settings, now: datetime) -> PlanContext:
    """How the record would be planned now, by a live run."""
    return PlanContext(
        mode=settings.effective_mode,
        lane="live",
        backfill_mode=settings.backfill_mode,
        now=now,
        claim_ttl_days=settings.claim_ttl_days,
        batch_id="",
        run_id="",
    )


def wishes(
    decisions: Iterable[Decision], settings: Settings, now: datetime, ledger: LedgerFacts
) -> list[Wish]:
    """Everything that the rules in force ask for, rule by rule."""
    context = context_of(settings, now)
    return [
        _wish(decision, claim, context, settings, ledger)
        for decision in decisions
        for claim in sorted(wanted_claims([decision], context))
    ]


def _wish(
    decision: Decision,
    claim: Claim,
    context: PlanContext,
    settings: Settings,
    ledger: LedgerFacts,
) -> Wish:
    mode, lane = context.mode_of(decision), context.lane_of(decision)
    return Wish(
        rule_id=decision.rule.id,
        rule_hash=decision.rule_hash,
        distance=decision.distance,
        event=claim.event.value,
        value=claim.value,
        subject=claim.subject,
        lane=lane,
        mode=mode,
        why_shadow=shadow_causes(
            settings,
            rule_mode=decision.rule.mode,
            rule_backfill=decision.rule.backfill,
            lane=lane,
        ),
        claimed_by=_claimed_by(claim, mode, ledger),
    )


def _claimed_by(claim: Claim, mode: str, ledger: LedgerFacts) -> int | None:
    """The last action that stands in the way; shadow ones never stand in the way of live ones."""
    return max(
        (
            holder.action_id
            for holder in ledger.holders
            if holder.claim == claim and (mode == "shadow" or holder.state is not State.SHADOW)
        ),
        default=None,
    )


def action_stories(
    ledger: LedgerFacts,
    outcomes: dict[int, list[ActionOutcome]],
    precision: Sequence[RulePrecision],
) -> list[ActionStory]:
    """The rows of the ledger, each with what became of it."""
    by_hash = {(row.rule_id, row.rule_hash, row.distance): row for row in precision}
    return [
        ActionStory(
            action=action,
            outcomes=outcomes.get(action.action_id, ()),
            undone_by=ledger.undone_by.get(action.action_id, ()),
            precision=by_hash.get((action.rule_id, action.rule_hash, action.distance)),
        )
        for action in ledger.actions
    ]


def budget_lines(
    decisions: Sequence[Decision], facts: Facts, ledger: LedgerFacts, settings: Settings
) -> list[str]:
    """What is spent of the budgets that the record's actions count for, in words."""
    if facts.ruleset is None or not decisions:
        return []
    budgets, spent = Budgets.of(settings, facts.ruleset), ledger.spent
    lines = [
        f"rule {rule_id}: {spent.by_rule.get(rule_id, 0):,} of {budgets.of_rule(rule_id):,} "
        "actions in 24 hours"
        for rule_id in dict.fromkeys(decision.rule.id for decision in decisions)
    ]
    did = decisions[0].did
    lines += [
        f"this account: {spent.by_account.get(did, 0):,} of {budgets.actions_per_account:,}",
        f"all rules: {spent.in_day:,} of {budgets.actions_per_day:,}",
    ]
    if any(decision.rule.takedown_post or decision.rule.takedown_account for decision in decisions):
        lines.append(f"takedowns: {spent.takedowns:,} of {budgets.takedowns_per_day:,}")
    wanted = {(decision.rule.id, decision.rule_hash) for decision in decisions}
    lines += [
        f"hash {each.rule_hash} of rule {each.rule_id} is quarantined: {each.reason}"
        for each in ledger.quarantined
        if (each.rule_id, each.rule_hash) in wanted
    ]
    return lines
