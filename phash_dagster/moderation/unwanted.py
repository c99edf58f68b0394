"""Planned rows that are no longer wanted, since their subject or the rules changed."""

from datetime import datetime

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import asks_for
from phash_dagster.moderation.subjects import Subjects, look_up
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key


def suppress_unwanted(
    ledger: Ledger, warehouse: Warehouse, posts: ImagePosts, now: datetime
) -> int:
    """Suppress the planned rows that would not be planned any more; return how many those are.

    Rows that are `sending` are left: Ozone may have them, so they are settled.
    """
    waiting = ledger.in_state(State.PLANNED)
    if not waiting:
        return 0
    with warehouse.read() as connection:
        ruleset = current_version(connection)
        subjects = look_up(
            connection,
            posts,
            uris={action.subject_uri for action in waiting if action.subject_uri},
            dids={action.subject_did for action in waiting},
            # What happened before a row was planned was looked at when it was planned.
            first_hour=min(hour_key(action.planned_at) for action in waiting),
        )
    suppressed = 0
    for action in waiting:
        reason = unwanted_reason(action, subjects, ruleset, now)
        if reason:
            suppressed += ledger.mark_suppressed(action.action_id, reason)
    return suppressed


def unwanted_reason(
    action: Action, subjects: Subjects, ruleset: RuleSet | None, now: datetime
) -> str | None:
    """Why an action is no longer wanted; None if it is. Pure.

    Args:
        action: A planned row. One that takes an action back is always wanted, also where the post
            is gone: an account may return with its labels.
        subjects: What is known of its subject.
        ruleset: The rules in force; None, before any were loaded, takes back nothing.
        now: The time by which rules have expired or not.
    """
    if action.undoes is not None:
        return None
    if gone := subjects.gone.reason(action.subject_uri, action.subject_did):
        return gone
    if action.subject_uri and not subjects.is_current(action.subject_uri, action.subject_cid):
        return "record updated"
    return _taken_back(action, ruleset, now) if ruleset else None


def _taken_back(action: Action, ruleset: RuleSet, now: datetime) -> str | None:
    """Why the rules in force do not ask for this action; None if they do."""
    try:
        rule = ruleset.rule(action.rule_id)
    except KeyError:
        return "rule no longer in force"
    if rule.has_expired(now):
        return "rule has expired"
    if rule.mode == "shadow":
        return "rule now in shadow mode"
    if action.subject_did in rule.ignore_dids:
        return "rule now ignores this account"
    if action.rule_hash not in rule.phashes or action.distance > ruleset.threshold(rule):
        return "rule no longer matches the image"
    if dangers := ruleset.why_set_aside(rule.id, action.rule_hash):
        return f"hash now set aside: {dangers}"
    if not asks_for(rule, action):
        return f"rule no longer asks for this {action.event.value}"
    return None
