"""Matches of images whose hash says little are kept, counted and not acted upon."""

from pathlib import Path
from typing import Any

import pytest

from phash_dagster.moderation.decisions import PostMatch, decide, left_out_for_quality
from phash_dagster.settings import settings_from
from tests.moderation.bench import CREDENTIALS, Bench, a_rule, post
from tests.moderation.builders import DID, HASH, NOW, post_uri, rule, rules

RULES = rules(rule(id="first", hamming_threshold=3), rule(id="second"))


def match(rule_id: str = "first", **fields: Any) -> PostMatch:
    values: dict[str, Any] = {
        "uri": post_uri(),
        "cid": "bafyrei1",
        "did": DID,
        "blob_cid": "bafkreione",
        "position": 0,
        "rule_hash": HASH,
        "distance": 1,
        "quality": 9,
    }
    return PostMatch(rule_id=rule_id, **(values | fields))


def left_out(*matches: PostMatch) -> int:
    return left_out_for_quality(matches, RULES, NOW, min_quality=10)


def test_a_match_of_lower_quality_decides_nothing() -> None:
    assert decide([match()], RULES, NOW, min_quality=10) == []
    assert len(decide([match(quality=10)], RULES, NOW, min_quality=10)) == 1


def test_a_minimum_of_zero_decides_about_every_match() -> None:
    assert len(decide([match(quality=0)], RULES, NOW, min_quality=0)) == 1


def test_a_rule_of_another_algorithm_may_still_decide_about_the_image() -> None:
    [decision] = decide([match(), match("second", quality=80)], RULES, NOW, min_quality=10)
    assert decision.rule.id == "second"


def test_what_is_left_out_is_counted_by_image() -> None:
    assert left_out(match(), match("second")) == 1
    assert left_out(match(), match(position=1), match(uri=post_uri("other"))) == 3


def test_what_no_rule_would_decide_is_not_counted() -> None:
    assert left_out(match(quality=10), match(distance=4), match("removed")) == 0


def hashed(bench: Bench, quality: int, algorithm: str = "average", blob_cid: str = "blob") -> None:
    with bench.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO image_hashes BY NAME SELECT $1 AS blob_cid, $2 AS algorithm, 7 AS hash, "
            "$3 AS quality, 1 AS width, 1 AS height, 'png' AS format, 'cdn' AS source, "
            "'v' AS hasher_version, now() AS hashed_at",
            [blob_cid, algorithm, quality],
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.load(a_rule())
    bench.match()
    bench.write(post())
    return bench


def test_a_plan_leaves_flat_images_out_and_says_how_many(bench: Bench) -> None:
    hashed(bench, 9)
    summary = bench.plan()
    assert (summary.decisions, summary.recorded, summary.low_quality) == (0, 0, 1)


def test_a_plan_acts_on_images_of_enough_quality(bench: Bench) -> None:
    hashed(bench, 10)
    summary = bench.plan()
    assert (summary.recorded, summary.low_quality) == (1, 0)


def test_the_setting_0_acts_on_every_image(bench: Bench, tmp_path: Path) -> None:
    hashed(bench, 0)
    bench.settings = settings_from(
        {
            **CREDENTIALS,
            "MODERATION_MODE": "live",
            "DATA_DIR": str(tmp_path),
            "MIN_IMAGE_QUALITY": "0",
        }
    )
    assert bench.plan().recorded == 1


def test_the_quality_that_counts_is_that_of_the_rules_algorithm(bench: Bench) -> None:
    hashed(bench, 90)
    hashed(bench, 0, "difference")
    assert bench.plan().recorded == 1
