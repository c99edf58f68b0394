"""Actions that rules ask for, counted by what would become of them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from phash_dagster.moderation.actions import Action, Claim, State
from phash_dagster.moderation.decisions import Decision
from phash_dagster.moderation.plan import PlanContext, wanted_claims
from phash_dagster.moderation.shadow import shadow_causes
from phash_dagster.preview.model import ActionCount, Outcome, RulePreview
from phash_dagster.settings import Settings

_OUTCOMES: dict[State, Outcome] = {
    State.PLANNED: "sent",
    State.SHADOW: "shadow",
    State.HELD: "held",
    State.SUPPRESSED: "suppressed",
}
_IN_LEDGER = "in the ledger already"
_BY_ANOTHER = "another of the rules does it"

_Group = tuple[str, str, str, str, Outcome, str]
"""Subject, event, value, lane, outcome, why."""


def counted(
    rule: RulePreview,
    decisions: Iterable[Decision],
    recorded: Sequence[Action],
    settings: Settings,
    context: PlanContext,
) -> tuple[ActionCount, ...]:
    """The actions that a rule asks for, by event, value, lane and outcome.

    Args:
        rule: The rule.
        decisions: What all rules of the version decide.
        recorded: What the ledger would get, by all of them.
        settings: In which mode actions are.
        context: In which lane and at what time they would be planned.
    """
    groups: dict[_Group, list[str]] = defaultdict(list)
    own = [action for action in recorded if action.rule_id == rule.rule_id]
    for action in own:
        ends = (action.lane, _OUTCOMES[action.state], _why(action, rule, settings))
        groups[*_kind(action.claim), *ends].append(action.subject_did)
    done = {action.claim for action in own}
    done_by_others = {action.claim for action in recorded} - done
    for claim, decision in _asked_for(rule, decisions, context).items():
        if claim not in done:
            why = _BY_ANOTHER if claim in done_by_others else _IN_LEDGER
            lane = context.lane_of(decision)
            groups[*_kind(claim), lane, "prevented", why].append(decision.did)
    return tuple(
        ActionCount(*key, actions=len(dids), accounts=len(set(dids)))
        for key, dids in sorted(groups.items())
    )


def _kind(claim: Claim) -> tuple[str, str, str]:
    """Subject, event and value."""
    subject = "post" if claim.subject.startswith("at://") else "account"
    return subject, claim.event.value, claim.value


def _asked_for(
    rule: RulePreview, decisions: Iterable[Decision], context: PlanContext
) -> dict[Claim, Decision]:
    """What the rule would do, each once, and what decided it."""
    return {
        claim: decision
        for decision in decisions
        if decision.rule.id == rule.rule_id
        for claim in wanted_claims([decision], context)
    }


def _why(action: Action, rule: RulePreview, settings: Settings) -> str:
    """Why an action would not be sent; empty if it would."""
    if action.state is not State.SHADOW:
        return action.reason or ""
    return ", ".join(
        shadow_causes(settings, rule_mode=rule.mode, rule_backfill=rule.backfill, lane=action.lane)
    )
