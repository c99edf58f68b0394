"""The demo's scenario: what it promises is what is on the network."""

import io
from collections import Counter

import pytest
from PIL import Image

from phash_dagster.hashing import AverageHash, hamming_distance
from phash_dagster.jetstream import decode_event
from phash_dagster.rules.model import Rule
from phash_dagster.sandbox import World
from phash_dagster.sandbox.cdn import render
from phash_dagster.sandbox.jetstream_position import Numbering
from phash_dagster.sandbox.jetstream_v1 import encode
from phash_dagster.sandbox.records import POST
from phash_dagster.sandbox.scenario import DEFAULT_POSTS, Scenario, ScenarioRule
from phash_dagster.sandbox.scenario_plan import plan
from phash_dagster.warehouse import ImagePost

pytestmark = pytest.mark.slow

THRESHOLD = 3
FAR = 8


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def scenario(world: World) -> Scenario:
    scenario = Scenario(world)
    assert len(list(scenario.publish())) == DEFAULT_POSTS
    return scenario


@pytest.fixture(scope="module")
def rows(scenario: Scenario, world: World) -> list[ImagePost]:
    """What the pipeline reads of it."""
    frames = [
        frame
        for entry in world.events.since(0, 10_000)
        if (frame := encode(entry, Numbering())) is not None
    ]
    wanted = frozenset({POST})
    return [row for frame in frames for row in decode_event(frame, host="h", wanted=wanted).rows]


@pytest.fixture(scope="module")
def hashes(scenario: Scenario, rows: list[ImagePost], world: World) -> dict[str, int]:
    """The hash of every blob that the CDN can render, by CID."""
    found = {}
    for row in rows:
        blob = row.blob_cid and world.repositories.served_by_cdn(row.did, row.blob_cid)
        data = render(blob.data, "jpeg", 2000) if blob else None
        if row.blob_cid and data is not None:
            found[row.blob_cid] = _hash(Image.open(io.BytesIO(data)))
    return found


def _hash(image: Image.Image) -> int:
    return AverageHash().hash(image.convert("RGB")).value


def _distances(rule: ScenarioRule, hashes: dict[str, int]) -> dict[str, int]:
    originals = [_hash(image) for image in rule.originals()]
    return {
        cid: min(hamming_distance(value, original) for original in originals)
        for cid, value in hashes.items()
    }


def test_images_and_blobs_are_as_many_as_expected(
    scenario: Scenario, rows: list[ImagePost]
) -> None:
    found = {(row.uri, row.blob_cid) for row in rows if row.blob_cid}
    blobs = {blob_cid for _, blob_cid in found}

    assert len(found) == scenario.expected.images
    assert blobs == set(scenario.expected.outcomes)
    assert len(blobs) < len(found)


def test_posts_are_as_many_as_expected(scenario: Scenario, world: World) -> None:
    creations = [
        entry
        for entry in world.events.since(0, 10_000)
        if entry.event
        and entry.collection == POST
        and entry.event["commit"]["operation"] == "create"
    ]

    assert len(creations) == scenario.expected.posts == DEFAULT_POSTS


def test_every_kind_of_outcome_occurs(scenario: Scenario) -> None:
    counts = scenario.expected.outcome_counts

    assert {name: count for name, count in counts.items() if name != "hashed"} == {
        "not_found": 2,
        "corrupt": 2,
        "unsupported": 2,
    }
    assert counts["hashed"] > 200


def test_blobs_that_must_be_hashed_are_those_that_the_cdn_renders(
    scenario: Scenario, hashes: dict[str, int]
) -> None:
    expected = {cid for cid, outcome in scenario.expected.outcomes.items() if outcome == "hashed"}

    assert set(hashes) == expected


def test_each_rule_matches_what_is_expected_and_nothing_comes_near(
    scenario: Scenario, hashes: dict[str, int]
) -> None:
    for rule in scenario.rules:
        distances = _distances(rule, hashes)
        near = {cid for cid, distance in distances.items() if distance <= THRESHOLD}

        assert near == scenario.expected.matches[rule.label]
        assert min(distances[cid] for cid in set(distances) - near) >= FAR


def test_the_late_rule_matches_one_early_post(scenario: Scenario, hashes: dict[str, int]) -> None:
    distances = _distances(scenario.late_rule, hashes)

    near = {cid for cid, distance in distances.items() if distance <= THRESHOLD}
    assert near == scenario.expected.late_matches
    assert len(near) == len(scenario.expected.late_labels) == 1


def test_every_kind_of_action_is_expected(scenario: Scenario) -> None:
    expected = scenario.expected
    subjects = Counter(
        (rule, subject.startswith("at://")) for subject, rule in expected.labels | expected.reports
    )

    assert set(subjects) == {
        ("spam", True),
        ("troll", True),
        ("troll", False),
        ("impersonation", False),
    }
    assert {rule for _, rule in expected.reports} == {"spam", "impersonation"}


def test_some_posts_match_but_must_be_left_alone(scenario: Scenario) -> None:
    expected = scenario.expected
    acted_on = {subject for subject, _ in expected.labels | expected.reports}

    assert len(expected.suppressed) == 2
    assert len(expected.ignored) == 1
    assert not (expected.suppressed | expected.ignored) & acted_on


def test_one_post_gets_two_labels(scenario: Scenario) -> None:
    labels = Counter(subject for subject, _ in scenario.expected.labels)

    assert max(labels.values()) == 2


def test_the_rules_load_as_rules(scenario: Scenario) -> None:
    for rule in (*scenario.rules, scenario.late_rule):
        loaded = Rule.model_validate(rule.entry(["00ff00ff00ff00ff"] * len(rule.pictures)))

        assert loaded.label == rule.label


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(3, 120) == plan(3, 120)
    assert plan(3, 120) != plan(4, 120)


def test_a_plan_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="posts must be at least"):
        plan(3, 10)
