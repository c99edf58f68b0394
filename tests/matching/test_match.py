"""The join: equal to brute force whatever the plan, and what is kept of it."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phash_dagster.matching import MatchCounts, match_partition
from phash_dagster.matching import match as match_module
from phash_dagster.matching.plan import JoinPlan, bands_of
from phash_dagster.warehouse import Connection
from tests.matching.builders import (
    ALL_ONES,
    HOUR,
    NOON,
    VALUES,
    add_images,
    brute_force,
    flip,
    forget_everything,
    make_rule,
    make_rules,
    match,
    spread_flips,
    stored,
)


def use_bands(monkeypatch: pytest.MonkeyPatch, per_word: int) -> None:
    """Plan so many bands whatever they would cost; 0: compare all pairs.

    A few images are otherwise always compared with all rule hashes.
    """

    def plan(images: int, reaches: dict[int, int], bits: int) -> JoinPlan:
        if not per_word:
            return JoinPlan((), 0, 0, 0.0)
        bands = bands_of(bits // 64, per_word)
        # Bits of a band may differ up to a number that does not take long to spread.
        return JoinPlan(bands, 3 * len(bands), 3, 0.0)

    monkeypatch.setattr(match_module, "plan_join", plan)


@pytest.mark.parametrize("per_word", [0, 2, 3, 4, 8])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    images=st.lists(VALUES, max_size=60),
    banks=st.lists(st.tuples(st.lists(VALUES, max_size=5), st.integers(0, 64)), max_size=5),
    margin=st.integers(0, 16),
)
def test_the_join_equals_brute_force_on_skewed_hashes(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    per_word: int,
    images: list[int],
    banks: list[tuple[list[int], int]],
    margin: int,
) -> None:
    use_bands(monkeypatch, per_word)
    forget_everything(connection)
    by_cid = {f"bafkrei{number}": value for number, value in enumerate(images)}
    rules = make_rules(
        *(make_rule(f"r{n}", hashes, threshold) for n, (hashes, threshold) in enumerate(banks))
    )
    add_images(connection, by_cid)
    match(connection, rules, list(by_cid), margin=margin)
    assert stored(connection) == brute_force(by_cid, rules, margin)


EDGES_64 = [
    *((64, per_word, threshold) for per_word in (2, 3, 4, 8) for threshold in range(3 * per_word)),
    *((64, 0, threshold) for threshold in (0, 3, 12, 31, 64)),
]
EDGES_256 = [
    *((256, 2, threshold) for threshold in (0, 7, 8, 15, 16, 23)),
    *((256, 3, threshold) for threshold in (11, 12, 31, 33, 35)),
    *((256, 4, threshold) for threshold in (15, 16, 31, 33, 47)),
    *((256, 0, threshold) for threshold in (0, 31, 128, 256)),
]


@pytest.mark.parametrize(("bits", "per_word", "threshold"), EDGES_64 + EDGES_256)
def test_every_threshold_is_exact_at_its_edge(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    bits: int,
    per_word: int,
    threshold: int,
) -> None:
    use_bands(monkeypatch, per_word)
    random = Random(threshold)
    target = random.getrandbits(bits)
    bands = max(per_word, 1) * bits // 64
    images = {
        f"{way}-{distance}-{number}": flip(
            target,
            spread_flips(random, distance, bits=bits, bands=bands)
            if way == "spread" and distance <= bands * (bits // bands)
            else random.sample(range(bits), distance),
        )
        for distance in range(max(threshold - 1, 0), min(threshold + 2, bits + 1))
        for way in ("spread", "random")
        for number in range(40)
    }
    rules = make_rules(make_rule("r", [target], threshold, bits=bits))
    add_images(connection, images, bits=bits)
    match(connection, rules)
    assert stored(connection) == brute_force(images, rules, margin=0)


WIDE_VALUES = st.builds(
    lambda words, flips: flip(sum(word << 64 * n for n, word in enumerate(words)), flips),
    st.lists(VALUES, min_size=4, max_size=4) | st.sampled_from([[0] * 4, [ALL_ONES] * 4]),
    st.lists(st.integers(0, 255), max_size=40),
)


@pytest.mark.parametrize("per_word", [0, 2, 3, 4])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    images=st.lists(WIDE_VALUES, max_size=40),
    banks=st.lists(
        st.tuples(st.lists(WIDE_VALUES, max_size=4), st.integers(0, 60) | st.just(256)), max_size=3
    ),
    margin=st.integers(0, 4),
)
def test_the_join_of_256_bits_equals_brute_force(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    per_word: int,
    images: list[int],
    banks: list[tuple[list[int], int]],
    margin: int,
) -> None:
    use_bands(monkeypatch, per_word)
    forget_everything(connection)
    by_cid = {f"bafkrei{number}": value for number, value in enumerate(images)}
    rules = make_rules(
        *(make_rule(f"r{n}", hashes, t, bits=256) for n, (hashes, t) in enumerate(banks))
    )
    add_images(connection, by_cid, bits=256)
    match(connection, rules, margin=margin)
    assert stored(connection) == brute_force(by_cid, rules, margin)


def test_narrow_and_wide_rules_are_matched_together(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_bands(monkeypatch, 2)
    random = Random(1)
    images = {f"i{number}": random.getrandbits(64) for number in range(300)}
    near = [flip(value, [number % 64]) for number, value in enumerate(images.values())]
    rules = make_rules(
        make_rule("narrow", near[:5], 4),
        make_rule("wide", near[5:10], 12),
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


def test_new_images_are_matched_whatever_their_partition(connection: Connection) -> None:
    add_images(connection, {"in": 5, "out": 5})
    rules = make_rules(make_rule("r", [5]))
    counts = match(connection, rules, ["in", "not hashed yet"], whole_past=False)
    assert [row[0] for row in stored(connection)] == ["in", "out"]
    assert (counts.rule_hashes, counts.matches, counts.new_matches) == (1, 2, 2)


def test_a_live_run_brings_new_rules_to_the_images_of_its_partition_only(
    connection: Connection,
) -> None:
    add_images(connection, {"in": 5, "out": 5})
    match(connection, make_rules())
    rules = make_rules(make_rule("r", [5]))
    match(connection, rules, ["in"], whole_past=False)
    assert [row[0] for row in stored(connection)] == ["in"]
    # What it left is still there for a backfill.
    match(connection, rules)
    assert [row[0] for row in stored(connection)] == ["in", "out"]


def test_hashes_of_another_algorithm_are_not_compared(connection: Connection) -> None:
    add_images(connection, {"i": 5}, algorithm="difference")
    rules = make_rules(make_rule("narrow", [5]), make_rule("wide", [5], 12))
    assert match(connection, rules, ["i"]).matches == 0


def test_exceptions_are_matched_like_the_hashes_they_except_from(connection: Connection) -> None:
    add_images(connection, {"i": 5})
    rule = make_rule("r", [7], 1, except_hashes=(f"{4:016x}", f"{64:016x}"))
    match(connection, make_rules(rule), ["i"], margin=1)
    assert stored(connection) == [
        ("i", "r", f"{4:016x}", 1),
        ("i", "r", f"{7:016x}", 1),
    ]


def test_a_hash_is_compared_with_the_images_of_its_algorithm(connection: Connection) -> None:
    add_images(connection, {"i": 5})
    add_images(connection, {"i": 9}, algorithm="average-integer")
    older = make_rule("older", [5, 9], 0, algorithm="average-integer")
    match(connection, make_rules(make_rule("r", [5, 9], 0), older), ["i"])
    assert [(row[1], int(row[2], 16)) for row in stored(connection)] == [("older", 9), ("r", 5)]


def test_matching_again_changes_nothing(connection: Connection) -> None:
    rules = make_rules(make_rule("r", [5]))
    add_images(connection, {"i": 5, "j": 7})
    match(connection, rules, ["i", "j"])
    before = connection.execute("FROM rule_matches ORDER BY ALL").fetchall()
    counts = match(connection, rules, ["i", "j"], at=NOON + timedelta(hours=1))
    assert connection.execute("FROM rule_matches ORDER BY ALL").fetchall() == before
    assert counts == MatchCounts(rule_hashes=1)


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
    assert (counts.matches, counts.new_matches) == (1, 1)


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
        "another partition": 1,
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
    connection.execute("DELETE FROM rule_matches; DELETE FROM matched_hashes")
    counts = match(connection, rules, cids, margin=2)
    assert counts.new_matches == counts.matches == len(before) > 0
    assert stored(connection) == before == brute_force(images, rules, margin=2)
