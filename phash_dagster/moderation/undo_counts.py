"""An undo in figures and words, for the command line and Dagster's UI. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.undo import UndoPlan, UndoRequest
from phash_dagster.moderation.undo_run import Undo
from phash_dagster.settings import Settings

UNDO: Final = "undo"
STOP: Final = "stop"
KEEP: Final = "keep"
UNDONE: Final = "undone before"
FOR_GOOD: Final = "stays"

NO_ACTION: Final = "No action is as asked for."


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoCount:
    """How many actions of a kind come to the same end."""

    outcome: str
    event: str
    value: str
    rule_id: str
    because: str
    actions: int
    accounts: int


def counted(plan: UndoPlan) -> list[UndoCount]:
    """The actions of a plan by outcome, event, value, rule and cause; the outcomes in order."""
    groups: dict[tuple[str, str, str, str, str], list[Action]] = {}
    for outcome, because, action in _outcomes(plan):
        kind = (outcome, action.event.value, action.value, action.rule_id, because)
        groups.setdefault(kind, []).append(action)
    return [
        UndoCount(
            outcome=outcome,
            event=event,
            value=value,
            rule_id=rule_id,
            because=because,
            actions=len(rows),
            accounts=len({row.subject_did for row in rows}),
        )
        for (outcome, event, value, rule_id, because), rows in groups.items()
    ]


def _outcomes(plan: UndoPlan) -> Iterable[tuple[str, str, Action]]:
    again = {row.undoes for row in plan.again}
    for row in plan.taken_back:
        yield UNDO, "tried once more" if row.action_id in again else "", row
    for row in plan.repeated:
        yield UNDO, "by undoing a later one that did the same", row
    for row in plan.stopped:
        yield STOP, "", row
    for row in plan.given_up:
        yield STOP, "may be planned again", row
    for kept in plan.kept:
        by_rule = kept.support.action_id is None
        yield KEEP, str(kept.support) if by_rule else "a later action did it again", kept.action
    for row in plan.undone_before:
        yield UNDONE, "", row
    for row in plan.for_good:
        yield FOR_GOOD, f"a {row.event.value} cannot be undone", row


def remarks(undo: Undo, request: UndoRequest, settings: Settings, *, done: bool) -> list[str]:
    """What a person should know beside the figures.

    Args:
        undo: What it does, or would do.
        request: What was asked for.
        settings: The settings of the pipeline.
        done: Whether it was done.
    """
    return list(_remarks(undo, request, settings, done=done))


def _remarks(undo: Undo, request: UndoRequest, settings: Settings, *, done: bool) -> Iterator[str]:
    plan = undo.plan
    if plan.only_recorded:
        yield f"{plan.only_recorded:,} actions were in shadow mode: there is nothing to undo."
    if undo.is_empty:
        yield "No other action is as asked for." if plan.only_recorded else NO_ACTION
        return
    if undo.unmatched_hours:
        yield (
            "Hours with posts of these accounts that were not matched with the rules in force yet: "
            f"{undo.unmatched_hours:,}. A new rule may ask for some of these labels; that is known "
            "when rematch_hours is done."
        )
    for rule_id in undo.still_acting:
        yield (
            f"Rule {rule_id} is in force and goes on with other posts. To stop it, set its mode to "
            "shadow or remove it."
        )
    if request.mode == "shadow" and plan.taken_back:
        missing = ", ".join(settings.missing_credentials)
        why = f"{missing} not set" if missing else "MODERATION_MODE=shadow"
        yield f"Nothing is taken back in Ozone while in shadow mode ({why}): it is only recorded."
    if not done:
        yield "Nothing was changed. --yes does it."
    elif plan.taken_back and request.mode == "live":
        yield f"Recorded as batch {request.batch_id}; the next run of moderate_hour sends it."
