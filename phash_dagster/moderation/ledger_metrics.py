"""What of the ledger the metrics tell. Its rows are never deleted, so they can be counted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, and_, case, func, select

from phash_dagster.moderation.actions import IMPORTED_RULE, Review, State
from phash_dagster.moderation.ledger_schema import (
    backfill_batches,
    moderation_actions,
    ozone_circuits,
    quarantined_hashes,
)
from phash_dagster.moderation.ledger_totals import PAUSES, REJECTIONS, TRANSITIONS, read_totals
from phash_dagster.moderation.ozone_circuit import PauseKind

_T = moderation_actions.c

_WAITING: Final = (State.PLANNED, State.SENDING, State.HELD)


class Group(NamedTuple):
    """Actions that are alike."""

    event: str
    subject: str
    """`post` or `account`."""
    lane: str
    mode: str
    state: str
    rule_id: str
    is_already_so: bool
    """Nothing was sent since Ozone has it so."""
    actions: int


@dataclass(frozen=True)
class Tallies:
    """What is counted.

    Attributes:
        groups: The actions; what the predecessor did is left out.
        oldest: When the oldest action was planned, by each state in which actions wait.
        quarantined_hashes: Rule hashes whose actions are held.
        backfills_held: Backfills that wait for a person.
        ozone_paused: Ozones that are left alone now.
        rejections: Runs that sent nothing for that reason.
        transitions: Changes of circuits, by what they changed to.
        pauses: Pauses that began, by kind.
    """

    groups: Sequence[Group]
    oldest: Mapping[str, datetime]
    quarantined_hashes: int
    backfills_held: int
    ozone_paused: int
    rejections: int
    transitions: Mapping[str, int]
    pauses: Mapping[str, int]


def tally(connection: Connection, now: datetime) -> Tallies:
    """Count, within one transaction."""
    totals = read_totals(connection)
    labelled = [(key.name, json.loads(key.labels), count) for key, count in totals.items()]
    transitions = dict.fromkeys(("open", "half_open", "closed"), 0)
    pauses = dict.fromkeys((kind.value for kind in PauseKind), 0)
    for name, labels, count in labelled:
        if name == TRANSITIONS:
            transitions[labels["to"]] = count
        elif name == PAUSES:
            pauses[labels["kind"]] = count
    return Tallies(
        groups=_groups(connection),
        oldest=_oldest(connection),
        quarantined_hashes=_count(
            connection, quarantined_hashes.select().where(quarantined_hashes.c.lifted_at.is_(None))
        ),
        backfills_held=_count(
            connection, backfill_batches.select().where(backfill_batches.c.state == "held")
        ),
        ozone_paused=_count(
            connection, ozone_circuits.select().where(ozone_circuits.c.paused_until > now)
        ),
        rejections=sum(count for name, _, count in labelled if name == REJECTIONS),
        transitions=transitions,
        pauses=pauses,
    )


def _groups(connection: Connection) -> list[Group]:
    already = and_(
        _T.state == State.SUPPRESSED.value,
        _T.settled_at.is_not(None),
        _T.review.is_distinct_from(Review.REJECTED.value),
    )
    columns = (
        _T.event,
        case((_T.subject_uri.is_(None), "account"), else_="post").label("subject"),
        _T.lane,
        _T.mode,
        _T.state,
        _T.rule_id,
        case((already, 1), else_=0).label("is_already_so"),
    )
    rows = connection.execute(
        select(*columns, func.count())
        .where(_T.rule_id != IMPORTED_RULE)
        .group_by(*(column.name for column in columns))
    )
    return [
        Group(event, subject, lane, mode, state, rule, bool(already_so), count)
        for event, subject, lane, mode, state, rule, already_so, count in rows
    ]


def _oldest(connection: Connection) -> dict[str, datetime]:
    rows = connection.execute(
        select(_T.state, func.min(_T.planned_at).label("oldest"))
        .where(_T.state.in_([state.value for state in _WAITING]))
        .group_by(_T.state)
    )
    return {row.state: row.oldest for row in rows}


def _count(connection: Connection, rows: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
