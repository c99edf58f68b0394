"""From decisions to ledger rows: which events follow, and which are not repeated. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from phash_dagster.moderation.actions import (
    Action,
    Claim,
    Claims,
    Event,
    GoneSubjects,
    Lane,
    State,
    external_id,
)
from phash_dagster.moderation.comments import account_comment, post_comment
from phash_dagster.moderation.decisions import Decision
from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.settings import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What holds for a whole plan."""

    mode: Mode
    """`live` only with credentials and `MODERATION_MODE=live`."""
    lane: Lane
    """`live` for what the Jetstream sensor asked for. Posts from before a rule are `backfill`
    all the same."""
    backfill_mode: Mode
    now: datetime
    claim_ttl_days: int
    batch_id: str
    """Of what is planned in the lane `live`; a backfill's is `backfill_batch`."""
    run_id: str
    live_since: datetime | None = None
    """In a rematch: posts from then on belong to the lane `live`, if they came after the rule. When
    their hour is over no live run comes back to it, so this run does for them what one would do."""

    def lane_of(self, decision: Decision) -> Lane:
        """`live` only for a post that came after the rule: in a live run, or soon after one."""
        return "live" if decision.after_rule and self._is_live(decision) else "backfill"

    def _is_live(self, decision: Decision) -> bool:
        if self.lane == "live":
            return True
        if self.live_since is None or decision.posted_at is None:
            return False
        return decision.posted_at >= self.live_since

    def mode_of(self, decision: Decision) -> Mode:
        """`live` if the context, the rule and, for a backfill, `BACKFILL_MODE` are all live."""
        lane_mode: Mode = self.mode
        if self.lane_of(decision) == "backfill":
            acts = decision.rule.backfill in ("report", "same")
            lane_mode = self.backfill_mode if acts else "shadow"
        return "live" if self.mode == lane_mode == decision.rule.mode == "live" else "shadow"

    def is_too_old(self, decision: Decision) -> bool:
        """Whether the rule's backfills leave the post alone for its age."""
        longest = decision.rule.backfill_max_age_days
        if longest is None or decision.posted_at is None or self.lane_of(decision) == "live":
            return False
        return self.now - decision.posted_at > timedelta(days=longest)


class Repeat(NamedTuple):
    """What a decision asks for and what was not planned, since it would be done twice."""

    decision: Decision
    claim: Claim


@dataclass(frozen=True, slots=True)
class PlannedActions:
    """The rows to record, and what was left out because it would repeat something.

    `repeated` is what of that was done, or is waiting, because of another post or another pipeline:
    the rest are posts that a run came back to.
    """

    rows: tuple[Action, ...]
    deduplicated: tuple[Claim, ...]
    repeated: tuple[Repeat, ...] = field(default=(), compare=False)


def backfill_batch(version: str) -> str:
    """The batch of what a rules version does about the past, however many runs bring it there."""
    return f"backfill-{version[:12]}"


def wanted_claims(decisions: Iterable[Decision], context: PlanContext) -> frozenset[Claim]:
    """Every claim that these decisions could take: the keys to ask the ledger for."""
    return frozenset(wish.claim for decision in decisions for wish in _wishes(decision, context))


def plan(
    decisions: Iterable[Decision],
    ruleset: RuleSet,
    context: PlanContext,
    claimed: Claims,
    gone: GoneSubjects,
) -> PlannedActions:
    """Turn decisions into actions, each (subject, event, value) once.

    What is already claimed, or asked for by an earlier decision of the same plan (the label of an
    account with two matching posts), is left out. An action on a post or account that is gone
    or exempt becomes a `suppressed` row, which takes no claim.

    Args:
        decisions: What the rules say, oldest post first.
        ruleset: The rules that decided; its version is recorded.
        context: Mode, lane, time and names of the run.
        claimed: `Ledger.claims` for `wanted_claims(decisions, context)`.
        gone: Subjects that nothing may be done to.
    """
    rows: list[Action] = []
    deduplicated: list[Claim] = []
    repeated: list[Repeat] = []
    taken, sources = _Taken(claimed), set(claimed.sources)
    for decision in decisions:
        mode = context.mode_of(decision)
        for wish in _wishes(decision, context):
            if not taken.take(wish.claim, mode):
                deduplicated.append(wish.claim)
                if (wish.claim, decision.uri) not in sources:
                    repeated.append(Repeat(decision, wish.claim))
                    sources.add((wish.claim, decision.uri))
                continue
            sources.add((wish.claim, decision.uri))
            reason = gone.reason(wish.uri, decision.did)
            rows.append(_action(decision, wish, ruleset, context, reason))
    return PlannedActions(tuple(rows), tuple(deduplicated), tuple(repeated))


class _Taken:
    """The claims that are taken, growing as a plan is made."""

    def __init__(self, claimed: Claims) -> None:
        self._sets: dict[Mode, set[Claim]] = {
            "live": set(claimed.live),
            "shadow": set(claimed.shadow),
        }

    def take(self, claim: Claim, mode: Mode) -> bool:
        """Take a claim; False if it is taken. Live claims stand in the way of shadow ones too."""
        if claim in self._sets["live"] or claim in self._sets[mode]:
            return False
        self._sets[mode].add(claim)
        return True


@dataclass(frozen=True, slots=True)
class _Wish:
    """One event that a decision asks for, on the post or (without a URI) on its author."""

    claim: Claim
    uri: str | None


def _wishes(decision: Decision, context: PlanContext) -> Iterator[_Wish]:
    if context.is_too_old(decision):
        return
    rule, lane = decision.rule, context.lane_of(decision)
    for event in _events(rule, lane, on_post=True):
        yield _Wish(Claim(decision.uri, event, _value(rule, event)), decision.uri)
    for event in _events(rule, lane, on_post=False):
        yield _Wish(Claim(decision.did, event, _value(rule, event)), None)


def asks_for(rule: Rule, action: Action) -> bool:
    """Whether a rule, as it is now, would do this to this subject."""
    if action.lane == "backfill" and action.mode == "live" and rule.backfill == "shadow":
        return False
    events = _events(rule, action.lane, on_post=action.subject_uri is not None)
    return action.event in events and action.value == _value(rule, action.event)


def _events(rule: Rule, lane: Lane, *, on_post: bool) -> tuple[Event, ...]:
    """What a rule does to a post, or to its author, in a lane."""
    events = tuple(_post_events(rule) if on_post else _account_events(rule))
    if lane == "live" or rule.backfill in ("same", "shadow"):
        return events
    return (Event.REPORT,) if events and rule.backfill == "report" else ()


def _post_events(rule: Rule) -> Iterator[Event]:
    if rule.label_post:
        yield Event.LABEL
    if rule.report_post:
        yield Event.REPORT
    if rule.takedown_post:
        yield Event.TAKEDOWN


def _account_events(rule: Rule) -> Iterator[Event]:
    """The events on the author.

    A comment accompanies a label or takedown, so that a moderator who opens the account in Ozone
    finds out why, with post and hash in its `modTool`. Reports carry their own text.
    """
    if rule.label_account:
        yield Event.LABEL
    if rule.report_account:
        yield Event.REPORT
    if rule.label_account or rule.takedown_account:
        yield Event.COMMENT
    if rule.takedown_account:
        yield Event.TAKEDOWN


def _value(rule: Rule, event: Event) -> str:
    return "" if event is Event.TAKEDOWN else rule.label


def _action(
    decision: Decision, wish: _Wish, ruleset: RuleSet, context: PlanContext, gone: str | None
) -> Action:
    mode, lane = context.mode_of(decision), context.lane_of(decision)
    event = wish.claim.event
    cid = decision.cid if wish.uri else None
    return Action(
        external_id=external_id(
            wish.claim,
            cid,
            mode=mode,
            suppressed=gone is not None,
            planned_at=context.now,
            ttl=context.claim_ttl_days,
        ),
        subject_uri=wish.uri,
        subject_did=decision.did,
        subject_cid=cid,
        source_uri=decision.uri,
        blob_cids=decision.blob_cids,
        event=event,
        value=wish.claim.value,
        rule_id=decision.rule.id,
        rule_version=ruleset.version,
        rule_hash=decision.rule_hash,
        distance=decision.distance,
        comment=_comment(decision, wish, context.now),
        report_reason=decision.rule.report_reason if event is Event.REPORT else None,
        lane=lane,
        mode=mode,
        state=_first_state(mode, gone),
        reason=gone,
        batch_id=context.batch_id if lane == "live" else backfill_batch(ruleset.version),
        run_id=context.run_id,
        planned_at=context.now,
    )


def _first_state(mode: Mode, gone: str | None) -> State:
    if gone is not None:
        return State.SUPPRESSED
    return State.PLANNED if mode == "live" else State.SHADOW


def _comment(decision: Decision, wish: _Wish, now: datetime) -> str:
    words = decision.rule.comment
    if wish.uri:
        return post_comment(now, words, wish.uri, decision.rule_hash, decision.distance)
    return account_comment(now, words, decision.did)
