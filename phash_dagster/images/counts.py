"""What is counted of fetching and hashing, for the metrics."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from phash_dagster.images.breaker import BreakerEvent, BreakerEvents
from phash_dagster.images.model import ImageResult
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.totals import (
    IMAGE_REFERENCES,
    HourCounts,
    Total,
    add_totals,
    count_hours,
)

CONFIGURED, OTHERS = "configured_host", "other_host"
"""Hosts in the settings, and those that strangers name: too many to tell apart."""

_CACHE_MISSES: Final = Total.of("image_cache_misses")


def count_results(
    connection: Connection, results: Iterable[ImageResult], events: BreakerEvents
) -> None:
    """Count what became of images, and what circuits did. Within the transaction that saves it."""
    counts: Counter[Total] = Counter()
    for result in results:
        counts[Total.of("image_attempts", outcome=result.outcome.value)] += 1
        counts[_CACHE_MISSES] += result.reference.is_new
        if result.source:
            counts[Total.of("images_fetched", source=result.source)] += 1
        for each in result.hashes:
            counts[Total.of("image_hashes", algorithm=each.algorithm)] += 1
    for (trusted, event), count in events.items():
        service = CONFIGURED if trusted else OTHERS
        if event is BreakerEvent.REJECTED:
            counts[Total.of("circuit_rejections", service=service)] += count
        else:
            counts[Total.of("circuit_transitions", service=service, to=event.value)] += count
    add_totals(connection, counts)


def image_references(connection: Connection) -> HourCounts:
    """How many images the records of the attached hours name."""
    rows = connection.execute(statement("metrics/image_references")).fetchall()
    return {(hour, Total.of(IMAGE_REFERENCES)): count for hour, count in rows}


def count_references(connection: Connection, references: HourCounts) -> None:
    """Count the references of hours whose images were all looked at. In a transaction of its own.

    What is not counted as a miss by then needed no fetch.
    """
    count_hours(connection, references)
    connection.execute(statement("metrics/count_cache_hits"))
