"""Matches the hours of a run, in transactions so short that others get their turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep
from typing import Final

from phash_dagster.matching.match import MatchCounts, match_partition
from phash_dagster.rules import current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse

SECONDS_PER_TRANSACTION: Final = 2.0
"""About how long a run joins before it lets others at the database."""

PAUSE_SECONDS: Final = 0.6
"""How long the database is left to others: who waits for it looks every half a second."""


@dataclass(frozen=True)
class Committed:
    """What a run has matched by the end of one of its transactions.

    Attributes:
        version: The rules version it was matched with.
        counts: What was found since the run began.
        seconds: How long the joins took since then.
        nearest: The nearest of the new matches: rule, rule hash, distance in bits, blob CID.
    """

    version: str
    counts: MatchCounts
    seconds: float
    nearest: Sequence[tuple[str, str, int, str]]


@dataclass(frozen=True)
class Pace:
    """How a run shares the database.

    Attributes:
        seconds: About how long one transaction joins.
        pause: Seconds between two of them.
    """

    seconds: float = SECONDS_PER_TRANSACTION
    pause: float = PAUSE_SECONDS


def match_hours(
    hours: Sequence[str],
    *,
    warehouse: Warehouse,
    posts: ImagePosts,
    margin: int,
    matched_at: datetime,
    whole_past: bool,
    pace: Pace = Pace(),
) -> Iterator[Committed]:
    """Match these hours, and with `whole_past` all others, with the rules in force.

    Yields once after each transaction, when it is committed; nothing if no rules are in force. A
    run that is killed loses the transaction it was in, and another run goes on from there.

    Args:
        hours: Partition keys, noted as matched at the end.
        warehouse: Where hashes, rules and matches are.
        posts: What Jetstream delivered.
        margin: Bits beyond each rule's threshold up to which matches are kept.
        matched_at: When, timezone-aware.
        whole_past: Bring the rules to images of other hours too, as backfills do.
        pace: How the database is shared.
    """
    counts, seconds = MatchCounts(complete=False), 0.0
    while True:
        with warehouse.write() as connection:
            # Asked each time: the rules may have changed since.
            ruleset = current_version(connection)
            if ruleset is None:
                return
            if not whole_past:
                posts.attach(connection, hours)
                connection.execute(statement("matching/partition_images"))
            started = monotonic()
            counts += match_partition(
                connection,
                version=ruleset.version,
                margin=margin,
                matched_at=matched_at,
                partition_keys=hours,
                whole_past=whole_past,
                seconds=pace.seconds,
            )
            seconds += monotonic() - started
            nearest = connection.execute(
                statement("matching/match_preview"), {"matched_at": matched_at}
            ).fetchall()
        yield Committed(ruleset.version, counts, seconds, nearest)
        if counts.complete:
            return
        sleep(pace.pause)
