"""Rule files change, and the real jobs, assets and sensors bring the change to the past."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.clock import utc_now
from tests.defs.small_stack import Files, SmallStack
from tests.matching.builders import flip

pytestmark = pytest.mark.slow

TROLL, OTHER, THIRD = 0x07870707A1B2C3D4, 0x123456789ABCDEF0, 0xF0E1D2C3B4A59687
FLAGS = {"reportAcct": False, "labelAcct": False, "reportPost": False, "toLabel": True}


def entry(label: str, value: int, **fields: object) -> dict[str, object]:
    given = {"label": label, "phashes": [f"{value:016x}"], "comment": "x"}
    return {**FLAGS, **given, "backfill": "same", **fields}


NAMED = entry("troll", TROLL, id="named", hammingThreshold=2)
UNNAMED = entry("other", OTHER)
BEFORE: Files = {"a.json": [NAMED, UNNAMED]}

CHANGES: dict[str, tuple[Files, bool]] = {
    "add a rule": ({"a.json": [NAMED, UNNAMED, entry("third", THIRD)]}, True),
    "add a file": ({"a.json": [NAMED, UNNAMED], "b.json": [entry("third", THIRD)]}, True),
    "add a hash": (
        {"a.json": [{**NAMED, "phashes": [f"{TROLL:016x}", f"{THIRD:016x}"]}, UNNAMED]},
        True,
    ),
    "remove a rule": ({"a.json": [UNNAMED]}, False),
    "reorder": ({"a.json": [UNNAMED, NAMED]}, False),
    "loosen": ({"a.json": [{**NAMED, "hammingThreshold": 5}, UNNAMED]}, True),
    "tighten": ({"a.json": [{**NAMED, "hammingThreshold": 1}, UNNAMED]}, False),
    "rename by the id": ({"a.json": [{**NAMED, "id": "renamed"}, UNNAMED]}, True),
    "another label under an id": ({"a.json": [{**NAMED, "label": "bully"}, UNNAMED]}, False),
    "another label without an id": ({"a.json": [NAMED, {**UNNAMED, "label": "bully"}]}, True),
    "duplicate": ({"a.json": [NAMED, UNNAMED], "b.json": [UNNAMED]}, True),
    "move to another file": ({"a.json": [NAMED], "b.json": [UNNAMED]}, False),
    "move to an earlier file": ({"a.json": [UNNAMED], "b.json": [NAMED]}, False),
    "an exception": (
        {"a.json": [{**NAMED, "exceptHashes": [f"{flip(TROLL, [1, 2]):016x}"]}, UNNAMED]},
        True,
    ),
    "shadow": ({"a.json": [{**NAMED, "mode": "shadow"}, UNNAMED]}, False),
    "no rules": ({"a.json": []}, False),
}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallStack]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield SmallStack(instance, tmp_path, monkeypatch)


def post_past(stack: SmallStack, *, apart: timedelta = timedelta(hours=1)) -> list[str]:
    """Three hours with images at each distance up to 9 bits of three hashes; their keys."""
    start = utc_now() - timedelta(days=1)
    return sorted(
        stack.post(
            start - number * apart,
            [flip(value, range(number, 30, 3)[:bits]) for bits in range(10)],
        )
        for number, value in enumerate((TROLL, OTHER, THIRD))
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_files_reaches_the_past(stack: SmallStack, change: str) -> None:
    hours = post_past(stack)
    stack.write(BEFORE)
    assert stack.load()
    assert stack.rematch() == 1
    before, planned = stack.stored(), stack.actions()
    assert stack.in_force() == stack.expected()

    after, joins = CHANGES[change]
    version = stack.rules.version
    stack.write(after)
    assert stack.load()
    # The names of files, and where one ends, mean nothing; their order does.
    changed = stack.rules.version != version
    assert stack.stale(hours) == (hours if changed else [])
    assert stack.rematch() == changed
    assert stack.stale(hours) == []
    assert stack.rematch() == 0

    assert stack.in_force() == stack.expected()
    assert stack.stored() >= before, "history was lost"
    assert (sum(stack.joined[1:]) > 0) == joins
    rows = stack.actions()
    assert {row.external_id for row in rows} >= {row.external_id for row in planned}
    assert {row.lane for row in rows} == {"backfill"}
    once = {(row.subject, row.event, row.value) for row in rows}
    assert len(once) == len(rows), "an action is recorded twice"

    with stack.warehouse.write() as connection:
        connection.execute(
            "DELETE FROM rule_matches; DELETE FROM matched_hashes; DELETE FROM partition_matches"
        )
    assert stack.rematch() == 1
    assert stack.in_force() == stack.expected(), "rebuilding gives other rows"


def test_two_changes_in_quick_succession_both_reach_every_week(stack: SmallStack) -> None:
    """The second comes when the first has reached the latest week only."""
    hours = post_past(stack, apart=timedelta(days=8))
    stack.write(BEFORE)
    stack.load()
    assert stack.rematch() == 3
    stack.write({**BEFORE, "b.json": [entry("third", THIRD)]})
    stack.load()
    assert stack.rematch_once()
    assert stack.stale(hours) == hours[:2]
    stack.write({**BEFORE, "b.json": [entry("third", THIRD, hammingThreshold=6)]})
    stack.load()
    assert stack.rematch() == 3
    assert stack.stale(hours) == []
    assert stack.in_force() == stack.expected()
    assert {row.value for row in stack.actions()} == {"troll", "other", "third"}


def test_an_empty_folder_leaves_the_rules_and_the_past_alone(stack: SmallStack) -> None:
    hours = post_past(stack)
    stack.write(BEFORE)
    stack.load()
    stack.rematch()
    before, version = stack.stored(), stack.rules.version
    stack.write({})
    assert not stack.load()
    assert stack.rules.version == version
    assert stack.stale(hours) == []
    assert stack.rematch() == 0
    assert stack.stored() == before
    stack.write(BEFORE)
    assert stack.load()
    assert stack.rematch() == 0


def test_actions_follow_where_a_person_has_launched_the_matching_alone(stack: SmallStack) -> None:
    first, *_, last = post_past(stack)
    stack.write(BEFORE)
    stack.load()
    assert stack.materialize("rule_matches", first, last).success
    assert stack.in_force() == stack.expected()
    assert stack.actions() == []
    assert stack.rematch() == 1
    assert stack.joined == [0]
    assert {row.value for row in stack.actions()} == {"troll", "other"}
