"""Undoes actions: looks up what other rules ask for, and then writes what follows.

What other rules ask for takes long to find out, so it is found out before the ledger is locked;
what the actions are by then is looked up again under the lock.
"""

from collections.abc import Callable
from dataclasses import dataclass

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_reading import read_ledger
from phash_dagster.moderation.ledger_undo import view_in
from phash_dagster.moderation.undo import (
    LedgerView,
    SupportBy,
    UndoPlan,
    UndoRequest,
    sort_out,
)
from phash_dagster.moderation.undo_evidence import Evidence, gather, supported
from phash_dagster.rules import RuleSet
from phash_dagster.settings import Settings

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Undo:
    """What an undo does, or would do.

    Attributes:
        plan: What becomes of each action.
        still_acting: Rules of these actions that are in force, and go on.
        unmatched_hours: Hours with posts of these accounts that were not matched with the rules in
            force yet: what these ask for in them may not be known.
    """

    plan: UndoPlan
    still_acting: tuple[str, ...] = ()
    unmatched_hours: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no action is concerned."""
        plan = self.plan
        lists = (
            plan.taken_back,
            plan.stopped,
            plan.given_up,
            plan.kept,
            plan.undone_before,
            plan.for_good,
        )
        return not any(lists)


@dataclass(frozen=True, slots=True)
class _Prepared:
    view: LedgerView
    support: SupportBy
    evidence: Evidence


def look_at_undo(
    request: UndoRequest, settings: Settings, progress: Progress = lambda _: None
) -> Undo:
    """Say what an undo would do. Writes nothing.

    Raises:
        LedgerError: The ledger cannot be read.
        WarehouseBusyError: Another process kept the DuckDB file for long.
    """
    prepared = _prepare(request, settings, progress)
    plan = sort_out(prepared.view, prepared.support, allow_again=request.allow_again)
    return _result(plan, prepared, request)


def undo(
    request: UndoRequest,
    settings: Settings,
    clock: Clock = utc_now,
    progress: Progress = lambda _: None,
) -> Undo:
    """Stop and take back what is asked for. Actions that are planned meanwhile are not concerned.

    Raises:
        LedgerError: The ledger cannot be read.
        WarehouseBusyError: Another process kept the DuckDB file for long.
    """
    prepared = _prepare(request, settings, progress)
    action_ids = [row.action_id for row in prepared.view.selected]
    if not action_ids:
        return Undo(UndoPlan())
    progress("writing to the ledger")
    with Ledger(settings.effective_ledger_url, clock) as ledger:
        plan = ledger.undoing.carry_out(action_ids, prepared.support, request)
    return _result(plan, prepared, request)


def _prepare(request: UndoRequest, settings: Settings, progress: Progress) -> _Prepared:
    progress("reading the ledger")
    view = read_ledger(
        settings.effective_ledger_url,
        lambda connection: view_in(connection, request.which, request.mode),
        nothing=LedgerView(),
    )
    rows = [row for row in view.selected if row.mode == "live" and row.undoes is None]
    if not rows:
        return _Prepared(view, {}, Evidence())
    progress("looking for other rules that ask for the same")
    evidence = gather({row.subject_did for row in rows}, settings)
    support = supported(evidence, request.which, rows, settings, request.now)
    return _Prepared(view, support, evidence)


def _result(plan: UndoPlan, prepared: _Prepared, request: UndoRequest) -> Undo:
    acting = {
        row.rule_id
        for row in prepared.view.selected
        if prepared.evidence.ruleset and _acts(row, prepared.evidence.ruleset, request)
    }
    return Undo(plan, tuple(sorted(acting)), prepared.evidence.unmatched_hours)


def _acts(row: Action, ruleset: RuleSet, request: UndoRequest) -> bool:
    """Whether the rule in force would do to others what this action did."""
    try:
        rule = ruleset.rule(row.rule_id)
    except KeyError:
        return False
    hash_acts = row.rule_hash in rule.phashes and not ruleset.why_set_aside(rule.id, row.rule_hash)
    hash_counts = hash_acts or not request.which.hashes
    return rule.mode == "live" and not rule.has_expired(request.now) and hash_counts
