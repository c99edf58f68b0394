"""What the ledger keeps of budgets: what is spent, backfills that are held, flooded hashes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from phash_dagster.clock import Clock
from phash_dagster.moderation.actions import Action, Event, Review, State
from phash_dagster.moderation.budgets import (
    COUNTED,
    Budgeted,
    Budgets,
    HashKey,
    Reach,
    Spent,
    within_budgets,
)
from phash_dagster.moderation.floods import AFTER_LIFTING, HISTORY, HashHistory, flood
from phash_dagster.moderation.ledger_database import chunks, write
from phash_dagster.moderation.ledger_schema import (
    backfill_batches,
    moderation_actions,
    quarantined_hashes,
    rule_hash_hours,
)

DAY: Final = timedelta(hours=24)

_T = moderation_actions.c
_B = backfill_batches.c
_H = rule_hash_hours.c
_Q = quarantined_hashes.c

BatchState = Literal["open", "held", "released"]

HourCounts = Mapping[tuple[HashKey, datetime], int]
"""Posts that each rule hash decided about, by the beginning of their hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One backfill, as it was judged before anything of it was sent."""

    batch_id: str
    state: BatchState
    posts: int
    accounts: int
    images: int
    """Image posts that it looked at."""
    reason: str | None = None
    evaluated_at: datetime
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A rule hash whose actions are held."""

    rule_id: str
    rule_hash: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Actions that wait for a person for the same reason."""

    state: State
    rule_id: str
    lane: str
    batch_id: str
    """Of a backfill; empty for live actions, whose batches are single runs."""
    reason: str | None
    actions: int
    oldest: datetime
    """When the first of them was planned."""


class LedgerLimits:
    """Reads and writes the tables beside the actions. `Ledger.limits` gives one."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    # Backfills

    def batch(self, batch_id: str) -> Batch | None:
        """How a backfill was judged; None if it was not yet."""
        statement = select(backfill_batches).where(_B.batch_id == batch_id)
        with self._engine.connect() as connection:
            row = connection.execute(statement).mappings().first()
        return Batch(**row) if row else None

    def judge_batch(self, batch: Batch) -> None:
        """Write down how a backfill was judged, unless it was before.

        If it is held, what waits of it is held too.
        """
        with write(self._engine) as connection:
            known = select(_B.batch_id).where(_B.batch_id == batch.batch_id)
            if connection.execute(known).first() is None:
                values = {name: getattr(batch, name) for name in _BATCH_FIELDS}
                connection.execute(insert(backfill_batches).values(values))
                if batch.state == "held":
                    hold_batch(connection, batch.batch_id, batch.reason or "", self._clock())

    def release_batch(self, batch_id: str, by: str) -> bool:
        """Let a held backfill go on; False if it is not held. Its rows are released apart."""
        statement = (
            update(backfill_batches)
            .where(_B.batch_id == batch_id, _B.state == "held")
            .values(state="released", reviewed_at=self._clock(), reviewed_by=by)
        )
        with write(self._engine) as connection:
            return connection.execute(statement).rowcount == 1

    def waiting(self) -> list[Waiting]:
        """What is held, failed or dead, by rule and reason; most actions first."""
        batch_id = case((_T.lane == "backfill", _T.batch_id), else_="")
        kind = (_T.state, _T.rule_id, _T.lane, batch_id, _T.reason)
        number = func.count()
        states = [State.HELD.value, State.FAILED.value, State.DEAD.value]
        statement = (
            select(*kind, number, func.min(_T.planned_at))
            .where(_T.state.in_(states))
            .group_by(*kind)
            .order_by(number.desc(), *kind)
        )
        with self._engine.connect() as connection:
            return [Waiting(State(row[0]), *row[1:]) for row in connection.execute(statement)]

    # Floods

    def note_posts(self, counts: HourCounts, *, min_posts: int, factor: float) -> None:
        """Keep how many posts each rule hash decided about, and quarantine what is flooded.

        A hash that is quarantined stays so until a person lifts it; what waits of it is held.

        Args:
            counts: All posts of these hours, not only new ones: a repeated call adds nothing.
            min_posts: `FLOOD_MIN_POSTS`.
            factor: `FLOOD_FACTOR`.
        """
        with self._engine.connect() as connection:
            changed = _changed(connection, counts)
        if not changed:
            return
        with write(self._engine) as connection:
            for (key, hour), posts in changed.items():
                _save_count(connection, key, hour, posts)
                if posts >= min_posts and not _is_known_flood(connection, key, self._clock()):
                    history = _history(connection, key, hour)
                    if reason := flood(posts, hour, history, min_posts=min_posts, factor=factor):
                        self._quarantine(connection, key, reason)
            connection.execute(
                delete(rule_hash_hours).where(_H.hour < self._clock() - HISTORY - DAY)
            )

    def quarantined(self) -> list[Quarantine]:
        """The hashes whose actions are held, those quarantined last first."""
        with self._engine.connect() as connection:
            return quarantined_in(connection)

    def lift_quarantine(self, rule_hash: str, by: str, rule_id: str | None = None) -> int:
        """Let a hash act again; return for how many rules. What was held of it stays held."""
        conditions = [_Q.rule_hash == rule_hash, _Q.lifted_at.is_(None)]
        if rule_id is not None:
            conditions.append(_Q.rule_id == rule_id)
        statement = (
            update(quarantined_hashes)
            .where(*conditions)
            .values(lifted_at=self._clock(), lifted_by=by)
        )
        with write(self._engine) as connection:
            return connection.execute(statement).rowcount

    def _quarantine(self, connection: Connection, key: HashKey, reason: str) -> None:
        now = self._clock()
        connection.execute(
            delete(quarantined_hashes).where(
                _Q.rule_id == key.rule_id, _Q.rule_hash == key.rule_hash
            )
        )
        connection.execute(
            insert(quarantined_hashes).values(**key._asdict(), since=now, reason=reason)
        )
        of_hash = and_(_T.rule_id == key.rule_id, _T.rule_hash == key.rule_hash)
        _hold_waiting(connection, of_hash, reason, now)


_BATCH_FIELDS: Final = tuple(Batch.__dataclass_fields__)


def budgeted(
    connection: Connection, rows: Sequence[Action], budgets: Budgets, now: datetime
) -> tuple[Action, ...]:
    """These new rows, with those held that go beyond a budget. Runs in the caller's transaction.

    A backfill that goes over its bounds is held as a whole, with what waits of it already.
    """
    if not any(row.state is State.PLANNED for row in rows):
        return tuple(rows)
    found: Budgeted = within_budgets(rows, budgets, _spent(connection, rows, now))
    for batch_id, reason in found.batches_over.items():
        _mark_held(connection, batch_id, reason, now)
        hold_batch(connection, batch_id, reason, now)
    return found.rows


def quarantined_in(connection: Connection) -> list[Quarantine]:
    """The hashes whose actions are held, those quarantined last first."""
    statement = select(quarantined_hashes).where(_Q.lifted_at.is_(None)).order_by(_Q.since.desc())
    return [
        Quarantine(row.rule_id, row.rule_hash, row.since, row.reason)
        for row in connection.execute(statement)
    ]


def hold_batch(connection: Connection, batch_id: str, reason: str, now: datetime) -> None:
    """Hold what waits of a backfill. Runs in the caller's transaction."""
    _hold_waiting(connection, _T.batch_id == batch_id, reason, now)


def _hold_waiting(
    connection: Connection, condition: ColumnElement[bool], reason: str, now: datetime
) -> None:
    """Hold planned rows; those that were tried stay, since Ozone may have them."""
    connection.execute(
        update(moderation_actions)
        .where(
            condition,
            _T.state == State.PLANNED.value,
            _T.attempts == 0,
            _T.review.is_(None),
            _T.undoes.is_(None),
        )
        .values(state=State.HELD.value, reason=reason, updated_at=now)
    )


def _mark_held(connection: Connection, batch_id: str, reason: str, now: datetime) -> None:
    held = (
        update(backfill_batches).where(_B.batch_id == batch_id).values(state="held", reason=reason)
    )
    if connection.execute(held).rowcount == 0:
        batch = Batch(
            batch_id=batch_id,
            state="held",
            posts=0,
            accounts=0,
            images=0,
            reason=reason,
            evaluated_at=now,
        )
        values = {name: getattr(batch, name) for name in _BATCH_FIELDS}
        connection.execute(insert(backfill_batches).values(values))


def _spent(connection: Connection, rows: Sequence[Action], now: datetime) -> Spent:
    lately = and_(_counts(), _T.planned_at >= now - DAY)
    by_rule = _grouped(connection, _T.rule_id, lately)
    batch_ids = {row.batch_id for row in rows if row.lane == "backfill"}
    states = _batch_states(connection, batch_ids)
    return Spent(
        by_rule=by_rule,
        by_account=_by_account(connection, {row.subject_did for row in rows}, lately),
        in_run=_count(connection, and_(_counts(), _T.run_id.in_({row.run_id for row in rows}))),
        in_day=sum(by_rule.values()),
        takedowns=_count(connection, and_(lately, _T.event == Event.TAKEDOWN.value)),
        reached={batch_id: _reach(connection, batch_id) for batch_id in batch_ids},
        held_batches={name: reason for name, (state, reason) in states.items() if state == "held"},
        released_batches={name for name, (state, _) in states.items() if state == "released"},
        quarantined=_quarantined(connection),
    )


def spent_lately(connection: Connection, did: str, now: datetime) -> Spent:
    """What the last day counts for the budgets, of accounts for this one."""
    lately = and_(_counts(), _T.planned_at >= now - DAY)
    by_rule = _grouped(connection, _T.rule_id, lately)
    return Spent(
        by_rule=by_rule,
        by_account=_by_account(connection, {did}, lately),
        in_day=sum(by_rule.values()),
        takedowns=_count(connection, and_(lately, _T.event == Event.TAKEDOWN.value)),
        quarantined=_quarantined(connection),
    )


def _counts() -> ColumnElement[bool]:
    """What budgets count: what is sent or will be, unless a person released it."""
    return and_(
        _T.mode == "live",
        _T.event.in_([event.value for event in COUNTED]),
        _T.state.in_([State.PLANNED.value, State.SENDING.value, State.SENT.value]),
        # What was sent and undone counts: a rule does not get to do it all once more.
        _T.review.is_distinct_from(Review.RELEASED.value),
    )


def _grouped(
    connection: Connection, column: ColumnElement[str], condition: ColumnElement[bool]
) -> dict[str, int]:
    statement = select(column, func.count()).where(condition).group_by(column)
    return {name: int(count) for name, count in connection.execute(statement)}


def _by_account(
    connection: Connection, dids: Collection[str], condition: ColumnElement[bool]
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for chunk in chunks(sorted(dids)):
        of_chunk = and_(condition, _T.subject_did.in_(chunk))
        counts |= _grouped(connection, _T.subject_did, of_chunk)
    return counts


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return int(connection.scalar(select(func.count()).where(condition)) or 0)


def _reach(connection: Connection, batch_id: str) -> Reach:
    condition = and_(_T.batch_id == batch_id, _counts())
    posts = connection.scalars(select(_T.source_uri).where(condition).distinct())
    accounts = connection.scalars(select(_T.subject_did).where(condition).distinct())
    return Reach(frozenset(posts), frozenset(accounts))


def _batch_states(connection: Connection, batch_ids: set[str]) -> dict[str, tuple[str, str]]:
    statement = select(_B.batch_id, _B.state, _B.reason).where(_B.batch_id.in_(batch_ids))
    return {
        batch_id: (state, reason or "") for batch_id, state, reason in connection.execute(statement)
    }


def _quarantined(connection: Connection) -> dict[HashKey, str]:
    return {
        HashKey(each.rule_id, each.rule_hash): each.reason for each in quarantined_in(connection)
    }


def _changed(connection: Connection, counts: HourCounts) -> dict[tuple[HashKey, datetime], int]:
    hours = {hour for _, hour in counts}
    statement = select(rule_hash_hours).where(_H.hour.in_(hours))
    known = {
        (HashKey(row.rule_id, row.rule_hash), row.hour): row.posts
        for row in connection.execute(statement)
    }
    return {place: posts for place, posts in counts.items() if known.get(place) != posts}


def _save_count(connection: Connection, key: HashKey, hour: datetime, posts: int) -> None:
    values: dict[str, Any] = {**key._asdict(), "hour": hour}
    place = [rule_hash_hours.c[name] == value for name, value in values.items()]
    if connection.execute(update(rule_hash_hours).where(*place).values(posts=posts)).rowcount == 0:
        connection.execute(insert(rule_hash_hours).values(**values, posts=posts))


def _is_known_flood(connection: Connection, key: HashKey, now: datetime) -> bool:
    """Whether the hash is quarantined, or a person said lately that it may act."""
    statement = select(_Q.lifted_at).where(_Q.rule_id == key.rule_id, _Q.rule_hash == key.rule_hash)
    row = connection.execute(statement).first()
    return row is not None and (row.lifted_at is None or now < row.lifted_at + AFTER_LIFTING)


def _history(connection: Connection, key: HashKey, hour: datetime) -> HashHistory | None:
    before = and_(
        _H.rule_id == key.rule_id,
        _H.rule_hash == key.rule_hash,
        _H.hour < hour,
        _H.hour >= hour - HISTORY,
    )
    posts, since = connection.execute(
        select(func.sum(_H.posts), func.min(_H.hour)).where(before)
    ).one()
    return HashHistory(int(posts), since) if posts else None
