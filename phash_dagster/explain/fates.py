"""What became of actions, in words. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from phash_dagster.explain.model import ActionStory
from phash_dagster.explain.words import count, moment
from phash_dagster.moderation.actions import Action, Claim, Event, State
from phash_dagster.moderation.outcomes import REVERSALS
from phash_dagster.moderation.shadow import shadow_causes
from phash_dagster.rules import RuleSet
from phash_dagster.settings import Settings

NOTHING: Final = "Nothing was done because "

_MOST: Final = 3
"""Actions that the line names."""

_IMPORTANCE: Final = {Event.TAKEDOWN: 3, Event.LABEL: 2, Event.REPORT: 1}


@dataclass(frozen=True)
class Circumstances:
    """What holds beside the record itself.

    Attributes:
        settings: The pipeline's.
        ruleset: The rules in force.
        unread_lists: Lists of exempt accounts that were never read.
    """

    settings: Settings
    ruleset: RuleSet | None
    unread_lists: Sequence[str] = ()


def latest_of_each(actions: Iterable[ActionStory]) -> list[ActionStory]:
    """Of the rows that do the same the one that counts: what was sent, else the latest."""
    best: dict[Claim, ActionStory] = {}
    for each in actions:
        if each.action.undoes is not None:
            continue
        other = best.get(each.action.claim)
        if other is None or _weight(each) > _weight(other):
            best[each.action.claim] = each
    return sorted(best.values(), key=_weight, reverse=True)


def _weight(story: ActionStory) -> tuple[bool, int, int]:
    action = story.action
    return action.state is State.SENT, _IMPORTANCE.get(action.event, 0), action.action_id


def because_of_actions(actions: Sequence[ActionStory], now: Circumstances) -> str:
    """What became of these actions."""
    told = [_told(each, now) for each in actions[:_MOST]]
    if len(actions) > _MOST:
        told.append(f"and {len(actions) - _MOST} more actions")
    stands = any(each.action.state is State.SENT and reversal_of(each) is None for each in actions)
    beginning = "Done: " if stands else NOTHING
    return f"{beginning}{'; '.join(told)}."


def because_of_account_actions(actions: Sequence[ActionStory], now: Circumstances) -> str:
    """The last line about an account that actions are on: how many stand, else why not."""
    latest = latest_of_each(actions)
    standing = [
        each for each in latest if each.action.state is State.SENT and reversal_of(each) is None
    ]
    if not standing:
        return because_of_actions(latest, now)
    counted = Counter(_what(each.action) for each in standing)
    others = len(latest) - len(standing)
    more = f"; {count(others, 'other action')} came to nothing" if others else ""
    return f"Done: {', '.join(f'{what} ({number})' for what, number in counted.items())}{more}."


def _what(action: Action) -> str:
    what = " ".join(filter(None, (action.event.value, action.value)))
    return f"{what} {'on a post' if action.subject_uri else 'on the account'}"


def _told(story: ActionStory, now: Circumstances) -> str:
    action = story.action
    what = " ".join(filter(None, (action.event.value, action.value)))
    where = "on the post" if action.subject_uri else "on the account"
    return f"{what} {where} {_fate(story, now)}"


def _fate(story: ActionStory, now: Circumstances) -> str:
    action = story.action
    reason = action.reason or "no reason is recorded"
    match action.state:
        case State.SENT:
            return _sent(story)
        case State.PLANNED if now.unread_lists:
            return f"waits: {', '.join(now.unread_lists)} of EXEMPT_LISTS was never read"
        case State.PLANNED if now.settings.effective_mode == "shadow":
            return f"waits: nothing is sent in shadow mode ({_why_shadow(action, now)})"
        case State.PLANNED:
            return "waits to be sent" + (f" ({action.reason})" if action.reason else "")
        case State.SENDING:
            return "is being sent, or an emitter was killed meanwhile: the next run settles it"
        case State.SHADOW:
            return f"was only recorded, in shadow mode ({_why_shadow(action, now)})"
        case State.HELD:
            release = f"phash-dagster actions release {action.action_id}"
            return f"is held for a person: {reason} ({release} sends it)"
        case State.SUPPRESSED:
            return f"was not sent: {reason}"
        case State.FAILED:
            return f"was refused by Ozone: {reason}"
        case State.DEAD:
            return f"was given up after {count(action.attempts, 'attempt')}: {reason}"


def _sent(story: ActionStory) -> str:
    action = story.action
    event = f" as Ozone's event {action.ozone_event_id}" if action.ozone_event_id else ""
    sent = f"was sent at {moment(action.sent_at)}{event}"
    reversal = reversal_of(story)
    if reversal:
        comment = f": {reversal.comment}" if reversal.comment else ""
        return f"{sent}, and taken back by {reversal.by} at {moment(reversal.at)}{comment}"
    waiting = [undo for undo in story.undone_by if undo.state is not State.SENT]
    if waiting:
        undo = waiting[-1]
        return f"{sent}; action {undo.action_id}, which takes it back, is {undo.state.value}"
    return sent


@dataclass(frozen=True)
class Reversal:
    """What took an action back.

    Attributes:
        by: Who, or what.
        at: When.
        comment: What they wrote.
    """

    by: str
    at: datetime | None
    comment: str | None = None


def reversal_of(story: ActionStory) -> Reversal | None:
    """What took an action back, if that was the last word.

    Of an undo the ledger tells at once, Ozone's events only once they were read.
    """
    words = [each for each in story.outcomes if not each.outcome.startswith("appeal")]
    last = max(words, key=lambda each: each.ozone_event_id, default=None)
    undos = [undo for undo in story.undone_by if undo.state is State.SENT]
    undo = max(undos, key=lambda each: each.action_id, default=None)
    if undo and (last is None or (undo.ozone_event_id or 0) >= last.ozone_event_id):
        return Reversal(f"action {undo.action_id}, an undo,", undo.sent_at)
    if last is None or last.outcome not in REVERSALS:
        return None
    by = {"pipeline": "an undo", "schedule": "Ozone, when its time was over,"}
    return Reversal(by.get(last.by_kind, last.by_did), last.happened_at, last.comment)


def _why_shadow(action: Action, now: Circumstances) -> str:
    rule = next(
        (rule for rule in (now.ruleset.rules if now.ruleset else ()) if rule.id == action.rule_id),
        None,
    )
    causes = shadow_causes(
        now.settings,
        rule_mode=rule.mode if rule else "live",
        rule_backfill=rule.backfill if rule else "same",
        lane=action.lane,
    )
    return ", ".join(causes) or "by the settings of that time"
