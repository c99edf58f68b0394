"""Rules change, images come, runs are cut off: what is stored is what matching everything finds."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.matching import MatchCounts
from phash_dagster.rules import Rule, RuleSet
from phash_dagster.warehouse import Connection, Warehouse
from tests.matching.builders import (
    ALL_ONES,
    NOON,
    VALUES,
    add_images,
    flip,
    forget_everything,
    make_rule,
    make_rules,
    match,
    stored,
)

pytestmark = pytest.mark.slow

ALGORITHMS = ("average", "average-integer")
Key = tuple[str, str, str, str, int]
"""blob CID, rule id, rule hash, algorithm, distance"""


@dataclass
class World:
    """The rules and images as they are now, beside the database."""

    connection: Connection
    rules: tuple[Rule, ...] = ()
    margin: int = 2
    images: dict[tuple[str, str], int] = field(default_factory=dict)
    names: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    @property
    def ruleset(self) -> RuleSet:
        return make_rules(*self.rules)

    def add(self, values: list[int]) -> None:
        for value in values:
            self.hash(f"image {next(self.names)}", value)

    def hash(self, cid: str, value: int) -> None:
        """Hash an image, or hash it anew; both algorithms nearly agree."""
        for algorithm, found in zip(ALGORITHMS, (value, value ^ 0b101), strict=True):
            self.images[cid, algorithm] = found
            add_images(self.connection, {cid: found}, algorithm=algorithm)

    @property
    def cids(self) -> list[str]:
        return sorted({cid for cid, _ in self.images})

    def expected(self, cids: list[str]) -> list[Key]:
        return sorted(
            (cid, rule.id, rule_hash, algorithm, distance)
            for (cid, algorithm), value in self.images.items()
            for rule in self.rules
            for rule_hash in rule.phashes
            if cid in cids and algorithm == rule.algorithm
            if (distance := (value ^ int(rule_hash, 16)).bit_count())
            <= self.ruleset.threshold(rule) + self.margin
        )

    def in_force(self, cids: list[str]) -> list[Key]:
        """What is stored of these images, by the rules in force and within their reach."""
        reach = {
            (rule.id, rule_hash, rule.algorithm): self.ruleset.threshold(rule) + self.margin
            for rule in self.rules
            for rule_hash in rule.phashes
        }
        rows = self.connection.execute(
            "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, algorithm, distance"
        ).fetchall()
        assert len({row[:4] for row in rows}) == len(rows), "a match is stored twice"
        return sorted(row for row in rows if row[0] in cids and row[4] <= reach.get(row[1:4], -1))


Step = Callable[[World, st.DataObject], None]


def pick(world: World, data: st.DataObject) -> int | None:
    return data.draw(st.integers(0, len(world.rules) - 1)) if world.rules else None


def change(world: World, data: st.DataObject, **fields: object) -> None:
    if (place := pick(world, data)) is not None:
        rules = list(world.rules)
        rules[place] = rules[place].model_copy(update=fields)
        world.rules = tuple(rules)


def new_images(world: World, data: st.DataObject) -> None:
    world.add(data.draw(st.lists(VALUES, min_size=1, max_size=5)))


def hash_anew(world: World, data: st.DataObject) -> None:
    if world.images:
        cid = data.draw(st.sampled_from(world.cids))
        value = world.images[cid, "average"]
        world.hash(cid, flip(value, data.draw(st.lists(st.integers(0, 63), max_size=9))))


def add_rule(world: World, data: st.DataObject) -> None:
    hashes = data.draw(st.lists(VALUES, min_size=1, max_size=3, unique=True))
    rule = make_rule(f"rule-{next(world.names)}", hashes, data.draw(st.integers(0, 9)))
    world.rules = (*world.rules, rule)


def remove_rule(world: World, data: st.DataObject) -> None:
    if (place := pick(world, data)) is not None:
        world.rules = world.rules[:place] + world.rules[place + 1 :]


def duplicate_rule(world: World, data: st.DataObject) -> None:
    if (place := pick(world, data)) is not None:
        twin = world.rules[place].model_copy(update={"id": f"rule-{next(world.names)}"})
        world.rules = (*world.rules, twin)


def rename_rule(world: World, data: st.DataObject) -> None:
    change(world, data, id=f"rule-{next(world.names)}")


def change_threshold(world: World, data: st.DataObject) -> None:
    change(world, data, hamming_threshold=data.draw(st.integers(0, 20)))


def change_hashes(world: World, data: st.DataObject) -> None:
    hashes = data.draw(st.lists(VALUES, max_size=3, unique=True))
    change(world, data, phashes=tuple(f"{value:016x}" for value in hashes))


def change_algorithm(world: World, data: st.DataObject) -> None:
    change(world, data, algorithm=data.draw(st.sampled_from(ALGORITHMS)))


def change_mode(world: World, data: st.DataObject) -> None:
    change(world, data, mode=data.draw(st.sampled_from(["live", "shadow"])))


def reorder(world: World, data: st.DataObject) -> None:
    world.rules = tuple(data.draw(st.permutations(world.rules)))


def no_rules(world: World, data: st.DataObject) -> None:
    world.rules = ()


def change_margin(world: World, data: st.DataObject) -> None:
    world.margin = data.draw(st.integers(0, 4))


CHANGES: list[Step] = [
    new_images,
    new_images,
    hash_anew,
    add_rule,
    add_rule,
    remove_rule,
    duplicate_rule,
    rename_rule,
    change_threshold,
    change_hashes,
    change_algorithm,
    change_mode,
    reorder,
    no_rules,
    change_margin,
]


def live_run(world: World, data: st.DataObject) -> None:
    before = {cid for cid, _ in seen(world)}
    hour = data.draw(st.lists(st.sampled_from(world.cids), unique=True)) if world.images else []
    match(world.connection, world.ruleset, hour, margin=world.margin, whole_past=False)
    complete = [cid for cid in world.cids if cid in hour or cid not in before]
    assert world.in_force(complete) == world.expected(complete)


def seen(world: World) -> list[tuple[str, str]]:
    """The image hashes that some run has matched."""
    return world.connection.execute(
        "FROM image_hashes SELECT blob_cid, algorithm "
        "WHERE hash_number <= (FROM matched_hashes SELECT coalesce(max(last_number), -1))"
    ).fetchall()


def backfill(world: World, data: st.DataObject) -> None:
    match(world.connection, world.ruleset, margin=world.margin)
    assert world.in_force(world.cids) == world.expected(world.cids)
    again = match(world.connection, world.ruleset, margin=world.margin)
    assert again == MatchCounts(rule_hashes=again.rule_hashes)


def part_of_a_backfill(world: World, data: st.DataObject) -> None:
    match(world.connection, world.ruleset, margin=world.margin, seconds=1e-9)


def killed_run(world: World, data: st.DataObject) -> None:
    before = stored(world.connection), seen(world)
    world.connection.begin()
    match(world.connection, world.ruleset, margin=world.margin)
    world.connection.rollback()
    assert (stored(world.connection), seen(world)) == before


RUNS: list[Step] = [live_run, live_run, backfill, part_of_a_backfill, killed_run]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(CHANGES + RUNS), max_size=25), data=st.data())
def test_whatever_changes_what_is_stored_equals_brute_force(
    connection: Connection, steps: list[Step], data: st.DataObject
) -> None:
    forget_everything(connection)
    world = World(connection)
    for step in [*steps, backfill]:
        step(world, data)
        # Nothing wrong is ever stored, by the rules in force, of images that a run has seen.
        known = set(seen(world))
        cids = [cid for cid in world.cids if {(cid, name) for name in ALGORITHMS} <= known]
        assert set(world.in_force(cids)) <= set(world.expected(cids))
    before = world.in_force(world.cids)
    connection.execute("DELETE FROM rule_matches; DELETE FROM matched_hashes")
    match(connection, world.ruleset, margin=world.margin)
    assert world.in_force(world.cids) == before


@pytest.fixture
def world(connection: Connection) -> World:
    return World(connection)


def joined(world: World) -> MatchCounts:
    """What a backfill finds to do."""
    counts = match(world.connection, world.ruleset, margin=world.margin)
    assert world.in_force(world.cids) == world.expected(world.cids)
    return replace(counts, rule_hashes=0)


NOTHING = MatchCounts()


def test_only_what_was_added_or_loosened_is_joined(world: World) -> None:
    world.add([0b0, 0b1, 0b1111111])
    world.rules = (make_rule("a", [0], 3), make_rule("b", [ALL_ONES], 3))
    joined(world)
    other, tightened = world.rules[1], make_rule("a", [0], 1)
    for nothing_new in (
        (make_rule("a", [0], 3, mode="shadow"), other),
        (other, make_rule("a", [0], 3)),
        (other, tightened),
        (other,),
        (),
    ):
        world.rules = nothing_new
        assert joined(world) == NOTHING
    world.rules = (make_rule("a", [0], 3),)
    assert joined(world).new_matches == 0
    world.rules = (make_rule("a", [0], 5),)
    assert joined(world).new_matches == 1


def test_a_wider_margin_is_brought_to_the_past(world: World) -> None:
    world.add([0b1111])
    world.rules, world.margin = (make_rule("a", [0], 3),), 0
    assert joined(world).new_matches == 0
    world.margin = 1
    assert joined(world).new_matches == 1


def test_two_changes_in_quick_succession_lose_neither(world: World) -> None:
    world.add([1, 2, 3])
    world.rules = (make_rule("a", [1], 0),)
    joined(world)
    world.rules = (*world.rules, make_rule("b", [2], 0))
    match(world.connection, world.ruleset, ["image 0"], margin=2, whole_past=False)
    world.rules = (*world.rules, make_rule("c", [3], 0))
    joined(world)


def test_a_backfill_that_ends_early_is_gone_on_with(world: World) -> None:
    world.add(list(range(50)))
    world.rules = (make_rule("a", [0], 2),)
    runs = 0
    while True:
        counts = match(world.connection, world.ruleset, margin=2, keys=["hour"], seconds=0.001)
        runs += 1
        noted = world.connection.execute("FROM partition_matches").fetchall()
        assert bool(noted) == counts.complete
        if counts.complete:
            break
    assert runs > 1
    assert world.in_force(world.cids) == world.expected(world.cids)
    [(spans,)] = world.connection.execute("FROM matched_hashes SELECT count(*)").fetchall()
    assert spans == 1


def test_new_images_are_matched_while_a_backfill_goes_on(world: World) -> None:
    world.add(list(range(30)))
    joined(world)
    world.rules = (make_rule("a", [0], 2),)
    assert not match(world.connection, world.ruleset, margin=2, seconds=0.001).complete
    world.add([1])
    newest = [world.cids[-1]]
    match(world.connection, world.ruleset, newest, margin=2, whole_past=False)
    assert world.in_force(newest) == world.expected(newest)
    joined(world)


def test_a_rule_that_changes_its_algorithm_forgets_nothing(world: World) -> None:
    world.add([0, 1, 0b111])
    average = make_rule("a", [0], 1)
    world.rules, world.margin = (average,), 0
    joined(world)
    world.rules = (make_rule("a", [0], 1, algorithm="average-integer"),)
    match(world.connection, world.ruleset, ["image 0"], whole_past=False)
    world.rules = (average,)
    assert joined(world) == NOTHING


def test_a_match_by_one_algorithm_does_not_stand_for_one_by_another(world: World) -> None:
    world.add([0])
    for algorithm in ALGORITHMS:
        world.rules = (make_rule("a", [0], 2, algorithm=algorithm),)
        assert joined(world).new_matches == 1


def test_a_hash_that_the_pipeline_replaces_is_matched_again(world: World) -> None:
    def save(value: int) -> None:
        result = ImageResult(
            ImageReference("image", "did:plc:a", None),
            Outcome.hashed,
            source="cdn",
            width=8,
            height=8,
            format="jpeg",
            hashes=(ImageHash("average", value, 100, "average-1"),),
        )
        save_results(world.connection, [result], now=NOON)

    rules = make_rules(make_rule("a", [0], 1))
    save(ALL_ONES)
    assert match(world.connection, rules).matches == 0
    save(0)
    assert match(world.connection, rules).matches == 1


def _write_and_die(path: Path) -> None:
    with Warehouse(path).write() as connection:
        add_images(connection, {"a": 1, "b": 2})
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_the_numbers_of_hashes_go_on_after_a_killed_process(tmp_path: Path) -> None:
    """A number that is given twice would hide an image from the matching."""
    path, largest = tmp_path / "warehouse.duckdb", 0
    for _ in range(3):
        process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with Warehouse(path).read() as connection:
            numbers = connection.execute(
                "FROM image_hashes SELECT hash_number ORDER BY hash_number"
            ).fetchall()
        assert len(set(numbers)) == 2
        assert numbers[0][0] > largest
        largest = numbers[1][0]
