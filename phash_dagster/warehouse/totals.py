"""Totals of what happened, for the metrics. They grow only.

Runs live for some seconds and rows are deleted in time, so neither memory nor rows can be counted.
What is added belongs into the transaction that writes what it counts: a run that is killed adds
nothing, and one that is repeated finds its work done and adds nothing either.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from phash_dagster.sql import statement
from phash_dagster.warehouse.database import Connection

IMAGE_REFERENCES: Final = "image_references"


class Total(NamedTuple):
    """What is counted: a name, and labels in order."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, name: str, **labels: str) -> Self:
        """The total of this name with these labels."""
        return cls(name, tuple(sorted(labels.items())))

    @property
    def labels_text(self) -> str:
        """The labels as they are stored."""
        return json.dumps(dict(self.labels), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def read(cls, name: str, labels: str) -> Self:
        """The total that a row holds."""
        return cls.of(name, **json.loads(labels))


HourCounts = Mapping[tuple[str, Total], int]
"""How many there are in an hour, by its partition key and what is counted."""


def add_totals(connection: Connection, counts: Mapping[Total, int]) -> None:
    """Add to totals. Runs within the caller's transaction."""
    added = {total: count for total, count in counts.items() if count > 0}
    if added:
        connection.execute(
            statement("metrics/add_totals"),
            {
                "names": [total.name for total in added],
                "labels": [total.labels_text for total in added],
                "totals": list(added.values()),
            },
        )


def read_totals(connection: Connection) -> dict[Total, int]:
    """Every total."""
    rows = connection.execute(statement("metrics/totals")).fetchall()
    return {Total.read(name, labels): total for name, labels, total in rows}


def grown(connection: Connection, counts: HourCounts) -> dict[tuple[str, Total], int]:
    """By how much each count of an hour exceeds what the totals count of it; the others not."""
    if not counts:
        return {}
    hours = sorted({hour for hour, _ in counts})
    rows = connection.execute(
        statement("metrics/counted_hours"), {"partition_keys": hours}
    ).fetchall()
    known = {(hour, Total.read(name, labels)): count for hour, name, labels, count in rows}
    found = {key: count - known.get(key, 0) for key, count in counts.items()}
    return {key: more for key, more in found.items() if more > 0}


def count_hours(connection: Connection, counts: HourCounts) -> None:
    """Add to the totals what hours have more of than is counted. Within the caller's transaction.

    So it does no harm to count an hour again, whoever does and however often.
    """
    more = grown(connection, counts)
    if not more:
        return
    connection.execute(
        statement("metrics/save_counted_hours"),
        {
            "partition_keys": [hour for hour, _ in more],
            "names": [total.name for _, total in more],
            "labels": [total.labels_text for _, total in more],
            "counts": [counts[key] for key in more],
        },
    )
    added: dict[Total, int] = {}
    for (_, total), count in more.items():
        added[total] = added.get(total, 0) + count
    add_totals(connection, added)
