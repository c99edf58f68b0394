"""Undoes actions in the ledger, in one transaction, whatever the pipeline does meanwhile."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, String, and_, case, cast, literal, select, update

from phash_dagster.clock import Clock
from phash_dagster.moderation.actions import Action, Review, State
from phash_dagster.moderation.ledger_database import chunks, insert_new, write
from phash_dagster.moderation.ledger_reviews import told
from phash_dagster.moderation.ledger_schema import moderation_actions, to_action
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import (
    OPPOSITES,
    WAITING,
    LedgerView,
    SupportBy,
    UndoPlan,
    UndoRequest,
    sort_out,
    undo_row,
)
from phash_dagster.settings import Mode

_T = moderation_actions.c


def view_in(connection: Connection, which: RowFilter, mode: Mode) -> LedgerView:
    """What the ledger holds of an undo.

    Args:
        connection: A connection to the ledger.
        which: The actions to undo.
        mode: Mode of the rows that would undo them. What was only recorded in shadow mode does not
            stand in the way of the real thing.
    """
    found = select(moderation_actions).where(which.condition()).order_by(_T.action_id)
    return _view(connection, _rows(connection, found), mode)


class LedgerUndo:
    """Writes what is undone. `Ledger.undoing` gives one."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def carry_out(
        self, action_ids: Sequence[int], support: SupportBy, request: UndoRequest
    ) -> UndoPlan:
        """Stop and take back these actions, by the states that they are in by now.

        Args:
            action_ids: Numbers of the actions.
            support: What other rules in force ask for.
            request: Who wants it, and how.

        Returns:
            What was done.
        """
        with write(self._engine) as connection:
            found = [
                row
                for chunk in chunks(sorted(action_ids))
                for row in _rows(
                    connection,
                    select(moderation_actions)
                    .where(_T.action_id.in_(chunk))
                    .order_by(_T.action_id),
                )
            ]
            view = _view(connection, found, request.mode)
            plan = sort_out(view, support, allow_again=request.allow_again)
            _Writer(connection, self._clock, request).write(plan)
        return plan


class _Writer:
    """Writes a plan. The transaction keeps everybody else from changing rows meanwhile."""

    def __init__(self, connection: Connection, clock: Clock, request: UndoRequest) -> None:
        self._connection = connection
        self._request = request
        self._now = clock()
        self._rejected = {
            "review": Review.REJECTED.value,
            "reviewed_at": self._now,
            "reviewed_by": request.by,
            "settled_at": self._now,
            "reason": told(f"undone by {request.by}"),
        }

    def write(self, plan: UndoPlan) -> None:
        """Write all of it."""
        waiting = [row for row in plan.stopped if row.state in WAITING]
        self._update(waiting, {**self._rejected, "state": State.SUPPRESSED.value})
        # An emitter is at work on these, or was when it was killed. It finds out.
        at_work = [row for row in plan.stopped if row.state is State.SENDING]
        self._update(at_work, self._rejected)
        self._give_up(plan.given_up)
        undos = [undo_row(row, self._request) for row in plan.taken_back]
        insert_new(self._connection, undos, self._now)
        self._update(plan.again, self._planned_again())
        if self._request.mode == "live" and not self._request.allow_again:
            self._hold_claims(plan)

    def _hold_claims(self, plan: UndoPlan) -> None:
        """Keep the rules from doing again what was a mistake."""
        stopped = {row.action_id for row in plan.stopped}
        there = [row for row in (*plan.taken_back, *plan.repeated) if row.action_id not in stopped]
        self._update(there, self._rejected)
        for_good = [row for row in plan.for_good if row.review is not Review.REJECTED]
        reason = told(f"not to be repeated, said {self._request.by}")
        self._update(for_good, {**self._rejected, "reason": reason})

    def _give_up(self, rows: Sequence[Action]) -> None:
        """As with what is no longer wanted: an identifier that never left is free again."""
        freed = _T.external_id + literal(":suppressed:") + cast(_T.action_id, String)
        values = {
            "state": State.SUPPRESSED.value,
            "reason": told(f"undone by {self._request.by}; another rule may do the same"),
            "external_id": case((_T.attempts == 0, freed), else_=_T.external_id),
        }
        self._update(rows, values)

    def _planned_again(self) -> dict[str, Any]:
        return {
            "state": State.PLANNED.value,
            "failed_runs": 0,
            "review": Review.RELEASED.value,
            "reviewed_at": self._now,
            "reviewed_by": self._request.by,
            "settled_at": None,
            "reason": told(f"tried again by {self._request.by}"),
        }

    def _update(self, rows: Iterable[Action], values: dict[str, Any]) -> None:
        by_state: dict[State, list[int]] = {}
        for row in rows:
            by_state.setdefault(row.state, []).append(row.action_id)
        for state, action_ids in by_state.items():
            for chunk in chunks(action_ids):
                self._connection.execute(
                    update(moderation_actions)
                    .where(_T.action_id.in_(chunk), _T.state == state.value)
                    .values({**values, "updated_at": self._now})
                )


def _view(connection: Connection, selected: Sequence[Action], mode: Mode) -> LedgerView:
    alike = _alike(connection, selected)
    undos = _undos(connection, [row.action_id for row in alike], mode)
    return LedgerView(selected=selected, alike=alike, undos=undos)


def _alike(connection: Connection, selected: Sequence[Action]) -> list[Action]:
    """Every live label and takedown with a claim of these rows."""
    claims = {row.claim for row in selected if row.event in OPPOSITES and row.mode == "live"}
    dids = {row.subject_did for row in selected if row.claim in claims}
    events = [event.value for event in OPPOSITES]
    return [
        row
        for chunk in chunks(sorted(dids))
        for row in _rows(
            connection,
            select(moderation_actions).where(
                and_(_T.subject_did.in_(chunk), _T.event.in_(events), _T.mode == "live")
            ),
        )
        if row.claim in claims
    ]


def _undos(connection: Connection, action_ids: Sequence[int], mode: Mode) -> dict[int, Action]:
    """The rows that undo these, by what they undo; live ones before those in shadow mode."""
    modes = ("live",) if mode == "live" else ("shadow", "live")
    found: dict[int, Action] = {}
    for wanted in modes:
        for chunk in chunks(action_ids):
            statement = select(moderation_actions).where(
                and_(_T.undoes.in_(chunk), _T.mode == wanted)
            )
            found |= {row.undoes: row for row in _rows(connection, statement) if row.undoes}
    return found


def _rows(connection: Connection, statement: Any) -> list[Action]:
    return [to_action(row) for row in connection.execute(statement).mappings()]
