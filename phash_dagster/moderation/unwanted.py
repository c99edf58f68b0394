"""Waiting rows that are no longer wanted, since their subject or the rules changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from phash_dagster.hashing import from_words
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.exemptions import exempt_accounts
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import asks_for
from phash_dagster.moderation.subjects import Subjects, look_up
from phash_dagster.rules import Rule, RuleSet, current_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

_AHEAD: Final = timedelta(hours=1)
"""By how much clocks may differ; `look_up` makes up for it, which reads a day more."""


def suppress_unwanted(
    ledger: Ledger, warehouse: Warehouse, posts: ImagePosts, now: datetime, settings: Settings
) -> int:
    """Suppress the waiting rows that would not be planned any more; return how many those are.

    Rows that are `sending` are left: Ozone may have them, so they are settled. Rows that are held
    are looked at for exempt accounts only; the rest counts once they are released. They may be
    many and old, and to read what became of their posts takes long.
    """
    waiting = ledger.in_state(State.PLANNED)
    held_accounts = ledger.accounts_in_state(State.HELD)
    if not waiting and not held_accounts:
        return 0
    with warehouse.read() as connection:
        exempt = exempt_accounts(
            connection, settings, {action.subject_did for action in waiting} | held_accounts
        )
        ruleset = current_version(connection)
        spared = _spared(connection, waiting, ruleset)
    reasons = dict.fromkeys(spared, "rule now leaves the image alone")
    if settings.backfill_mode == "shadow":
        reasons |= dict.fromkeys(_about_the_past(waiting), "BACKFILL_MODE is shadow")
    reasons |= _reasons(posts, waiting, exempt, ruleset, now)
    for action in ledger.on_accounts(held_accounts & exempt.keys(), State.HELD):
        if action.undoes is None:
            reasons[action] = exempt[action.subject_did]
    return sum(
        ledger.mark_suppressed(action.action_id, reason, expected=action.state)
        for action, reason in reasons.items()
    )


def _about_the_past(waiting: Sequence[Action]) -> list[Action]:
    """Rows of backfills, without those that take something back."""
    return [row for row in waiting if row.lane == "backfill" and row.undoes is None]


def _spared(
    connection: Connection, waiting: Sequence[Action], ruleset: RuleSet | None
) -> list[Action]:
    """The rows whose images the rules in force leave alone: `exceptHashes` may be newer."""
    rules = {rule.id: rule for rule in ruleset.rules if rule.except_hashes} if ruleset else {}
    concerned = [row for row in waiting if row.rule_id in rules and row.undoes is None]
    if ruleset is None or not concerned:
        return []
    rows = connection.execute(
        statement("moderation/hash_values"),
        {"blob_cids": sorted({cid for action in concerned for cid in action.blob_cids})},
    ).fetchall()
    values = {(cid, algorithm): from_words(words) for cid, algorithm, words in rows}
    return [
        action
        for action in concerned
        if is_spared(
            [values.get((cid, rules[action.rule_id].algorithm)) for cid in action.blob_cids],
            rules[action.rule_id],
            ruleset,
        )
    ]


def is_spared(images: Sequence[int | None], rule: Rule, ruleset: RuleSet) -> bool:
    """Whether the exceptions of a rule leave alone each of these images, given by their hashes.

    An image whose hash is not known is not left alone. Pure.
    """
    hashes = [text for text in rule.phashes if not ruleset.why_set_aside(rule.id, text)]
    return bool(images) and all(
        image is not None
        and _nearest(rule.except_hashes, image) <= _nearest(hashes, image, default=rule.bits + 1)
        for image in images
    )


def _nearest(hashes: Sequence[str], image: int, *, default: int = 0) -> int:
    return min(((int(text, 16) ^ image).bit_count() for text in hashes), default=default)


def _reasons(
    posts: ImagePosts,
    waiting: Sequence[Action],
    exempt: Mapping[str, str],
    ruleset: RuleSet | None,
    now: datetime,
) -> dict[Action, str]:
    """The planned rows that are no longer wanted, and why."""
    if not waiting:
        return {}
    subjects = look_up(
        posts,
        uris={action.subject_uri for action in waiting if action.subject_uri},
        dids={action.subject_did for action in waiting},
        first_hour=_first_hour(posts, waiting, now),
    )
    subjects = replace(subjects, exempt=exempt)
    found = ((action, unwanted_reason(action, subjects, ruleset, now)) for action in waiting)
    return {action: reason for action, reason in found if reason}


def _first_hour(posts: ImagePosts, waiting: Sequence[Action], now: datetime) -> str:
    """From when on to look: what happened before a row was planned was looked at then.

    Where the clock was ahead then, nobody knows when that was, and all hours are read.
    """
    moments = [action.planned_at for action in waiting]
    if max(moments) > now + _AHEAD:
        return min([*posts.partition_keys(), hour_key(now)])
    return hour_key(min(moments))


def unwanted_reason(
    action: Action, subjects: Subjects, ruleset: RuleSet | None, now: datetime
) -> str | None:
    """Why an action is no longer wanted; None if it is. Pure.

    Args:
        action: A planned row. One that takes an action back is always wanted, also where the post
            is gone or the account exempt: an account may return with its labels.
        subjects: What is known of its subject.
        ruleset: The rules in force; None, before any were loaded, takes back nothing.
        now: The time by which rules have expired or not.
    """
    if action.undoes is not None:
        return None
    if gone := subjects.gone.reason(action.subject_uri, action.subject_did):
        return gone
    if action.subject_did in subjects.exempt:
        return subjects.exempt[action.subject_did]
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
