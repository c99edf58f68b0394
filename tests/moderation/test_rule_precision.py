"""How often rules were right, counted from what people did about their actions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.mirror import save_actions
from phash_dagster.moderation.precision import rule_precision
from phash_dagster.warehouse import Connection, Warehouse
from tests.moderation.builders import HASH, NOW, action_on_account, action_on_post

Outcome = tuple[str, str]
"""What happened, and of which kind was who brought it about."""

NEGATED, UNDONE = ("label_negated", "people"), ("label_negated", "pipeline")
CONFIRMED, ENDED = ("label_confirmed", "people"), ("label_negated", "schedule")
APPEALED, RESOLVED = ("appealed", "people"), ("appeal_resolved", "people")


def rows(folder: Path, *stories: Sequence[Outcome], **fields: Any) -> list[dict[str, Any]]:
    """The view over actions with these outcomes, one after the other."""
    actions = [
        action_on_post(f"3k{number}", **{**SENT, **fields, "action_id": number})
        for number, _ in enumerate(stories, start=1)
    ]
    with Warehouse(folder / "warehouse.duckdb").write() as connection:
        return view(connection, actions, stories)


SENT: dict[str, Any] = {"state": State.SENT, "sent_at": NOW, "updated_at": NOW}


def view(
    connection: Connection, actions: Sequence[Action], stories: Sequence[Sequence[Outcome]]
) -> list[dict[str, Any]]:
    connection.execute("DELETE FROM moderation_actions")
    connection.execute("DELETE FROM action_outcomes")
    save_actions(connection, actions)
    events = iter(range(1, 10_000))
    for action, story in zip(actions, stories, strict=True):
        for outcome, kind in story:
            connection.execute(
                "INSERT INTO action_outcomes VALUES ($1, $2, $3, 'did:plc:m', $4, $5, NULL)",
                [action.action_id, next(events), outcome, kind, NOW],
            )
    return [row._asdict() for row in rule_precision(connection)]


def test_what_nobody_took_back_counts_as_right(tmp_path: Path) -> None:
    [row] = rows(tmp_path, [], [APPEALED, RESOLVED], [CONFIRMED], [ENDED])
    assert (row["rule_id"], row["rule_hash"], row["distance"]) == ("rule-1", HASH, 2)
    assert (row["actions"], row["reversed_by_people"], row["undone"]) == (4, 0, 0)
    assert (row["appealed"], row["appeals_upheld"], row["precision"]) == (1, 0, 1.0)


def test_what_people_took_back_or_an_undo_did_was_wrong(tmp_path: Path) -> None:
    [row] = rows(tmp_path, [], [], [NEGATED], [UNDONE])
    assert (row["reversed_by_people"], row["undone"], row["precision"]) == (1, 1, 0.5)
    assert (row["first_sent"], row["last_sent"]) == (NOW, NOW)


@pytest.mark.parametrize(
    ("story", "reversed_by_people", "undone"),
    [
        ([NEGATED, CONFIRMED], 0, 0),
        ([NEGATED, CONFIRMED, NEGATED], 1, 0),
        ([CONFIRMED, UNDONE], 0, 1),
        ([UNDONE, NEGATED], 1, 0),
        ([NEGATED, APPEALED, RESOLVED], 1, 0),
        ([NEGATED, ENDED], 1, 0),
    ],
)
def test_the_last_word_counts(
    tmp_path: Path, story: Sequence[Outcome], reversed_by_people: int, undone: int
) -> None:
    [row] = rows(tmp_path, story)
    assert (row["reversed_by_people"], row["undone"]) == (reversed_by_people, undone)


@pytest.mark.parametrize(
    ("story", "upheld"),
    [([APPEALED, NEGATED], 1), ([NEGATED, APPEALED], 0), ([APPEALED, UNDONE], 0)],
)
def test_an_appeal_is_upheld_by_a_person_who_takes_the_label_back_after_it(
    tmp_path: Path, story: Sequence[Outcome], upheld: int
) -> None:
    [row] = rows(tmp_path, story)
    assert (row["appealed"], row["appeals_upheld"]) == (1, upheld)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.SHADOW, "mode": "shadow"},
        {"state": State.HELD},
        {"state": State.FAILED},
        {"event": Event.REPORT},
        {"event": Event.COMMENT},
        {"undoes": 7, "event": Event.NEGATE_LABEL},
    ],
)
def test_what_put_no_label_is_not_counted(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert rows(tmp_path, [], **fields) == []


def test_hashes_and_distances_are_counted_apart(tmp_path: Path) -> None:
    with Warehouse(tmp_path / "warehouse.duckdb").write() as connection:
        found = view(
            connection,
            [
                action_on_post("1", **SENT, action_id=1),
                action_on_post("2", **SENT, action_id=2, distance=0),
                action_on_post("3", **SENT, action_id=3, rule_hash="f" * 16),
                action_on_account(**SENT, action_id=4),
            ],
            [[NEGATED], [], [], [NEGATED]],
        )
    assert {(row["rule_hash"], row["distance"]): row["precision"] for row in found} == {
        (HASH, 2): 0.0,
        (HASH, 0): 1.0,
        ("f" * 16, 2): 1.0,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples: making a database takes longer than asking it."""
    return tmp_path_factory.mktemp("precision")


@settings(max_examples=20)
@given(right=st.integers(0, 12), wrong=st.integers(0, 12))
def test_the_bounds_are_those_shares_from_which_the_count_is_196_deviations_away(
    folder: Path, right: int, wrong: int
) -> None:
    stories: list[list[Outcome]] = [[]] * right + [[NEGATED]] * wrong
    found = rows(folder, *stories)
    if not stories:
        assert found == []
        return
    [row] = found
    count, share = right + wrong, row["precision"]
    assert share == pytest.approx(right / count)
    assert 0 <= row["precision_low"] <= share <= row["precision_high"] <= 1
    for bound in (row["precision_low"], row["precision_high"]):
        deviations = 1.959964**2 * bound * (1 - bound) / count
        assert (share - bound) ** 2 == pytest.approx(deviations, abs=1e-9)
