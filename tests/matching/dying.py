"""A backfill in a process of its own, which kills itself at some call to the database."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from phash_dagster.matching.backfill import hour_ranges, stale_hours
from phash_dagster.matching.hours import Pace, match_hours
from phash_dagster.rules import current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from tests.matching.builders import NOON

HOURS_PER_RUN = 2
MARGIN = 2
PACE = Pace(seconds=0.004, pause=0.0)
"""So that a run over some hundred images takes several transactions."""

CALLS = frozenset({"execute", "begin", "commit", "close"})


@dataclass(frozen=True)
class Death:
    """When a process dies.

    Attributes:
        call: The number of the call to the database, from 0, at which it does.
        after: Seconds after that call began; None: before it.
    """

    call: int
    after: float | None


class Calls:
    """Counts the calls that a process makes to the database, until it dies."""

    def __init__(self, death: Death | None = None) -> None:
        self.count = 0
        self._death = death

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """In place of `duckdb.connect`."""
        return _Watched(_CONNECT(*arguments, **options), self)

    def around(self, function: Any, arguments: Any, options: Any) -> Any:
        """One call."""
        number, self.count = self.count, self.count + 1
        if self._death is None or number != self._death.call:
            return function(*arguments, **options)
        if self._death.after is None:
            _die()
        threading.Timer(self._death.after or 0.0, _die).start()
        function(*arguments, **options)
        time.sleep(60)  # until the timer is up
        return None


_CONNECT = duckdb.connect


class _Watched:
    """A connection whose calls are counted."""

    def __init__(self, connection: Any, calls: Calls) -> None:
        self._connection = connection
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in CALLS:
            return found
        return lambda *arguments, **options: self._calls.around(found, arguments, options)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def warehouse_in(folder: Path) -> Warehouse:
    return Warehouse(folder / "warehouse.duckdb")


def posts_in(folder: Path) -> ImagePosts:
    return ImagePosts(folder / "image_posts")


def backfill(folder: Path) -> None:
    """What `rematch_sensor` and the asset `rule_matches` do, until no hour is left."""
    warehouse, posts = warehouse_in(folder), posts_in(folder)
    while True:
        with warehouse.read() as connection:
            ruleset = current_version(connection)
            matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
        assert ruleset is not None
        keys = posts.partition_keys()
        stale = stale_hours(keys, matched, version=ruleset.version, settled_before="9")
        if not stale:
            return
        hours = hour_ranges(stale, longest=HOURS_PER_RUN)[0]
        list(
            match_hours(
                [key for key in keys if hours.first <= key <= hours.last],
                warehouse=warehouse,
                posts=posts,
                margin=MARGIN,
                matched_at=NOON,
                whole_past=True,
                pace=PACE,
            )
        )


def backfill_and_die(folder: Path, death: Death) -> None:
    """The same, in a process that may not live to see the end."""
    duckdb.connect = Calls(death).connect
    backfill(folder)
