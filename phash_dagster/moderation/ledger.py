"""The ledger: every action that was planned, and what became of it. An outbox in SQL.

A row is durable before its request leaves, and every change of state is guarded by the state it
starts from. The ledger cannot be rebuilt from other data, so it has a database of its own.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, select, true, update

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import Action, Claim, Claims, Review, State
from phash_dagster.moderation.budgets import Budgets
from phash_dagster.moderation.ledger_claims import taken, without_repeated_suppressed
from phash_dagster.moderation.ledger_database import (
    chunks,
    insert_new,
    open_engine,
    write,
)
from phash_dagster.moderation.ledger_limits import LedgerLimits, budgeted
from phash_dagster.moderation.ledger_metrics import Tallies, tally
from phash_dagster.moderation.ledger_reviews import LedgerReviews
from phash_dagster.moderation.ledger_schema import moderation_actions, to_action
from phash_dagster.moderation.ledger_sending import LedgerSending
from phash_dagster.moderation.ledger_undo import LedgerUndo

_T = moderation_actions.c


class Ledger:
    """Actions in SQLite or PostgreSQL; use as a context manager, or call `close`.

    Raises:
        LedgerError: The database cannot be opened.
    """

    def __init__(self, url: str, clock: Clock = utc_now) -> None:
        self._engine = open_engine(url)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    # Planning

    def claims(self, keys: Iterable[Claim], since: datetime) -> Claims:
        """Which of these claims are taken.

        A live claim is held by a row that is planned, sending or held, however old; by one that
        was sent since then, or that was tried without a settled outcome and then set aside, or
        of which it was settled since then that nothing is to be sent; and for good by one on a
        post that a person rejected. A shadow claim is held by a shadow row planned since then.

        Args:
            keys: The claims to look up.
            since: Start of the claim window, normally now minus `CLAIM_TTL_DAYS`.
        """
        with self._engine.connect() as connection:
            return taken(connection, frozenset(keys), since)

    @property
    def limits(self) -> LedgerLimits:
        """What is kept of budgets beside the actions."""
        return LedgerLimits(self._engine, self._clock)

    def record(
        self, actions: Iterable[Action], *, claim_ttl: timedelta, budgets: Budgets | None = None
    ) -> int:
        """`add`, for who only wants to know how many rows were inserted."""
        return len(self.add(actions, claim_ttl=claim_ttl, budgets=budgets))

    def add(
        self, actions: Iterable[Action], *, claim_ttl: timedelta, budgets: Budgets | None = None
    ) -> tuple[Action, ...]:
        """Insert new rows in one transaction, each at most once; a repeated call adds nothing.

        A row whose `external_id` is known is left as it is. A row whose claim was taken since it
        was planned is left out too, so that two planners at once cannot both win, and so is a
        second suppressed row of one claim, which would tell nothing new. What goes beyond the
        budgets is recorded as held; they are counted in the same transaction, so that no two
        planners spend the same.

        Returns:
            The rows that were inserted, as they were; their `action_id` is not filled in.
        """
        rows = list(actions)
        if not rows:
            return ()
        since = min(row.planned_at for row in rows) - claim_ttl
        with write(self._engine) as connection:
            claimed = taken(connection, frozenset(row.claim for row in rows), since)
            free = [row for row in rows if not claimed.block(row.claim, row.mode)]
            free = without_repeated_suppressed(connection, free, since)
            if budgets:
                free = list(budgeted(connection, free, budgets, self._clock()))
            inserted = frozenset(insert_new(connection, free, self._clock()))
        return tuple(row for row in free if row.external_id in inserted)

    # Sending

    @property
    def sending(self) -> LedgerSending:
        """What the emitter does with many rows at once."""
        return LedgerSending(self._engine, self._clock)

    def mark_sending(self, action_id: int, expected: State = State.PLANNED) -> bool:
        """Take a row for sending and count the attempt.

        `expected` is `planned`, or `sending` to settle what a killed emitter left.

        Returns:
            False if the row is not in `expected`, or a person rejected it.
        """
        wanted = _T.review.is_distinct_from(Review.REJECTED.value)
        attempts = _T.attempts + 1
        return self._move(action_id, expected, wanted, state=State.SENDING, attempts=attempts)

    def mark_sent(
        self, action_id: int, ozone_event_id: int | None, sent_at: datetime, note: str | None = None
    ) -> bool:
        """Ozone has the event; False if the row was not `sending`."""
        return self._move(
            action_id,
            State.SENDING,
            state=State.SENT,
            ozone_event_id=ozone_event_id,
            sent_at=sent_at,
            reason=note,
        )

    def mark_sent_before(
        self, action_id: int, ozone_event_id: int, sent_at: datetime, note: str
    ) -> bool:
        """Ozone has had the event since before the row was planned; False if it was tried since.

        In one step: a row that is left `sending` would be looked for by its own identifier, which
        the event does not have, and be sent again.
        """
        return self._move(
            action_id,
            State.PLANNED,
            _T.attempts == 0,
            state=State.SENT,
            attempts=1,
            ozone_event_id=ozone_event_id,
            sent_at=sent_at,
            reason=note,
        )

    def mark_failed(self, action_id: int, reason: str) -> bool:
        """Ozone refused the event for good; False if the row was not `sending`."""
        return self._move(action_id, State.SENDING, state=State.FAILED, reason=reason)

    def back_to_planned(self, action_id: int, reason: str) -> bool:
        """Leave a row for the next run; False if it was not `sending`."""
        return self._move(action_id, State.SENDING, state=State.PLANNED, reason=reason)

    def mark_settled(self, action_id: int, reason: str, expected: State = State.SENDING) -> bool:
        """Nothing is to be sent, since what the row asks for is the case; False if not `expected`.

        The row holds its claim, so that the same is not planned again in the claim window.
        `expected` is `sending`, or `planned` for a row that was never tried.
        """
        now = self._clock()
        return self._move(
            action_id, expected, state=State.SUPPRESSED, reason=reason, settled_at=now
        )

    def mark_suppressed(self, action_id: int, reason: str, expected: State = State.PLANNED) -> bool:
        """The row is no longer wanted; False if it is not in `expected`, `planned` or `held`.

        A row that was never tried gives its `external_id` back, so that the same action can be
        planned again should the subject return. One that was tried keeps it: Ozone may know it.
        """
        freed = _T.external_id + literal(":suppressed:") + cast(_T.action_id, String)
        external_id = case((_T.attempts == 0, freed), else_=_T.external_id)
        return self._move(
            action_id,
            expected,
            state=State.SUPPRESSED,
            reason=reason,
            external_id=external_id,
        )

    def _move(
        self,
        action_id: int,
        expected: State,
        *conditions: ColumnElement[bool],
        state: State,
        **values: Any,
    ) -> bool:
        statement = (
            update(moderation_actions)
            .where(_T.action_id == action_id, _T.state == expected.value, *conditions)
            .values(state=state.value, updated_at=self._clock(), **values)
        )
        with write(self._engine) as connection:
            return connection.execute(statement).rowcount == 1

    # Reviewing

    @property
    def reviews(self) -> LedgerReviews:
        """What people decide about rows."""
        return LedgerReviews(self._engine, self._clock)

    @property
    def undoing(self) -> LedgerUndo:
        """Takes actions back."""
        return LedgerUndo(self._engine, self._clock)

    # Looking

    def planned(self, limit: int, after: int = 0) -> list[Action]:
        """Rows to send, oldest first, from beyond the `action_id` `after`."""
        return self.in_state(State.PLANNED, limit, after)

    def in_state(self, state: State, limit: int | None = None, after: int = 0) -> list[Action]:
        """Rows in a state, oldest first, from beyond the `action_id` `after`."""
        return self._select(and_(_T.state == state.value, _T.action_id > after), limit)

    def accounts_in_state(self, state: State) -> frozenset[str]:
        """DIDs of the accounts with rows in a state, on themselves or their posts."""
        statement = select(_T.subject_did).distinct().where(_T.state == state.value)
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(statement))

    def on_accounts(self, dids: Iterable[str], state: State | None = None) -> list[Action]:
        """Rows on these accounts and their posts, oldest first; of one state, or of any."""
        in_state = _T.state == state.value if state else true()
        found = (
            action
            for chunk in chunks(sorted(dids))
            for action in self._select(and_(_T.subject_did.in_(chunk), in_state))
        )
        return sorted(found, key=lambda action: action.action_id)

    def first_attempt(self) -> datetime | None:
        """When the first action was planned that an emitter took up; None before there was one."""
        statement = select(func.min(_T.planned_at)).where(_T.attempts > 0)
        with self._engine.connect() as connection:
            first: datetime | None = connection.scalar(statement)
        return first

    def changed_since(self, time: datetime) -> list[Action]:
        """Rows written at this time or later, for the mirror; oldest row first."""
        return self._select(_T.updated_at >= time)

    def get(self, action_id: int) -> Action | None:
        """One row, or None."""
        return next(iter(self._select(_T.action_id == action_id)), None)

    def counts(self) -> dict[State, int]:
        """How many rows are in each state; states without rows are left out."""
        statement = select(_T.state, func.count()).group_by(_T.state)
        with self._engine.connect() as connection:
            return {State(state): count for state, count in connection.execute(statement)}

    def tallies(self) -> Tallies:
        """What the metrics tell of the ledger."""
        with self._engine.connect() as connection:
            return tally(connection, self._clock())

    def _select(self, condition: ColumnElement[bool], limit: int | None = None) -> list[Action]:
        statement = select(moderation_actions).where(condition).order_by(_T.action_id).limit(limit)
        with self._engine.connect() as connection:
            return [to_action(row) for row in connection.execute(statement).mappings()]
