"""A past of some days for the tests: posts, hashes, matches, rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phash_dagster.images.model import Outcome
from phash_dagster.ingest import IngestRecords
from phash_dagster.maintenance.run import Stores
from phash_dagster.matching import match_partition
from phash_dagster.rules import save_version
from phash_dagster.settings import settings_from
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePost
from phash_dagster.warehouse.image_posts import hour_key
from tests.images.test_store import Store, ended, hashed, post
from tests.matching.builders import make_rule, make_rules

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
TABLES = ("image_hashes", "image_outcomes", "image_attempts", "rule_matches")
RULES = make_rules(make_rule("seven", [7]))


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def hours_of(*days: float) -> list[str]:
    return [hour_key(days_ago(one)) for one in days]


@dataclass
class Past:
    """A pipeline's stores with what happened."""

    store: Store
    stores: Stores

    @classmethod
    def under(cls, folder: Path) -> "Past":
        settings = settings_from({"DATA_DIR": str(folder)})
        store = Store(folder)
        ingest = IngestRecords.under(folder)
        return cls(store, Stores(settings, store.warehouse, store.posts, ingest))

    def add(self, *rows: ImagePost) -> None:
        self.store.add(*rows)

    def hash(self, *blob_cids: str, value: int = 7) -> None:
        self.store.save(*(hashed(blob_cid, value) for blob_cid in blob_cids))

    def fail(self, *blob_cids: str, outcome: Outcome = Outcome.not_found) -> None:
        self.store.save(*(ended(blob_cid, outcome) for blob_cid in blob_cids))

    def match(self, hours: Sequence[str] | None = None) -> None:
        """Match all that there is with rules that know the hash 7."""
        keys = self.store.posts.partition_keys() if hours is None else hours
        with self.store.warehouse.write() as connection:
            save_version(connection, RULES, NOW)
            self.store.posts.attach(connection, keys)
            connection.execute(statement("matching/partition_images"))
            match_partition(
                connection, version=RULES.version, margin=0, matched_at=NOW, partition_keys=keys
            )

    def images_in(self, table: str) -> set[str]:
        with self.store.warehouse.read() as connection:
            return {
                cid for (cid,) in connection.execute(f"FROM {table} SELECT blob_cid").fetchall()
            }

    def posted(self) -> set[str]:
        posts = self.store.posts
        with self.store.warehouse.read() as connection:
            posts.attach(connection, posts.partition_keys())
            rows = connection.execute(
                "FROM image_posts SELECT blob_cid WHERE blob_cid IS NOT NULL"
            ).fetchall()
        return {cid for (cid,) in rows}

    def matches(self) -> set[tuple[object, ...]]:
        with self.store.warehouse.read() as connection:
            return set(
                connection.execute(
                    "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, algorithm, distance"
                ).fetchall()
            )


def full_past(folder: Path) -> Past:
    """Old posts, new ones, images that were posted again, and every kind of outcome."""
    past = Past.under(folder)
    past.add(
        post("old", at=days_ago(10)),
        post("again", at=days_ago(10)),
        post("gone", at=days_ago(9.9)),
        post("deleted", at=days_ago(9))._replace(operation="delete", blob_cid=None),
    )
    past.add(post("again", did="did:plc:b", at=days_ago(1)), post("new", at=days_ago(0.5)))
    past.hash("old", "again", "new")
    past.hash("unlike", value=2**40 - 1)
    past.add(post("unlike", at=days_ago(10)))
    past.fail("gone")
    past.match()
    return past


__all__ = ["NOW", "TABLES", "Past", "days_ago", "full_past", "hours_of", "post"]
