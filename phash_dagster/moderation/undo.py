"""What an undo takes back, what it stops, and what stays since another rule asks for it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from phash_dagster.moderation.actions import Action, Claim, Event, Review, State
from phash_dagster.moderation.comments import undo_comment
from phash_dagster.moderation.decisions import Decision
from phash_dagster.moderation.plan import PlanContext, wanted_claims
from phash_dagster.moderation.row_filter import RowFilter, is_version
from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.settings import Mode

OPPOSITES: Final = {
    Event.LABEL: Event.NEGATE_LABEL,
    Event.TAKEDOWN: Event.REVERSE_TAKEDOWN,
}
"""What takes an event back. Reports and comments stay where they are."""

WAITING: Final = (State.PLANNED, State.HELD, State.FAILED, State.DEAD)
"""States from which a row may still be sent, by the pipeline or by a person."""

_UNDER_WAY: Final = (State.PLANNED, State.SENDING, State.SENT, State.HELD, State.SHADOW)


class Standing(NamedTuple):
    """One label or takedown in Ozone, whichever actions put it there."""

    claim: Claim
    cid: str | None
    """CID of the post's record, since a label holds for one version of it; None for accounts."""


class Support(NamedTuple):
    """A rule in force that asks for the same, or an action that did it again."""

    rule_id: str
    post: str
    """AT URI of the post because of which it does."""
    action_id: int | None = None
    """The later action, if it is one."""

    def __str__(self) -> str:
        if self.action_id is not None:
            return f"action {self.action_id} did it again"
        return f"rule {self.rule_id} asks for it too"


SupportBy = Mapping[Standing, Support]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """What a person wants undone.

    Attributes:
        which: The actions.
        by: Who wants it.
        batch_id: Name of the batch that undoes them.
        run_id: Name of the run, or of the batch where there is none.
        now: The current time.
        mode: Mode of the rows that undo: `shadow` only records them.
        allow_again: Whether the rules may do the same again, once the claim window is over.
    """

    which: RowFilter
    by: str
    batch_id: str
    run_id: str
    now: datetime
    mode: Mode
    allow_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What the ledger holds of an undo."""

    selected: Sequence[Action] = ()
    """The actions that are meant, oldest first."""
    alike: Sequence[Action] = ()
    """All live labels and takedowns with a claim of theirs, themselves included."""
    undos: Mapping[int, Action] = field(default_factory=dict)
    """The rows that undo some of these already, by the number of what they undo."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A label or takedown that stays."""

    action: Action
    support: Support


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """What an undo does. An action may be stopped and taken back."""

    taken_back: tuple[Action, ...] = ()
    """Ozone has them, or may have them: each gets a row that undoes it."""
    repeated: tuple[Action, ...] = ()
    """Earlier ones that put the same label or takedown, and need no row of their own."""
    stopped: tuple[Action, ...] = ()
    """They wait, and will not be sent."""
    given_up: tuple[Action, ...] = ()
    """They wait and will not be sent, but give up their claim: another rule may do the same."""
    kept: tuple[Kept, ...] = ()
    undone_before: tuple[Action, ...] = ()
    again: tuple[Action, ...] = ()
    """Rows that were to undo some of these and came to nothing; they are planned again."""
    for_good: tuple[Action, ...] = ()
    """Reports and comments that Ozone has."""
    only_recorded: int = 0
    """Rows in shadow mode, of which nothing was ever sent."""


def rules_that_stay(ruleset: RuleSet, which: RowFilter, rows: Iterable[Action]) -> RuleSet:
    """The rules in force that may support what is undone.

    If hashes are undone, these are left out of the rules. If rules are, these are left out; and if
    neither is named, the rules that did what is undone. If a rules version is undone that is no
    longer in force, nothing is left out: the rules in force are what corrected it.
    """
    if which.hashes:
        return replace(ruleset, rules=tuple(_without_hashes(ruleset.rules, which)))
    if which.versions and not any(is_version(ruleset.version, text) for text in which.versions):
        return ruleset
    undone = frozenset(which.rules) or frozenset(row.rule_id for row in rows)
    return replace(ruleset, rules=tuple(rule for rule in ruleset.rules if rule.id not in undone))


def _without_hashes(rules: Iterable[Rule], which: RowFilter) -> Iterator[Rule]:
    for rule in rules:
        concerned = not which.rules or rule.id in which.rules
        left = tuple(each for each in rule.phashes if not concerned or each not in which.hashes)
        if left:
            yield rule.model_copy(update={"phashes": left})


def support_by(decisions: Iterable[Decision], context: PlanContext) -> SupportBy:
    """What these decisions would do live: labels and takedowns, each with the first that would."""
    found: dict[Standing, Support] = {}
    for decision in decisions:
        if context.mode_of(decision) != "live":
            continue
        for claim in wanted_claims([decision], context):
            cid = decision.cid if claim.subject == decision.uri else None
            found.setdefault(Standing(claim, cid), Support(decision.rule.id, decision.uri))
    return found


def standing(action: Action) -> Standing:
    """The label or takedown that an action puts."""
    return Standing(action.claim, action.subject_cid)


def sort_out(view: LedgerView, support: SupportBy, *, allow_again: bool = False) -> UndoPlan:
    """Say what becomes of each action.

    Args:
        view: What the ledger holds.
        support: What other rules in force ask for.
        allow_again: As in `UndoRequest`.
    """
    live = [row for row in view.selected if row.mode == "live" and row.undoes is None]
    supported = {row.action_id for row in live if standing(row) in support}
    waiting = [row for row in live if row.state in WAITING]
    keeps_claim = {row.action_id for row in waiting if not allow_again} - supported
    at_work = [row for row in live if row.state is State.SENDING and row.action_id not in supported]
    verdicts = _Verdicts(view, support)
    for rows in _by_standing(row for row in live if may_stand(row)):
        verdicts.judge(rows)
    return UndoPlan(
        taken_back=tuple(verdicts.taken_back),
        repeated=tuple(verdicts.repeated),
        stopped=(*(row for row in waiting if row.action_id in keeps_claim), *at_work),
        given_up=tuple(row for row in waiting if row.action_id not in keeps_claim),
        kept=tuple(verdicts.kept),
        undone_before=tuple(verdicts.undone_before),
        again=tuple(verdicts.again),
        for_good=tuple(
            row for row in live if row.event not in OPPOSITES and row.state is State.SENT
        ),
        only_recorded=sum(row.mode == "shadow" and row.undoes is None for row in view.selected),
    )


class _Verdicts:
    """Judges one label or takedown after the other."""

    def __init__(self, view: LedgerView, support: SupportBy) -> None:
        self._alike = {standing(rows[0]): rows for rows in _by_standing(view.alike)}
        self._selected = {row.action_id for row in view.selected}
        self._undos = view.undos
        self._support = support
        self.taken_back: list[Action] = []
        self.repeated: list[Action] = []
        self.kept: list[Kept] = []
        self.undone_before: list[Action] = []
        self.again: list[Action] = []

    def judge(self, rows: Sequence[Action]) -> None:
        """Of several actions with the same effect the last is undone, and all with it."""
        last = rows[-1]
        since = [
            row for row in self._alike.get(standing(last), ()) if row.action_id >= last.action_id
        ]
        undos = [self._undos[row.action_id] for row in since if row.action_id in self._undos]
        if any(undo.state in _UNDER_WAY for undo in undos):
            self.undone_before.extend(rows)
        elif support := self._support.get(standing(last)) or self._put_again(since):
            self.kept.extend(Kept(row, support) for row in rows)
        else:
            self.taken_back.append(last)
            self.repeated.extend(rows[:-1])
            self.again.extend(undo for undo in undos if undo.undoes == last.action_id)

    def _put_again(self, since: Sequence[Action]) -> Support | None:
        """A later action with the same effect that is not to be undone: what stands is its."""
        for row in since:
            undone = row.action_id in self._selected or row.review is Review.REJECTED
            if row.state is State.SENT and not undone:
                return Support(row.rule_id, row.source_uri, row.action_id)
        return None


def _by_standing(rows: Iterable[Action]) -> list[list[Action]]:
    groups: dict[Standing, list[Action]] = {}
    for row in sorted(rows, key=lambda row: row.action_id):
        groups.setdefault(standing(row), []).append(row)
    return list(groups.values())


def may_stand(row: Action) -> bool:
    """Whether Ozone has the label or takedown because of this action, or may have it.

    One that was tried and set aside may have arrived, unless what it asks for was found in Ozone
    before the first request left.
    """
    if row.event not in OPPOSITES or row.state is State.FAILED:
        return False
    if row.state in (State.SENT, State.SENDING):
        return True
    found_there = row.settled_at is not None and row.review is not Review.REJECTED
    return row.attempts > (1 if found_there else 0)


def undo_row(action: Action, request: UndoRequest) -> Action:
    """The row that takes an action back: the same one for the same action, whoever asks.

    It counts as released by who asked for it, so that no budget counts it and nothing holds it.
    """
    return replace(
        action,
        action_id=0,
        external_id=undo_id(action.external_id, request.mode),
        event=OPPOSITES[action.event],
        comment=undo_comment(request.now, request.by, _what(action), action.rule_id),
        mode=request.mode,
        state=State.PLANNED if request.mode == "live" else State.SHADOW,
        reason=None,
        attempts=0,
        failed_runs=0,
        undoes=action.action_id,
        review=Review.RELEASED,
        reviewed_at=request.now,
        reviewed_by=request.by,
        settled_at=None,
        ozone_event_id=None,
        batch_id=request.batch_id,
        run_id=request.run_id,
        planned_at=request.now,
        sent_at=None,
        updated_at=None,
    )


def _what(action: Action) -> str:
    return " ".join(part for part in (action.event.value, action.value) if part)


def undo_id(external_id: str, mode: Mode) -> str:
    """The identifier of the row that takes back the action with this one."""
    digest = hashlib.sha256(json.dumps(("undo", external_id)).encode()).hexdigest()
    return (
        f"phash-dagster:undo:{digest}" if mode == "live" else f"phash-dagster:{mode}:undo:{digest}"
    )
