"""A small pipeline in a folder of its own, in which the real functions do what they would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa

from phash_dagster.matching import match_partition
from phash_dagster.matching.backfill import HOURS_PER_RUN, HourRange, hour_ranges
from phash_dagster.moderation.actions import Action, Lane, State
from phash_dagster.moderation.decisions import Decision, PostMatch, decide
from phash_dagster.moderation.draft import Planning, matches_of, plan_context
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan import PlanContext
from phash_dagster.moderation.plan_hours import plan_hours
from phash_dagster.preview.ledger_rows import Rows, copy_rows
from phash_dagster.preview.sources import arrow
from phash_dagster.rules import RuleSet, save_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse

RUN = "preview"
"""Name of the run that plans, and of its batch."""

_LANE: Final[Lane] = "backfill"
"""The lane of the run that brings changed rules to the past. Of its posts those of the last hours
that came after their rule hash, as under a rule that was only edited, belong to the lane `live`."""


@dataclass(frozen=True)
class Findings:
    """What rules find in posts as they stand now, and what they decide about them."""

    matches: Sequence[PostMatch]
    decisions: Sequence[Decision]


class Trial:
    """The stores of a preview.

    Attributes:
        warehouse: Images that are near the rules, and the rules.
        posts: What is known of the posts that have them.
        hours: Partition keys of the period.
    """

    def __init__(self, folder: Path, settings: Settings, now: datetime) -> None:
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self.hours: Sequence[str] = ()
        self._folder = folder
        self._settings = settings
        self._now = now

    @property
    def min_quality(self) -> int:
        """Hash quality below which images are not decided about."""
        return self._settings.min_image_quality

    def near_values(self, values: Mapping[str, pa.Table], ruleset: RuleSet) -> pa.Table:
        """Which of these hash values are near a hash of these rules: the column `hash`."""
        found = [self._near(*each, ruleset) for each in values.items()]
        return pa.concat_tables([_NO_VALUES, *found])

    def _near(self, algorithm: str, values: pa.Table, ruleset: RuleSet) -> pa.Table:
        with (
            TemporaryDirectory(dir=self._folder) as folder,
            Warehouse(Path(folder, "values.duckdb")).write() as connection,
        ):
            save_version(connection, ruleset, self._now)
            connection.register("hash_values", values)
            connection.execute(statement("preview/value_images"), {"algorithm": algorithm})
            connection.execute(statement("preview/value_partition"))
            self._match(connection, ruleset, hours=())
            return arrow(connection, "preview/near_values").cast(_NO_VALUES.schema)

    def add_images(self, images: pa.Table) -> None:
        """Keep images with their hashes."""
        with self.warehouse.write() as connection:
            connection.register("near_images", images)
            connection.execute(statement("preview/copy_images"))

    def add_exempt(self, listed: pa.Table) -> None:
        """Leave the accounts alone that these lists have, those of EXEMPT_LISTS among them."""
        with self.warehouse.write() as connection:
            connection.register("read_members", listed)
            connection.execute(statement("moderation/save_exempt_accounts"))

    def add_in_force(self, hashes: pa.Table) -> None:
        """Follow on the rule hashes in force: one that stays does not begin anew."""
        with self.warehouse.write() as connection:
            connection.register("in_force", hashes)
            connection.execute(statement("preview/copy_in_force"))

    def put_in_force(self, ruleset: RuleSet) -> None:
        """Load these rules and match the period with them."""
        with self.warehouse.write() as connection:
            save_version(connection, ruleset, self._now)
            self.posts.attach(connection, self.hours)
            connection.execute(statement("matching/partition_images"))
            self._match(connection, ruleset, self.hours)

    def findings(self, ruleset: RuleSet) -> Findings:
        """What these rules, which `put_in_force` was called with last, find and decide."""
        with self.warehouse.read() as connection:
            matches = matches_of(connection, self.posts, self.hours)
        decisions = decide(matches, ruleset, self._now, min_quality=self.min_quality)
        return Findings(matches, decisions)

    def plan(self, rows: Rows) -> list[Action]:
        """What a ledger that holds these rows would get, were the rules in force now.

        Hour ranges are planned as the runs do that bring new rules to the past: the latest first.
        """
        url = f"sqlite:///{self._folder / 'ledger.sqlite'}"
        copy_rows(rows, url)
        with Ledger(url, lambda: self._now) as ledger:
            for hours in reversed(hour_ranges(self.hours, longest=HOURS_PER_RUN)):
                self._plan(hours, ledger)
            return [
                action
                for state in State
                for action in ledger.in_state(state)
                if action.run_id == RUN
            ]

    @property
    def context(self) -> PlanContext:
        """In which lane and at what time actions would be planned."""
        return plan_context(self._planning(self.hours), self._settings)

    def _planning(self, hours: Sequence[str]) -> Planning:
        return Planning(hours=hours, lane=_LANE, run_id=RUN, now=self._now, is_rematch=True)

    def _plan(self, hours: HourRange, ledger: Ledger) -> None:
        keys = [key for key in self.hours if hours.first <= key <= hours.last]
        plan_hours(
            self._planning(keys),
            settings=self._settings,
            ledger=ledger,
            warehouse=self.warehouse,
            posts=self.posts,
        )

    def _match(self, connection: Connection, ruleset: RuleSet, hours: Sequence[str]) -> None:
        match_partition(
            connection,
            version=ruleset.version,
            margin=self._settings.match_margin,
            matched_at=self._now,
            partition_keys=hours,
        )


_NO_VALUES = pa.table({"hash": pa.array([], pa.uint64())})
