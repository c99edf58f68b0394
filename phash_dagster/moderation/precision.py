"""How often rules were right, as far as people said so."""

from datetime import datetime
from typing import NamedTuple

from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection


class RulePrecision(NamedTuple):
    """What became of the labels and takedowns of one rule hash at one distance."""

    rule_id: str
    rule_hash: str
    distance: int
    actions: int
    """How many Ozone has."""
    reversed_by_people: int
    undone: int
    """Taken back by an undo."""
    appealed: int
    appeals_upheld: int
    """Taken back by a person after the author appealed."""
    precision: float
    """Share that was not taken back."""
    precision_low: float
    """Bounds of the true share, with 95 % confidence."""
    precision_high: float
    first_sent: datetime
    last_sent: datetime


def rule_precision(connection: Connection) -> list[RulePrecision]:
    """One row for each rule hash and distance with actions, the worst first."""
    rows = connection.sql(statement("analysis/views/rule_precision")).fetchall()
    return sorted(
        (RulePrecision(*row) for row in rows),
        key=lambda row: (row.precision_low, row.rule_id, row.rule_hash, row.distance),
    )
