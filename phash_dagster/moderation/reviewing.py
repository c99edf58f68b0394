"""Chooses the actions that a person decides about, and decides: for commands and jobs alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from sqlalchemy import Connection, select, tuple_

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_reading import (
    RowCount,
    counts_in,
    read_ledger,
    require_current,
)
from phash_dagster.moderation.ledger_reviews import (
    REJECTABLE,
    RELEASABLE,
    RETRIABLE,
    Reviewed,
    Skipped,
    why_not,
)
from phash_dagster.moderation.ledger_schema import (
    backfill_batches,
    moderation_actions,
    quarantined_hashes,
    to_action,
)
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.settings import Settings

Verb = Literal["release", "reject", "retry"]

CONCERNED: Final[Mapping[Verb, tuple[State, ...]]] = {
    "release": RELEASABLE,
    "reject": REJECTABLE,
    "retry": RETRIABLE,
}
"""The states that each decision starts from."""

DONE: Final[Mapping[Verb, str]] = {
    "release": "released",
    "reject": "rejected",
    "retry": "planned again",
}

_T = moderation_actions.c
_B = backfill_batches.c
_Q = quarantined_hashes.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The actions that a decision is about, as they were when they were looked at."""

    action_ids: tuple[int, ...] = ()
    counts: tuple[RowCount, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    """What was named by its number and is not concerned."""
    backfills: tuple[str, ...] = ()
    """Backfills that are held as a whole, and that the filter names as a whole."""
    held_on: tuple[str, ...] = ()
    """What keeps holding later actions like these, in words."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to decide."""
        return not self.action_ids and not self.backfills


def choose(verb: Verb, which: RowFilter, settings: Settings) -> Chosen:
    """Look up which actions are meant. Writes nothing.

    Raises:
        ValueError: The filter asks for states that the decision does not start from.
        LedgerError: The ledger cannot be read.
    """
    concerned = which.in_states(*CONCERNED[verb])

    def look(connection: Connection) -> Chosen:
        require_current(connection)
        found = select(_T.action_id).where(concerned.condition()).order_by(_T.action_id)
        action_ids = tuple(connection.scalars(found))
        backfills = tuple(_held_backfills(connection, which)) if verb == "release" else ()
        held_on = _held_on(connection, concerned, backfills) if verb == "release" else ()
        return Chosen(
            action_ids=action_ids,
            counts=tuple(counts_in(connection, concerned)),
            skipped=tuple(_left(connection, which, set(action_ids), verb)),
            backfills=backfills,
            held_on=tuple(held_on),
        )

    nothing = Chosen(skipped=tuple(Skipped(each, why_not(None, ())) for each in which.action_ids))
    return read_ledger(settings.effective_ledger_url, look, nothing=nothing)


def decide(verb: Verb, chosen: Chosen, ledger: Ledger, by: str, settings: Settings) -> Reviewed:
    """Carry a decision out. What has changed since it was looked at is left, and named."""
    reviews = ledger.reviews
    match verb:
        case "release":
            for batch_id in chosen.backfills:
                ledger.limits.release_batch(batch_id, by)
            return reviews.release(chosen.action_ids, by)
        case "reject":
            return reviews.reject(chosen.action_ids, by)
        case "retry":
            claim_ttl = timedelta(days=settings.claim_ttl_days)
            return reviews.retry(chosen.action_ids, by, claim_ttl=claim_ttl)


def _left(
    connection: Connection, which: RowFilter, found: set[int], verb: Verb
) -> Iterator[Skipped]:
    """Which numbers were named in vain, and why."""
    missing = [action_id for action_id in which.action_ids if action_id not in found]
    statement = select(moderation_actions).where(_T.action_id.in_(missing))
    rows = {row["action_id"]: to_action(row) for row in connection.execute(statement).mappings()}
    for action_id in missing:
        row = rows.get(action_id)
        if row is not None and row.state in CONCERNED[verb]:
            yield Skipped(action_id, "is not what the other options ask for")
        else:
            yield Skipped(action_id, why_not(row, CONCERNED[verb]))


def _held_backfills(connection: Connection, which: RowFilter) -> list[str]:
    if not which.names_batches_only:
        return []
    held = select(_B.batch_id).where(_B.batch_id.in_(which.batches), _B.state == "held")
    return list(connection.scalars(held.order_by(_B.batch_id)))


def _held_on(
    connection: Connection, concerned: RowFilter, released: tuple[str, ...]
) -> Iterator[str]:
    held = select(_B.batch_id).where(_B.state == "held")
    batches = select(_T.batch_id).where(concerned.condition(), _T.batch_id.in_(held)).distinct()
    for batch_id in sorted(set(connection.scalars(batches)) - set(released)):
        yield (
            f"the backfill {batch_id} is still held as a whole; release it with "
            f"--batch {batch_id} and nothing else"
        )
    quarantined = select(_Q.rule_id, _Q.rule_hash).where(_Q.lifted_at.is_(None))
    hashes = (
        select(_T.rule_id, _T.rule_hash)
        .where(concerned.condition(), tuple_(_T.rule_id, _T.rule_hash).in_(quarantined))
        .distinct()
    )
    for rule_id, rule_hash in sorted(map(tuple, connection.execute(hashes))):
        yield (
            f"the hash {rule_hash} of rule {rule_id} is quarantined; "
            f"`quarantine lift {rule_hash}` lets it act again"
        )
