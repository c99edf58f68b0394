"""Totals in the ledger that its rows do not tell, for the metrics. They grow only.

Each is added to in the transaction of what it counts.
"""

import json
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, insert, select, update

from phash_dagster.moderation.ledger_schema import ledger_totals
from phash_dagster.moderation.ozone_circuit import POLICY, Pause, PauseKind

_T = ledger_totals.c

REJECTIONS: Final = "circuit_rejections"
TRANSITIONS: Final = "circuit_transitions"
PAUSES: Final = "ozone_pauses"


class LedgerTotal(NamedTuple):
    """What is counted: a name, and labels as JSON."""

    name: str
    labels: str

    @classmethod
    def of(cls, name: str, **labels: str) -> Self:
        """The total of this name with these labels."""
        return cls(name, json.dumps(labels, sort_keys=True, separators=(",", ":")))


def add_one(connection: Connection, total: LedgerTotal) -> None:
    """Add one to a total. Within a write transaction, of which there is one at a time."""
    is_it = (_T.name == total.name) & (_T.labels == total.labels)
    statement = update(ledger_totals).where(is_it).values(total=_T.total + 1)
    if connection.execute(statement).rowcount == 0:
        connection.execute(insert(ledger_totals).values(**total._asdict(), total=1))


def read_totals(connection: Connection) -> dict[LedgerTotal, int]:
    """Every total."""
    rows = connection.execute(select(_T.name, _T.labels, _T.total))
    return {LedgerTotal(name, labels): total for name, labels, total in rows}


def count_change(
    connection: Connection, failures_before: int, failures: int, pause: Pause | None
) -> None:
    """Count what a change of an Ozone's circuit means.

    Args:
        connection: Within the transaction that saves the change.
        failures_before: Failures in a row before it.
        failures: Failures in a row after it.
        pause: The pause that begins with it, if one does.
    """
    if pause is not None:
        add_one(connection, LedgerTotal.of(PAUSES, kind=pause.kind.value))
        if pause.kind is PauseKind.OUTAGE:
            add_one(connection, LedgerTotal.of(TRANSITIONS, to="open"))
    if failures == 0 and failures_before >= POLICY.failures:
        add_one(connection, LedgerTotal.of(TRANSITIONS, to="closed"))
