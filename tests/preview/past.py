"""A small past for previews: real stores, with posts and hashes made by hand."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.matching import match_partition
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.draft import Planning
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan_hours import plan_hours
from phash_dagster.preview.candidate import load_candidate
from phash_dagster.preview.model import Preview, RulePreview
from phash_dagster.preview.run import preview_rules
from phash_dagster.rules import load_folder, save_version
from phash_dagster.settings import Settings, settings_from
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse

NOW = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
MEME = 0xE7C3A58D1B3C7E42
OTHER = 0x1F0D4B6AD2F0B8C4
LIVE = {
    "MODERATION_MODE": "live",
    "BACKFILL_MODE": "live",
    "AUTOMOD_HANDLE": "automod.test",
    "AUTOMOD_PASSWORD": "x",
    "LABELER_DID": "did:plc:labeler",
    "OZONE_PDS": "http://127.0.0.1:9",
}


def near(value: int, bits: int) -> int:
    """A hash at this distance; a larger distance is farther from all nearer ones too."""
    return value ^ ((1 << bits) - 1)


def hexadecimal(value: int) -> str:
    return f"{value:016x}"


def entry(rule_id: str = "meme", *values: int, **changes: Any) -> dict[str, Any]:
    """A rule as it stands in a file: labels posts, threshold 3, live, the past too."""
    fields = {
        "id": rule_id,
        "phashes": [hexadecimal(value) for value in values or (MEME,)],
        "label": rule_id,
        "comment": f"found by {rule_id}",
        "reportAcct": False,
        "labelAcct": False,
        "reportPost": False,
        "toLabel": True,
        "hammingThreshold": 3,
        "backfill": "same",
    }
    return fields | changes


class Past:
    """The stores of a pipeline, and what has happened in them."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.settings: Settings = settings_from(
            {
                "DATA_DIR": str(folder / "data"),
                "RULES_DIR": str(folder / "rules"),
                **LIVE,
                **variables,
            }
        )
        self.settings.rules_dir.mkdir(parents=True)
        self.warehouse = Warehouse(self.settings.warehouse_path)
        self.posts = ImagePosts(self.settings.image_posts_dir)
        self._written = 0

    def write(self, *rows: ImagePost) -> None:
        self._written += 1
        self.posts.write_batch(rows, start=str(self._written), now=NOW)

    def hash(
        self,
        values: Mapping[str, int],
        *,
        algorithm: str = "average",
        quality: int = 50,
        at: datetime = NOW,
    ) -> None:
        """Give blobs their hashes."""
        bits = 256 if algorithm == "pdq" else 64
        results = [
            ImageResult(
                ImageReference(blob_cid, "did:plc:a", None),
                Outcome.hashed,
                source="cdn",
                width=640,
                height=480,
                format="jpeg",
                hashes=(ImageHash(algorithm, value, quality, "test", bits),),
            )
            for blob_cid, value in values.items()
        ]
        with self.warehouse.write() as connection:
            save_results(connection, results, now=at)

    def write_rules(self, *entries: dict[str, Any], name: str = "blobs.json") -> Path:
        """Write a file into the folder of rules, without putting it in force."""
        path = self.settings.rules_dir / name
        path.write_text(json.dumps(entries))
        return path

    def put_in_force(self, *entries: dict[str, Any], at: datetime = NOW) -> None:
        """Load these rules, or those of the folder, and match and plan the whole past with them."""
        if entries:
            self.write_rules(*entries)
        loaded = load_folder(self.settings.rules_dir, 3, at)
        with self.warehouse.write() as connection:
            save_version(connection, loaded.ruleset, at)
            self.posts.attach(connection, self.posts.partition_keys())
            connection.execute(statement("matching/partition_images"))
            match_partition(
                connection,
                version=loaded.ruleset.version,
                margin=self.settings.match_margin,
                matched_at=at,
                partition_keys=self.posts.partition_keys(),
            )

    def plan(self, at: datetime = NOW, run_id: str = "run") -> list[Action]:
        """Plan the whole past as a rematch does; returns the rows that this recorded."""
        with Ledger(self.settings.effective_ledger_url, lambda: at) as ledger:
            plan_hours(
                Planning(
                    self.posts.partition_keys(),
                    lane="backfill",
                    run_id=run_id,
                    now=at,
                    is_rematch=True,
                ),
                settings=self.settings,
                ledger=ledger,
                warehouse=self.warehouse,
                posts=self.posts,
            )
            rows = [row for state in State for row in ledger.in_state(state)]
        return [row for row in rows if row.run_id == run_id]

    def preview(
        self, path: Path | None = None, days: float = 30, now: datetime = NOW, **options: Any
    ) -> Preview:
        return preview_rules(
            load_candidate(path, self.settings, now),
            settings=self.settings,
            since=now - timedelta(days=days),
            now=now,
            **options,
        )

    def preview_rule(self, *entries: dict[str, Any], **options: Any) -> RulePreview:
        """Write one file of rules and preview it; returns the first rule."""
        return self.preview(self.write_rules(*entries), **options).rules[0]


def post(
    rkey: str,
    blob_cid: str | None,
    *,
    did: str = "did:plc:a",
    at: datetime = NOW,
    hours_ago: float = 1,
    **fields: Any,
) -> ImagePost:
    values: dict[str, Any] = {
        "time_us": int((at - timedelta(hours=hours_ago)).timestamp() * 1_000_000),
        "seq": None,
        "host": "h",
        "did": did,
        "collection": "app.bsky.feed.post",
        "rkey": rkey,
        "uri": uri(rkey, did),
        "cid": f"record-{rkey}",
        "operation": "create",
        "blob_cid": blob_cid,
        "position": 0 if blob_cid else None,
    }
    return ImagePost(**(values | fields))


def uri(rkey: str, did: str = "did:plc:a") -> str:
    return f"at://{did}/app.bsky.feed.post/{rkey}"


def delete(
    rkey: str, did: str = "did:plc:a", hours_ago: float = 0.5, *, at: datetime = NOW
) -> ImagePost:
    return post(rkey, None, did=did, at=at, hours_ago=hours_ago, operation="delete", cid=None)


def account(status: str, did: str = "did:plc:a", hours_ago: float = 0.5) -> ImagePost:
    return post(
        "",
        None,
        did=did,
        hours_ago=hours_ago,
        operation=f"account_{status}",
        uri=f"at://{did}",
        cid=None,
        collection=None,
    )
