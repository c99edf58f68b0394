"""Which rows of the ledger hold a claim, so that nothing happens twice in the claim window."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from phash_dagster.moderation.actions import (
    IMPORTED_RULE,
    Action,
    Claim,
    Claims,
    Event,
    Review,
    State,
)
from phash_dagster.moderation.ledger_database import chunks
from phash_dagster.moderation.ledger_schema import moderation_actions

_T = moderation_actions.c


class Holder(NamedTuple):
    """A row that holds a claim."""

    claim: Claim
    action_id: int
    state: State
    source_uri: str
    rule_id: str


def taken(connection: Connection, keys: frozenset[Claim], since: datetime) -> Claims:
    """Which of these claims are taken; `Ledger.claims` says by what."""
    live: set[Claim] = set()
    shadow: set[Claim] = set()
    sources: set[tuple[Claim, str]] = set()
    for holder in holders(connection, keys, since):
        (shadow if holder.state is State.SHADOW else live).add(holder.claim)
        if holder.rule_id != IMPORTED_RULE:
            sources.add((holder.claim, holder.source_uri))
    return Claims(frozenset(live), frozenset(shadow), frozenset(sources))


def holders(connection: Connection, keys: Collection[Claim], since: datetime) -> Iterator[Holder]:
    """The rows that hold these claims."""
    return (each for each in _rows_of(connection, keys, _claims(since)) if each.claim in keys)


def without_repeated_suppressed(
    connection: Connection, rows: Sequence[Action], since: datetime
) -> list[Action]:
    """The rows without those that record once more that something is suppressed."""
    keys = frozenset(row.claim for row in rows if row.state is State.SUPPRESSED)
    condition = and_(_T.state == State.SUPPRESSED.value, _T.planned_at >= since)
    known = {row.claim for row in _rows_of(connection, keys, condition)}
    kept = []
    for row in rows:
        if row.state is State.SUPPRESSED:
            if row.claim in known:
                continue
            known.add(row.claim)
        kept.append(row)
    return kept


def _rows_of(
    connection: Connection, keys: Collection[Claim], condition: ColumnElement[bool]
) -> Iterator[Holder]:
    """The rows of these claims' accounts for which the condition holds."""
    subject = func.coalesce(_T.subject_uri, _T.subject_did).label("subject")
    wanted = (_T.event, _T.value, _T.action_id, _T.state, _T.source_uri, _T.rule_id)
    columns = select(subject, *wanted)
    for chunk in chunks(sorted({_did(key.subject) for key in keys})):
        found = columns.where(and_(_T.subject_did.in_(chunk), condition))
        for row in connection.execute(found):
            claim = Claim(row.subject, Event(row.event), row.value)
            yield Holder(claim, row.action_id, State(row.state), row.source_uri, row.rule_id)


def _did(subject: str) -> str:
    """The DID in `at://did:plc:abc/app.bsky.feed.post/3k…`, or the DID itself."""
    return subject.removeprefix("at://").partition("/")[0]


def _claims(since: datetime) -> ColumnElement[bool]:
    waiting = _T.state.in_([State.PLANNED.value, State.SENDING.value, State.HELD.value])
    sent = and_(_T.state == State.SENT.value, _T.sent_at >= since)
    shadow = and_(_T.state == State.SHADOW.value, _T.planned_at >= since)
    set_aside = _T.state.in_([State.SUPPRESSED.value, State.DEAD.value])
    perhaps_sent = and_(set_aside, _T.attempts > 0, _T.updated_at >= since)
    settled = _T.settled_at >= since
    rejected_post = and_(_T.review == Review.REJECTED.value, _T.subject_uri.is_not(None))
    return or_(waiting, sent, shadow, perhaps_sent, settled, rejected_post)
