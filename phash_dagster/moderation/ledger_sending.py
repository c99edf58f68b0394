"""What an emitter writes into the ledger: which rows it takes, and what became of them.

Rows are taken and written back several at a time, since each transaction waits for the disk. A row
is `sending` on disk before its request leaves, whatever else is taken with it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.expression import ColumnCollection

from phash_dagster.clock import Clock
from phash_dagster.moderation.actions import Action, Review, State
from phash_dagster.moderation.ledger_database import emitter_lock, write
from phash_dagster.moderation.ledger_schema import (
    emitter_terms,
    moderation_actions,
    ozone_circuits,
    to_action,
)
from phash_dagster.moderation.ledger_totals import (
    REJECTIONS,
    TRANSITIONS,
    LedgerTotal,
    add_one,
    count_change,
)
from phash_dagster.moderation.ozone_circuit import Pause, PauseKind

_T = moderation_actions.c


class EmitterReplacedError(Exception):
    """Another emitter began its work: this one lost its right, e.g. with its connection."""


@dataclass(frozen=True, slots=True)
class Term:
    """The time for which a process is the only emitter. Whoever comes next has a higher number."""

    number: int
    rival_seconds: float
    """For how long an emitter of an earlier term may still send what it took: one that did not end
    its term, and that may be at work somewhere without knowing that it lost its right."""


class Sent(NamedTuple):
    """A row whose event Ozone has."""

    action_id: int
    ozone_event_id: int | None
    sent_at: datetime
    note: str | None


class LedgerSending:
    """For the emitter alone. `Ledger.sending` gives one."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @contextmanager
    def term(self, rival: timedelta) -> Iterator[Term | None]:
        """Be the only emitter; gives None if another process is.

        A lock on the database's file is lost with the process alone. The advisory lock of
        PostgreSQL is lost with a connection too, and the process would not notice: so each term
        has a number, and `take` refuses the number of a term that another followed.

        Args:
            rival: How long an emitter may send what it took before.
        """
        with emitter_lock(self._engine) as held:
            if not held:
                yield None
                return
            term = self._begin_term(rival)
            try:
                yield term
            finally:
                self._end_term(term)

    def _begin_term(self, rival: timedelta) -> Term:
        now = self._clock()
        with write(self._engine) as connection:
            last = connection.execute(select(emitter_terms)).mappings().one_or_none()
            number = last["number"] + 1 if last else 1
            rival_until = last["rival_until"] if last else None
            if last and not last["finished"] and connection.dialect.name == "postgresql":
                rival_until = now + rival
            values = {"number": number, "finished": False, "rival_until": rival_until}
            connection.execute(delete(emitter_terms))
            connection.execute(insert(emitter_terms).values(values))
        if rival_until is None:
            return Term(number, 0.0)
        # A clock that was set back makes no wait longer.
        return Term(number, min(max(rival_until - now, timedelta()), rival).total_seconds())

    def _end_term(self, term: Term) -> None:
        finished = update(emitter_terms).where(emitter_terms.c.number == term.number)
        try:
            with write(self._engine) as connection:
                connection.execute(finished.values(finished=True))
        except OperationalError:
            return  # the connection is lost: the next term waits a little longer, that is all

    def is_current(self, term: Term) -> bool:
        """Whether no other emitter has begun its term."""
        with self._engine.connect() as connection:
            return connection.scalar(select(emitter_terms.c.number)) == term.number

    # Rows

    def queue(self, limit: int, *, only_undo: bool = False) -> list[int]:
        """Numbers of planned rows in the order of sending; if so wished, of those that undo.

        First come those that failed least. Among them the rules and events take turns, and within
        these the accounts, rows that were tried before counting as a turn: so what Ozone breaks on
        for one cause, be it the label of a rule or an account, does not hold up the rest. Else the
        oldest comes first.
        """
        return self._in_turn(lambda row: row.action_id, limit, only_undo=only_undo)

    def any_planned(self, *, only_undo: bool = False) -> list[int]:
        """The number of one planned row, of any rule, event and account: a probe."""
        return self._in_turn(lambda _: func.random(), 1, only_undo=only_undo)

    def _in_turn(
        self,
        order: Callable[[ColumnCollection[str, Any]], ColumnElement[Any]],
        limit: int,
        *,
        only_undo: bool,
    ) -> list[int]:
        of_account = func.row_number().over(
            partition_by=(_T.rule_id, _T.event, _T.subject_did),
            order_by=(_T.attempts.desc(), order(_T)),
        )
        turns = (
            select(moderation_actions, of_account.label("of_account"))
            .where(_may_be_sent(), _T.undoes.is_not(None) if only_undo else true())
            .subquery()
        )
        row = turns.c
        of_rule = func.row_number().over(
            partition_by=(row.rule_id, row.event),
            order_by=(row.attempts.desc(), row.of_account, order(row)),
        )
        statement = (
            select(row.action_id)
            .order_by(row.failed_runs, row.attempts, of_rule, order(row))
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(statement))

    def planned(self, numbers: Sequence[int]) -> list[Action]:
        """Those of these rows that are planned, in this order."""
        statement = select(moderation_actions).where(_T.action_id.in_(numbers), _may_be_sent())
        with self._engine.connect() as connection:
            rows = {row["action_id"]: row for row in connection.execute(statement).mappings()}
        return [to_action(rows[number]) for number in numbers if number in rows]

    def take(self, rows: Sequence[Action], term: Term) -> list[Action]:
        """Mark planned rows as `sending` and count the attempt; return those that still were.

        Raises:
            EmitterReplacedError: Another emitter has begun its term.
        """
        if not rows:
            return []
        taking = (
            update(moderation_actions)
            .where(_T.action_id.in_([row.action_id for row in rows]))
            .where(_may_be_sent())
            .values(state=State.SENDING.value, attempts=_T.attempts + 1, updated_at=self._clock())
            .returning(_T.action_id)
        )
        with write(self._engine) as connection:
            if connection.scalar(select(emitter_terms.c.number)) != term.number:
                raise EmitterReplacedError("another emitter has begun its work")
            taken = set(connection.scalars(taking))
        return [row for row in rows if row.action_id in taken]

    def write_back(self, sent: Sequence[Sent], untried: Collection[Action]) -> int:
        """Write down which rows were sent; give those back that were taken in vain.

        Returns:
            How many rows were still `sending`, as all should have been.
        """
        if not sent and not untried:
            return 0
        with write(self._engine) as connection:
            return self._mark_sent(connection, sent) + self._give_back(connection, untried)

    def _mark_sent(self, connection: Connection, sent: Sequence[Sent]) -> int:
        if not sent:
            return 0
        statement = update(moderation_actions).where(
            _T.action_id == bindparam("row"), _T.state == State.SENDING.value
        )
        same = {"state": State.SENT.value, "updated_at": self._clock()}
        values = [
            {"row": row, "ozone_event_id": event_id, "sent_at": sent_at, "reason": note, **same}
            for row, event_id, sent_at, note in sent
        ]
        # One by one: drivers do not count the rows of several statements at once.
        return sum(connection.execute(statement, value).rowcount for value in values)

    def _give_back(self, connection: Connection, untried: Collection[Action]) -> int:
        if not untried:
            return 0
        statement = (
            update(moderation_actions)
            .where(_T.action_id.in_([row.action_id for row in untried]))
            .where(_T.state == State.SENDING.value)
            .values(state=State.PLANNED.value, attempts=_T.attempts - 1, updated_at=self._clock())
        )
        return connection.execute(statement).rowcount

    def mark_unanswered(self, action_id: int, state: State, reason: str, *, charged: bool) -> bool:
        """Write down that a row had no usable answer; False if it was not `sending`.

        Args:
            action_id: The row.
            state: `planned` if the event did not arrive, `sending` while that is not known, `dead`
                if it failed too often.
            reason: Why.
            charged: Whether the failure counts against the row.
        """
        statement = (
            update(moderation_actions)
            .where(_T.action_id == action_id, _T.state == State.SENDING.value)
            .values(
                state=state.value,
                reason=reason,
                failed_runs=_T.failed_runs + int(charged),
                updated_at=self._clock(),
            )
        )
        with write(self._engine) as connection:
            return connection.execute(statement).rowcount == 1

    def is_rejected(self, action_id: int) -> bool:
        """Whether a person has rejected a row since it was taken."""
        review = select(_T.review).where(_T.action_id == action_id)
        with self._engine.connect() as connection:
            return bool(connection.scalar(review) == Review.REJECTED.value)

    def set_rejected_aside(self) -> int:
        """Suppress what a person rejected while an emitter was at work on it; return how many.

        Rows that are still `sending` are left until it is known what became of them. What Ozone
        has of it, a row of its own takes back, where the person wanted that.
        """
        settled = [state.value for state in (State.PLANNED, State.FAILED, State.DEAD)]
        statement = (
            update(moderation_actions)
            .where(_T.state.in_(settled), _T.review == Review.REJECTED.value)
            .values(state=State.SUPPRESSED.value, updated_at=self._clock())
        )
        with write(self._engine) as connection:
            return connection.execute(statement).rowcount

    # How Ozone is

    def load_circuit(self, service: str) -> tuple[int, Pause | None]:
        """What is known of an Ozone: failures in a row, and until when it is not asked and why."""
        wanted = select(ozone_circuits).where(ozone_circuits.c.service == service)
        with self._engine.connect() as connection:
            row = connection.execute(wanted).mappings().one_or_none()
        if row is None:
            return 0, None
        if row["paused_until"] is None:
            return row["failures"], None
        since, until = row["paused_at"], row["paused_until"]
        return row["failures"], Pause(since, until, PauseKind(row["kind"]), row["reason"])

    def save_circuit(self, service: str, failures: int, pause: Pause | None) -> None:
        """Keep what is known of an Ozone, for the next run and for other machines."""
        row: dict[str, Any] = {"service": service, "failures": failures}
        if pause is not None:
            row |= {
                "paused_at": pause.since,
                "paused_until": pause.until,
                "kind": pause.kind.value,
                "reason": pause.reason,
            }
        of_service = ozone_circuits.c.service == service
        with write(self._engine) as connection:
            before = connection.scalar(select(ozone_circuits.c.failures).where(of_service)) or 0
            count_change(connection, before, failures, pause)
            connection.execute(delete(ozone_circuits).where(of_service))
            if failures or pause:
                connection.execute(insert(ozone_circuits).values(row))

    def count_rejection(self) -> None:
        """Count a run that sent nothing, since Ozone is left alone."""
        with write(self._engine) as connection:
            add_one(connection, LedgerTotal.of(REJECTIONS))

    def count_probe(self) -> None:
        """Count that an Ozone that failed is asked again by one request."""
        with write(self._engine) as connection:
            add_one(connection, LedgerTotal.of(TRANSITIONS, to="half_open"))


def _may_be_sent() -> ColumnElement[bool]:
    """Planned rows, but for those that a person rejected meanwhile, and for those that undo what
    may be arriving right now: it would arrive after it was taken back."""
    undone = moderation_actions.alias()
    still_under_way = (
        exists()
        .where(undone.c.action_id == _T.undoes, undone.c.state == State.SENDING.value)
        .correlate(moderation_actions)
    )
    return and_(
        _T.state == State.PLANNED.value,
        _T.review.is_distinct_from(Review.REJECTED.value),
        ~still_under_way,
    )
