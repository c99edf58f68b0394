"""The banded join: equal to brute force, and what it keeps."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phash_dagster.matching import MatchCounts, match_partition
from phash_dagster.matching.match import EXHAUSTIVE_FROM
from phash_dagster.rules import Rule, RuleSet, save_version
from phash_dagster.sql import statements
from phash_dagster.warehouse import Connection

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = "2026-11-23-12:00"
ALL_ONES = 2**64 - 1

Row = tuple[str, str, str, int]
"""blob CID, rule id, rule hash, distance"""


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for text in statements("schema").values():
            connection.execute(text)
        yield connection


def make_rule(
    rule_id: str, hashes: Iterable[int], threshold: int | None = None, **changes: Any
) -> Rule:
    return Rule(
        id=rule_id,
        phashes=tuple(f"{value:016x}" for value in hashes),
        label="troll",
        comment="Known meme",
        report_account=False,
        label_account=False,
        report_post=False,
        label_post=True,
        hamming_threshold=threshold,
        **changes,
    )


def make_rules(*rules: Rule) -> RuleSet:
    return RuleSet.of(rules, default_threshold=3)


def add_images(
    connection: Connection, hashes: dict[str, int], *, algorithm: str = "average"
) -> None:
    connection.execute(
        """
        INSERT OR REPLACE INTO image_hashes
        SELECT cid, $algorithm, ('0x' || hex)::UBIGINT, 100, 8, 8, 'jpeg', 'cdn', 'test', $at
        FROM (SELECT unnest($cids::VARCHAR[]) AS cid, unnest($hexes::VARCHAR[]) AS hex)
        """,
        {
            "algorithm": algorithm,
            "cids": list(hashes),
            "hexes": [f"{value:x}" for value in hashes.values()],
            "at": NOON,
        },
    )


def match(
    connection: Connection,
    rules: RuleSet,
    cids: Sequence[str],
    *,
    margin: int = 0,
    at: datetime = NOON,
    keys: Sequence[str] = (HOUR,),
) -> MatchCounts:
    """Put the rules in force and match these images as one partition."""
    save_version(connection, rules, at)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE partition_images AS "
        "SELECT unnest($cids::VARCHAR[]) AS blob_cid",
        {"cids": list(cids)},
    )
    return match_partition(
        connection, version=rules.version, margin=margin, matched_at=at, partition_keys=keys
    )


def stored(connection: Connection) -> list[Row]:
    return connection.execute(
        "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, distance ORDER BY ALL"
    ).fetchall()


def brute_force(images: dict[str, int], rules: RuleSet, margin: int) -> list[Row]:
    """Every image with every rule hash: the reference."""
    return sorted(
        (cid, rule.id, rule_hash, distance)
        for cid, image in images.items()
        for rule in rules.rules
        for rule_hash in rule.phashes
        if (distance := (image ^ int(rule_hash, 16)).bit_count()) <= rules.threshold(rule) + margin
    )


def flip(value: int, bits: Iterable[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


# Average hashes are skewed: flat images, stripes and light/dark splits are frequent, and so are
# hashes that differ from them by a few bits.
FREQUENT = [
    0,
    ALL_ONES,
    0xF0F0F0F0F0F0F0F0,
    0x00000000FFFFFFFF,
    0xFFFF000000000000,
    0x5555555555555555,
]
NEAR_FREQUENT = st.builds(flip, st.sampled_from(FREQUENT), st.lists(st.integers(0, 63), max_size=6))
VALUES = NEAR_FREQUENT | st.integers(0, ALL_ONES)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    images=st.lists(VALUES, max_size=60),
    banks=st.lists(st.tuples(st.lists(VALUES, max_size=5), st.integers(0, 64)), max_size=5),
    margin=st.integers(0, 16),
)
def test_the_join_equals_brute_force_on_skewed_hashes(
    connection: Connection,
    images: list[int],
    banks: list[tuple[list[int], int]],
    margin: int,
) -> None:
    connection.execute("DELETE FROM image_hashes; DELETE FROM rule_matches")
    by_cid = {f"bafkrei{number}": value for number, value in enumerate(images)}
    rules = make_rules(
        *(make_rule(f"r{n}", hashes, threshold) for n, (hashes, threshold) in enumerate(banks))
    )
    add_images(connection, by_cid)
    match(connection, rules, list(by_cid), margin=margin)
    assert stored(connection) == brute_force(by_cid, rules, margin)


def spread_flips(random: Random, count: int) -> list[int]:
    """`count` bits spread over the bands as evenly as possible: the hardest to find by bands."""
    order = random.sample(range(4), 4)
    bits = [random.sample(range(16), 16) for _ in range(4)]
    return [16 * order[n % 4] + bits[order[n % 4]][n // 4] for n in range(count)]


@pytest.mark.parametrize("threshold", range(65))
def test_every_threshold_is_exact_at_its_edge(connection: Connection, threshold: int) -> None:
    random = Random(threshold)
    target = random.getrandbits(64)
    images = {
        f"{way}-{distance}-{number}": flip(
            target,
            spread_flips(random, distance)
            if way == "spread"
            else random.sample(range(64), distance),
        )
        for distance in range(max(threshold - 1, 0), min(threshold + 2, 65))
        for way in ("spread", "random")
        for number in range(40)
    }
    rules = make_rules(make_rule("r", [target], threshold))
    add_images(connection, images)
    match(connection, rules, list(images))
    assert stored(connection) == brute_force(images, rules, margin=0)


def test_narrow_and_wide_rules_are_matched_together(connection: Connection) -> None:
    random = Random(1)
    images = {f"i{number}": random.getrandbits(64) for number in range(300)}
    near = [flip(value, [number % 64]) for number, value in enumerate(images.values())]
    rules = make_rules(
        make_rule("narrow", near[:5], EXHAUSTIVE_FROM - 1),
        make_rule("wide", near[5:10], EXHAUSTIVE_FROM),
        make_rule("widest", near[10:15], 30),
    )
    add_images(connection, images)
    match(connection, rules, list(images))
    assert stored(connection) == brute_force(images, rules, margin=0)


def test_an_image_that_agrees_in_every_band_is_one_match(connection: Connection) -> None:
    add_images(connection, {"same": 77})
    assert match(connection, make_rules(make_rule("r", [77])), ["same"]).matches == 1


def test_matches_are_kept_up_to_the_margin_with_their_distance(connection: Connection) -> None:
    images = {f"d{count}": flip(0xABCDEF, range(20, 20 + count)) for count in (0, 3, 4, 5, 6)}
    add_images(connection, images)
    match(connection, make_rules(make_rule("r", [0xABCDEF], 3)), list(images), margin=2)
    assert {row[0]: row[3] for row in stored(connection)} == {"d0": 0, "d3": 3, "d4": 4, "d5": 5}


def test_every_rule_that_holds_a_hash_matches(connection: Connection) -> None:
    add_images(connection, {"i": 5})
    match(connection, make_rules(make_rule("a", [5]), make_rule("b", [5], 9)), ["i"])
    assert [row[1] for row in stored(connection)] == ["a", "b"]


def test_a_reach_beyond_64_bits_matches_everything(connection: Connection) -> None:
    add_images(connection, {"i": 0})
    match(connection, make_rules(make_rule("r", [ALL_ONES], 64)), ["i"], margin=16)
    assert stored(connection) == [("i", "r", "f" * 16, 64)]


def test_only_images_of_the_partition_are_matched(connection: Connection) -> None:
    add_images(connection, {"in": 5, "out": 5})
    counts = match(connection, make_rules(make_rule("r", [5])), ["in", "not hashed yet"])
    assert [row[0] for row in stored(connection)] == ["in"]
    assert counts == MatchCounts(images=1, rule_hashes=1, matches=1, new_matches=1)


def test_hashes_of_another_algorithm_are_not_compared(connection: Connection) -> None:
    add_images(connection, {"i": 5}, algorithm="difference")
    rules = make_rules(make_rule("narrow", [5]), make_rule("wide", [5], EXHAUSTIVE_FROM))
    assert match(connection, rules, ["i"]).matches == 0


def test_matching_again_changes_nothing(connection: Connection) -> None:
    rules = make_rules(make_rule("r", [5]))
    add_images(connection, {"i": 5, "j": 7})
    match(connection, rules, ["i", "j"])
    before = connection.execute("FROM rule_matches ORDER BY ALL").fetchall()
    counts = match(connection, rules, ["i", "j"], at=NOON + timedelta(hours=1))
    assert connection.execute("FROM rule_matches ORDER BY ALL").fetchall() == before
    assert (counts.matches, counts.new_matches) == (2, 0)


def test_a_match_keeps_the_version_that_found_it_first(connection: Connection) -> None:
    first = make_rules(make_rule("a", [5]))
    second = make_rules(make_rule("a", [5]), make_rule("b", [5]))
    add_images(connection, {"i": 5})
    match(connection, first, ["i"])
    counts = match(connection, second, ["i"], at=NOON + timedelta(hours=1))
    rows = connection.execute(
        "FROM rule_matches SELECT rule_id, first_version, matched_at ORDER BY rule_id"
    ).fetchall()
    assert rows == [
        ("a", first.version, NOON),
        ("b", second.version, NOON + timedelta(hours=1)),
    ]
    assert (counts.matches, counts.new_matches) == (2, 1)


def test_matches_of_rules_that_are_gone_stay(connection: Connection) -> None:
    add_images(connection, {"i": 5})
    match(connection, make_rules(make_rule("gone", [5])), ["i"])
    match(connection, make_rules(), ["i"], at=NOON + timedelta(hours=1))
    assert [row[1] for row in stored(connection)] == ["gone"]


def test_the_distance_follows_an_image_that_is_hashed_anew(connection: Connection) -> None:
    rules = make_rules(make_rule("r", [0]))
    add_images(connection, {"nearer": 7, "out of reach": 7, "another partition": 7})
    match(connection, rules, ["nearer", "out of reach", "another partition"])
    add_images(connection, {"nearer": 1, "out of reach": ALL_ONES, "another partition": 1})
    match(connection, rules, ["nearer", "out of reach"])
    assert {row[0]: row[3] for row in stored(connection)} == {
        "nearer": 1,
        "out of reach": 64,
        "another partition": 3,
    }


def test_partitions_are_recorded_with_the_version_they_saw_last(connection: Connection) -> None:
    old, new = make_rules(make_rule("r", [5])), make_rules()
    match(connection, old, [], keys=["a", "b"])
    match(connection, new, [], keys=["b", "c"], at=NOON + timedelta(hours=1))
    rows = connection.execute("FROM partition_matches ORDER BY partition_key").fetchall()
    assert rows == [
        ("a", old.version, NOON),
        ("b", new.version, NOON + timedelta(hours=1)),
        ("c", new.version, NOON + timedelta(hours=1)),
    ]


def test_an_unknown_version_is_an_error_and_records_nothing(connection: Connection) -> None:
    connection.execute("CREATE TEMP TABLE partition_images (blob_cid VARCHAR)")
    with pytest.raises(LookupError, match="materialize the asset `rules`"):
        match_partition(
            connection, version="unknown", margin=2, matched_at=NOON, partition_keys=[HOUR]
        )
    assert connection.execute("FROM partition_matches").fetchall() == []


def test_rebuilding_from_hashes_and_rules_gives_the_same_matches(connection: Connection) -> None:
    random = Random(2)
    centres = [random.getrandbits(64) for _ in range(20)]
    images = {
        f"i{number}": flip(random.choice(centres), random.sample(range(64), random.randrange(9)))
        for number in range(500)
    }
    rules = make_rules(
        make_rule("a", centres[:8]),
        make_rule("b", centres[6:14], 6),
        make_rule("c", centres[:2], 13),
    )
    add_images(connection, images)
    cids = list(images)
    # Hours overlap, as posts share images.
    for start in range(0, 500, 50):
        match(connection, rules, cids[start : start + 80], margin=2)
    before = stored(connection)
    connection.execute("DELETE FROM rule_matches")
    counts = match(connection, rules, cids, margin=2)
    assert counts.new_matches == counts.matches == len(before) > 0
    assert stored(connection) == before == brute_force(images, rules, margin=2)
