"""The real jobs, assets and sensors over a few hours of a past, in this process."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from phash_dagster.clock import utc_now
from phash_dagster.definitions import definitions
from phash_dagster.defs.rule_matches import rematch_sensor
from phash_dagster.defs.rules import rules_sensor
from phash_dagster.defs.tags import RANGE_END, RANGE_START
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key, moment_of

Row = tuple[str, str, str, int]
"""blob CID, rule id, rule hash, distance"""

Files = Mapping[str, Sequence[Mapping[str, Any]]]
"""Content of rule files by their names."""


class SmallStack:
    """What one machine runs, without its processes.

    Attributes:
        images: Hash of each image, by its CID.
        joined: Images that were joined with rule hashes by each rematch run.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        **variables: str,
    ) -> None:
        variables |= {"DATA_DIR": str(folder / "data"), "RULES_DIR": str(folder / "rules")}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)  # no `.env` of the user
        self.instance = instance
        self.settings: Settings = settings_from(variables)
        self.settings.rules_dir.mkdir()
        loaded = definitions()
        assert isinstance(loaded, dg.Definitions)
        self._defs = loaded
        self.warehouse = Warehouse(self.settings.warehouse_path)
        self.posts = ImagePosts(self.settings.image_posts_dir)
        self.images: dict[str, int] = {}
        self.joined: list[int] = []
        self._cursor: str | None = None

    def post(self, hour: datetime, values: Sequence[int]) -> str:
        """Posts of an hour, with one hashed image each; returns the hour's key."""
        key = hour_key(hour)
        rows, results = [], []
        for number, value in enumerate(values):
            cid = f"{key}-{len(self.images)}"
            self.images[cid] = value
            moment = moment_of(key) + timedelta(seconds=number)
            row = ImagePost(
                time_us=int(moment.timestamp()) * 1_000_000,
                seq=None,
                host="h",
                did="did:plc:a",
                collection="c",
                rkey=cid,
                uri=f"at://did:plc:a/c/{cid}",
                cid="cid",
                operation="create",
                blob_cid=cid,
            )
            rows.append(row)
            image_hash = ImageHash("average", value, 100, "average-1")
            results.append(
                ImageResult(
                    ImageReference(cid, row.did, None),
                    Outcome.hashed,
                    source="cdn",
                    width=8,
                    height=8,
                    format="jpeg",
                    hashes=(image_hash,),
                )
            )
        self.posts.write_batch(rows, start=f"{key}-{len(self.images)}", now=utc_now())
        with self.warehouse.write() as connection:
            save_results(connection, results, now=utc_now())
        return key

    def write(self, files: Files) -> None:
        """These are the rule files from here on."""
        for path in self.settings.rules_dir.glob("*.json"):
            path.unlink()
        for name, entries in files.items():
            (self.settings.rules_dir / name).write_text(json.dumps(entries))

    def load(self) -> bool:
        """What `rules_sensor` does about the files; returns whether a load succeeded."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self._cursor)
        ticked = rules_sensor(context, settings=self.settings)
        if not isinstance(ticked, dg.SensorResult):
            return False
        self._cursor = ticked.cursor
        return self.run("load_rules", {}).success

    def rematch_once(self) -> bool:
        """What `rematch_sensor` asks for now; returns whether it asked for a run."""
        context = dg.build_sensor_context(instance=self.instance)
        ticked = rematch_sensor(context, warehouse=self.warehouse, posts=self.posts, clock=utc_now)
        if not isinstance(ticked, dg.SensorResult):
            return False
        [request] = ticked.run_requests or []
        result = self.run("rematch_hours", request.tags)
        [found] = result.asset_materializations_for_node("rule_matches")[:1]
        self.joined.append(int(str(found.metadata["images_joined"].value)))
        return True

    def rematch(self) -> int:
        """The same until nothing is left; returns the number of runs."""
        runs = 0
        while self.rematch_once():
            runs += 1
        return runs

    def run(self, job: str, tags: Mapping[str, str]) -> dg.ExecuteInProcessResult:
        """One run of a job."""
        return self._defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, tags=dict(tags), raise_on_error=False
        )

    def materialize(self, asset: str, first: str, last: str) -> dg.ExecuteInProcessResult:
        """What a person launches in the UI with this asset and these hours selected."""
        return self._defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset)],
            tags={RANGE_START: first, RANGE_END: last},
        )

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        with self.warehouse.read() as connection:
            ruleset = current_version(connection)
        assert ruleset is not None
        return ruleset

    def stored(self) -> set[Row]:
        """Every stored match."""
        with self.warehouse.read() as connection:
            rows: list[Row] = connection.execute(
                "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, distance"
            ).fetchall()
        assert len(set(rows)) == len(rows), "a match is stored twice"
        return set(rows)

    def in_force(self) -> set[Row]:
        """The stored matches within reach of the rules in force."""
        reach = self._reach()
        return {row for row in self.stored() if row[3] <= reach.get(row[1:3], -1)}

    def expected(self) -> set[Row]:
        """What comparing all images with all rule hashes in force finds."""
        return {
            (cid, rule_id, rule_hash, distance)
            for (rule_id, rule_hash), reach in self._reach().items()
            for cid, value in self.images.items()
            if (distance := (value ^ int(rule_hash, 16)).bit_count()) <= reach
        }

    def _reach(self) -> dict[tuple[str, str], int]:
        rules = self.rules
        return {
            (rule.id, rule_hash): rules.threshold(rule) + self.settings.match_margin
            for rule in rules.rules
            for rule_hash in (*rule.phashes, *rule.except_hashes)
        }

    def stale(self, hours: Sequence[str]) -> list[str]:
        """The hours whose partition of `rule_matches` the UI shows as stale."""
        resolver = CachingStaleStatusResolver(
            self.instance,
            self._defs.resolve_asset_graph(),
            LoadingContextForTest(self.instance),
        )
        key = dg.AssetKey("rule_matches")
        return [hour for hour in hours if resolver.get_status(key, hour) is StaleStatus.STALE]

    def actions(self) -> list[Action]:
        """The ledger."""
        with Ledger(self.settings.effective_ledger_url) as ledger:
            return ledger.changed_since(datetime(1970, 1, 1, tzinfo=UTC))
