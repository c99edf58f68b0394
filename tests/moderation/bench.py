"""Real stores for tests of planning: Parquet posts, DuckDB rules and matches, the ledger."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from phash_dagster.moderation.actions import Action, Lane
from phash_dagster.moderation.draft import Planning
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan_hours import PlanSummary, plan_hours
from phash_dagster.rules import Rule, RuleSet, current_version, save_version
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key
from tests.moderation.builders import DID, HASH, NOW, ManualClock

RULES_LOADED = NOW - timedelta(hours=3)
CREDENTIALS = {
    "AUTOMOD_HANDLE": "automod.test",
    "AUTOMOD_PASSWORD": "x",
    "LABELER_DID": "did:plc:labeler",
    "OZONE_PDS": "http://127.0.0.1:9",
}


def a_rule(label: str = "troll", **flags: Any) -> Rule:
    fields = {"reportAcct": False, "labelAcct": False, "reportPost": False, "toLabel": True}
    given = {"phashes": [HASH], "label": label, "comment": "x", "id": label}
    return Rule.model_validate(given | fields | flags)


class Bench:
    """Posts, matches, rules and a ledger, with what a planning run needs."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self.clock = ManualClock()
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", self.clock)
        self.settings: Settings = settings_from(
            {**CREDENTIALS, "MODERATION_MODE": "live", "DATA_DIR": str(folder)}
        )
        self._batches = 0

    def load(self, *rules: Rule, at: datetime = RULES_LOADED) -> None:
        with self.warehouse.write() as connection:
            save_version(connection, RuleSet.of(rules, default_threshold=3), loaded_at=at)

    def match(self, blob_cid: str = "blob", rule: str = "troll", distance: int = 1) -> None:
        with self.warehouse.write() as connection:
            connection.execute(
                "INSERT INTO rule_matches VALUES ($1, $2, $3, 'average', $4, 'v', now())",
                [blob_cid, rule, HASH, distance],
            )

    def mark_matched(self, *, with_rules: bool = True) -> None:
        """Note every image as matched with the rules in force, or with others."""
        with self.warehouse.write() as connection:
            ruleset = current_version(connection)
            version = ruleset.version if with_rules and ruleset else "another"
            connection.execute("DELETE FROM matched_hashes")
            connection.execute("INSERT INTO matched_hashes VALUES (0, 99, $1, 2)", [version])

    def set(self, **settings: Any) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def write(self, *rows: ImagePost) -> None:
        self._batches += 1
        self.posts.write_batch(rows, start=str(self._batches), now=NOW + timedelta(days=9))

    def plan(self, *hours: datetime, lane: Lane = "live") -> PlanSummary:
        keys = [hour_key(moment) for moment in hours or (NOW,)]
        return plan_hours(
            Planning(hours=keys, lane=lane, run_id="run", now=self.clock()),
            settings=self.settings,
            ledger=self.ledger,
            warehouse=self.warehouse,
            posts=self.posts,
        )

    def rows(self) -> list[Action]:
        return self.ledger.changed_since(NOW - timedelta(days=999))

    def states(self) -> list[str]:
        return [row.state.value for row in self.rows()]


def post(
    rkey: str = "r", *, at: datetime = NOW, operation: str = "create", **fields: Any
) -> ImagePost:
    row = ImagePost(
        time_us=int(at.timestamp() * 1_000_000),
        seq=None,
        host="h",
        did=DID,
        collection="app.bsky.feed.post",
        rkey=rkey,
        uri=f"at://{DID}/app.bsky.feed.post/{rkey}",
        cid=f"cid-{rkey}",
        operation=operation,
        blob_cid="blob",
        position=0,
    )
    return row._replace(**fields)


def delete(rkey: str = "r", *, at: datetime = NOW) -> ImagePost:
    return post(rkey, at=at, operation="delete", cid=None, blob_cid=None)


def account(status: str, *, at: datetime = NOW) -> ImagePost:
    return post(at=at, operation=f"account_{status}", uri=f"at://{DID}", cid=None, blob_cid=None)
