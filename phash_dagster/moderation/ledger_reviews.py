"""What people decide about rows of the ledger: send it after all, never send it, try it again.

Each decision is one transaction and moves only what is still in a state that it starts from, so
that of two people, or of a person and the pipeline, one decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, case, literal, select, update

from phash_dagster.clock import Clock
from phash_dagster.moderation.actions import Action, Claim, Review, State
from phash_dagster.moderation.ledger_claims import holders
from phash_dagster.moderation.ledger_database import chunks, write
from phash_dagster.moderation.ledger_schema import moderation_actions, to_action
from phash_dagster.moderation.row_filter import any_of

_T = moderation_actions.c

RELEASABLE = (State.HELD,)
REJECTABLE = (State.HELD, State.PLANNED, State.FAILED, State.DEAD)
RETRIABLE = (State.FAILED, State.DEAD)


class Skipped(NamedTuple):
    """A row that was left as it is."""

    action_id: int
    why: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a decision changed."""

    changed: tuple[int, ...] = ()
    """Numbers of the rows."""
    skipped: tuple[Skipped, ...] = ()

    def __add__(self, other: "Reviewed") -> "Reviewed":
        return Reviewed(self.changed + other.changed, self.skipped + other.skipped)


class LedgerReviews:
    """Writes what people decide. `Ledger.reviews` gives one."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def release(self, action_ids: Sequence[int], by: str) -> Reviewed:
        """Let held rows be sent. No budget counts them and nothing holds them again.

        Args:
            action_ids: Numbers of the rows.
            by: Who decides.
        """
        values = {"state": State.PLANNED.value, "reason": told(f"released by {by}")}
        return self._decide(action_ids, RELEASABLE, values | self._review(Review.RELEASED, by))

    def reject(self, action_ids: Sequence[int], by: str) -> Reviewed:
        """Never send these rows, which wait or failed.

        They keep their claim: on a post for good, on an account for the claim window. What an
        emitter is at work on is left. What one tried before may be with Ozone all the same; that
        can be undone.
        """
        values = {
            "state": State.SUPPRESSED.value,
            "reason": told(f"rejected by {by}"),
            "settled_at": self._clock(),
        }
        return self._decide(action_ids, REJECTABLE, values | self._review(Review.REJECTED, by))

    def retry(self, action_ids: Sequence[int], by: str, *, claim_ttl: timedelta) -> Reviewed:
        """Send failed and dead rows again, under the identifier that Ozone may know.

        A row whose claim another one took meanwhile is left, since that would repeat its event.

        Args:
            action_ids: Numbers of the rows.
            by: Who decides.
            claim_ttl: Length of the claim window.
        """
        since = self._clock() - claim_ttl
        values = {
            "state": State.PLANNED.value,
            "failed_runs": 0,
            "reason": told(f"tried again by {by}"),
        }
        return self._decide(action_ids, RETRIABLE, values, _Repeats(since))

    def note_taken_back(self, by: Mapping[int, str]) -> int:
        """Learn that people took these actions back in Ozone; return how many that is new of.

        As with what is rejected here, the rules do not do the same again: on a post for good, on an
        account for the claim window. A row may still be `sending`, when Ozone's answer was lost: it
        stays so until it is settled, and the review with it.

        Args:
            by: Numbers of the rows, each with the DID of who took it back.
        """
        now = self._clock()
        changed = 0
        with write(self._engine) as connection:
            for action_id, did in by.items():
                statement = (
                    update(moderation_actions)
                    .where(
                        _T.action_id == action_id,
                        _T.state.in_([State.SENT.value, State.SENDING.value]),
                        _T.review.is_distinct_from(Review.REJECTED.value),
                    )
                    .values(
                        review=Review.REJECTED.value,
                        reviewed_at=now,
                        reviewed_by=did,
                        settled_at=now,
                        reason=told(f"taken back by {did}"),
                        updated_at=now,
                    )
                )
                changed += connection.execute(statement).rowcount
        return changed

    def _review(self, review: Review, by: str) -> dict[str, Any]:
        return {"review": review.value, "reviewed_at": self._clock(), "reviewed_by": by}

    def _decide(
        self,
        action_ids: Sequence[int],
        states: Sequence[State],
        values: dict[str, Any],
        objection: "Objection" = lambda _, __: {},
    ) -> Reviewed:
        unique = list(dict.fromkeys(action_ids))
        with write(self._engine) as connection:
            parts = [
                _move(connection, chunk, states, values | {"updated_at": self._clock()}, objection)
                for chunk in chunks(unique)
            ]
        return sum(parts, Reviewed())


Objection = Callable[[Connection, Sequence[Action]], dict[int, str]]
"""Which of these rows must be left, by number, and why."""


class _Repeats:
    """Objects to rows whose event another row sent, or will send, in the claim window."""

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._taken: dict[Claim, int] = {}

    def __call__(self, connection: Connection, rows: Sequence[Action]) -> dict[int, str]:
        # Undoing takes no claim: its rows are one for each that is undone.
        claiming = [row for row in rows if row.undoes is None]
        held = holders(connection, frozenset(row.claim for row in claiming), self._since)
        others: dict[Claim, set[int]] = {}
        for holder in held:
            if holder.state is not State.SHADOW:
                others.setdefault(holder.claim, set()).add(holder.action_id)
        found = {}
        for row in claiming:
            blocking = others.get(row.claim, set()) - {row.action_id}
            if row.review is Review.REJECTED:
                found[row.action_id] = f"was rejected by {row.reviewed_by}"
            elif blocking or row.claim in self._taken:
                other = max(blocking, default=0) or self._taken[row.claim]
                found[row.action_id] = f"action {other} did the same, or will"
            else:
                self._taken[row.claim] = row.action_id
        return found


def _move(
    connection: Connection,
    action_ids: Sequence[int],
    states: Sequence[State],
    values: dict[str, Any],
    objection: Objection,
) -> Reviewed:
    selected = select(moderation_actions).where(_T.action_id.in_(action_ids))
    rows = {row["action_id"]: to_action(row) for row in connection.execute(selected).mappings()}
    why = {
        action_id: why_not(rows.get(action_id), states)
        for action_id in action_ids
        if action_id not in rows or rows[action_id].state not in states
    }
    candidates = [rows[action_id] for action_id in action_ids if action_id not in why]
    why |= objection(connection, candidates)
    changed = tuple(row.action_id for row in candidates if row.action_id not in why)
    guard = _T.state.in_([state.value for state in states])
    connection.execute(
        update(moderation_actions).where(_T.action_id.in_(changed), guard).values(values)
    )
    return Reviewed(changed, tuple(Skipped(*each) for each in why.items()))


def why_not(row: Action | None, states: Sequence[State]) -> str:
    """Why a row is left, that does not exist or is in none of these states."""
    if row is None:
        return "there is no such action"
    return f"is {row.state.value}, not {any_of(states)}"


def told(text: str) -> ColumnElement[str]:
    """A reason that keeps what the row said before."""
    return case((_T.reason.is_(None), text), else_=literal(f"{text}; before: ") + _T.reason)
