"""Runs of `rule_matches` over hours of the past, and what Dagster knows of them afterwards."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from phash_dagster.defs import rule_matches as module
from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.rule_matches import rule_matches
from phash_dagster.defs.rules import rules
from phash_dagster.defs.tags import LANE, RANGE_END, RANGE_START
from phash_dagster.matching import hours
from phash_dagster.matching.hours import Pace, match_hours
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from tests.matching.builders import add_images, flip

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST, SECOND, THIRD = (f"2026-11-20-0{hour}:00" for hour in (5, 6, 7))
TROLL = 0x07870707A1B2C3D4


@dg.asset(name="image_hashes", deps=[image_posts])
def no_image_hashes() -> None:
    """Stands for the asset that fetches."""


ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    image_posts,
    no_image_hashes,
    rules,
    rule_matches,
]


class Bench:
    """Three hours of the past with an image each, and the rule files."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.settings: Settings = settings_from(
            {"DATA_DIR": str(folder / "data"), "RULES_DIR": str(folder / "rules")}
        )
        self.settings.rules_dir.mkdir()
        self.warehouse = Warehouse(self.settings.warehouse_path)
        self.posts = ImagePosts(self.settings.image_posts_dir)
        with self.warehouse.write() as connection:
            add_images(connection, {f"in {hour}": TROLL for hour in (FIRST, SECOND, THIRD)})
        for hour in (FIRST, SECOND, THIRD):
            self.post(hour)

    def post(self, hour: str) -> None:
        moment = datetime.strptime(hour, "%Y-%m-%d-%H:%M").replace(tzinfo=UTC)
        row = ImagePost(
            time_us=int(moment.timestamp()) * 1_000_000,
            seq=None,
            host="h",
            did="did:plc:a",
            collection="c",
            rkey=hour,
            uri=f"at://did:plc:a/c/{hour}",
            cid="cid",
            operation="create",
            blob_cid=f"in {hour}",
        )
        self.posts.write_batch([row], start=hour, now=NOW)

    def load(self, *hashes: int) -> None:
        entry = {
            "comment": "c",
            "reportAcct": False,
            "labelAcct": False,
            "reportPost": False,
            "toLabel": True,
        }
        text = json.dumps(
            [{**entry, "label": f"l{value}", "phashes": [f"{value:016x}"]} for value in hashes]
        )
        (self.settings.rules_dir / "blobs.json").write_text(text)
        self.run([rules])

    def match(self, first: str, last: str, *, live: bool = False) -> Mapping[str, Any]:
        tags = {RANGE_START: first, RANGE_END: last, LANE: "live" if live else "backfill"}
        result = self.run([rule_matches], tags)
        found = result.asset_materializations_for_node("rule_matches")[0]
        return {name: value.value for name, value in found.metadata.items()}

    def run(
        self, selection: list[dg.AssetsDefinition], tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            ASSETS,
            selection=selection,
            instance=self.instance,
            tags=tags,
            resources=self.resources(),
        )

    def resources(self) -> dict[str, object]:
        return {
            "settings": self.settings,
            "warehouse": self.warehouse,
            "posts": self.posts,
            "clock": lambda: NOW,
        }

    def stale(self, hour: str) -> bool:
        """What the UI shows for a partition."""
        graph = dg.Definitions(ASSETS, resources=self.resources()).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(
            self.instance, graph, LoadingContextForTest(self.instance)
        )
        return resolver.get_status(rule_matches.key, hour) is StaleStatus.STALE

    def matched_images(self) -> list[str]:
        with self.warehouse.read() as connection:
            rows = connection.execute("FROM rule_matches SELECT blob_cid ORDER BY ALL").fetchall()
        return [cid for (cid,) in rows]

    def noted(self) -> list[str]:
        with self.warehouse.read() as connection:
            rows = connection.execute(
                "FROM partition_matches SEMI JOIN version_in_force USING (version) "
                "SELECT partition_key ORDER BY ALL"
            ).fetchall()
        return [key for (key,) in rows]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield Bench(instance, tmp_path)


def test_the_first_range_of_a_backfill_brings_the_rules_to_all_hours(bench: Bench) -> None:
    bench.load()
    bench.match(FIRST, THIRD)
    bench.load(TROLL)
    assert bench.match(FIRST, SECOND)["new_matches"] == 3
    assert bench.noted() == [FIRST, SECOND]
    # Its posts are still to be looked at, so the other hour is noted by its own run.
    assert bench.match(THIRD, THIRD)["images_joined"] == 0
    assert bench.noted() == [FIRST, SECOND, THIRD]


def test_a_live_run_leaves_the_past_to_the_backfill(bench: Bench) -> None:
    bench.load()
    bench.match(FIRST, THIRD)
    bench.load(TROLL)
    bench.match(THIRD, THIRD, live=True)
    assert bench.matched_images() == [f"in {THIRD}"]
    bench.match(FIRST, SECOND)
    assert len(bench.matched_images()) == 3


def test_a_long_match_is_many_short_transactions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "match_hours", partial(match_hours, pace=Pace(0.001, 0.0)))
    bench.load(TROLL)
    counts = bench.match(FIRST, THIRD)
    assert (counts["new_matches"], counts["rule_hashes"]) == (3, 1)
    assert bench.noted() == [FIRST, SECOND, THIRD]


def test_rules_that_change_in_the_middle_of_a_run_are_all_matched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = flip(TROLL, [0, 13, 26, 39, 52])
    monkeypatch.setattr(module, "match_hours", partial(match_hours, pace=Pace(0.001, 0.0)))

    def load_others(seconds: float) -> None:
        monkeypatch.setattr(hours, "sleep", lambda _: None)
        bench.load(TROLL, other)

    monkeypatch.setattr(hours, "sleep", load_others)
    bench.load(TROLL)
    bench.match(FIRST, THIRD)
    assert bench.noted() == [FIRST, SECOND, THIRD]
    assert len(bench.matched_images()) == 6


def test_no_rules_at_all_are_rules_too(bench: Bench) -> None:
    bench.load()
    assert bench.match(FIRST, THIRD)["matches"] == 0
    assert bench.noted() == [FIRST, SECOND, THIRD]


def test_dagster_shows_which_hours_the_rules_in_force_have_not_seen(bench: Bench) -> None:
    bench.load()
    bench.match(FIRST, SECOND)
    assert not bench.stale(FIRST)
    bench.load(TROLL)
    assert bench.stale(FIRST)
    bench.match(FIRST, FIRST)
    assert not bench.stale(FIRST)
    assert bench.stale(SECOND)
    bench.load(TROLL)  # the same rules once more
    assert not bench.stale(FIRST)
