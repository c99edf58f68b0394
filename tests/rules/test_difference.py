"""What differs between two rule sets, and what of it must be matched with the past."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.rules import Rule, RuleHash, RuleSet, SetAside, difference, hashes_to_match
from tests.rules.rule_files import load_rules, rule, write

A, B, C = "0f1e2d3c4b5a6978", "e7c3a58d1b3c7e42", "1f0d4b6ad2f0b8c4"


def entry(rule_id: str, *hashes: str, **changes: Any) -> Rule:
    return Rule.model_validate(rule(id=rule_id, phashes=list(hashes or (A,)), **changes))


def rules(*members: Rule) -> RuleSet:
    return RuleSet.of(members, default_threshold=3)


def lines(old: RuleSet | None, new: RuleSet) -> list[str]:
    return [str(change) for change in difference(old, new)]


def test_equal_rules_do_not_differ() -> None:
    assert difference(rules(entry("r")), rules(entry("r", description="other"))) == ()


def test_the_first_rules_are_all_added() -> None:
    assert lines(None, rules(entry("r", A, B))) == [f"r: rule added: label troll, live; {A}, {B}"]


def test_rules_are_added_and_removed() -> None:
    assert lines(rules(entry("a", A)), rules(entry("b", B))) == [
        f"b: rule added: label troll, live; {B}",
        f"a: rule removed: {A}",
    ]


def test_many_hashes_are_counted() -> None:
    many = [f"{number:016x}" for number in range(10)]
    [line] = lines(rules(entry("r")), rules(entry("r", A, *many)))
    assert line.startswith("r: hashes added: 0000000000000000, ")
    assert line.endswith("… (10 in all)")


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({}, {"exceptHashes": [B]}, f"r: exceptions added: {B}"),
        ({"exceptHashes": [B]}, {}, f"r: exceptions removed: {B}"),
        ({"hammingThreshold": 3}, {"hammingThreshold": 5}, "r: loosened: threshold 3 → 5"),
        ({"hammingThreshold": 3}, {"hammingThreshold": 0}, "r: tightened: threshold 3 → 0"),
        ({}, {"mode": "shadow"}, "r: mode changed: live → shadow"),
        ({}, {"label": "spam"}, "r: field changed: label: troll → spam"),
        ({}, {"takedownAcct": True}, "r: field changed: takedownAcct: False → True"),
        ({}, {"allow": ["flat-hash"]}, "r: field changed: allow: () → ('flat-hash',)"),
    ],
)
def test_edits_of_a_rule_say_from_what_to_what(
    before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    assert lines(rules(entry("r", **before)), rules(entry("r", **after))) == [line]


def test_a_threshold_that_comes_from_the_default_counts() -> None:
    old, new = (
        RuleSet.of((entry("r", hammingThreshold=None),), default_threshold=bits) for bits in (3, 4)
    )
    assert lines(old, new) == ["r: loosened: threshold 3 → 4"]


def test_a_rule_with_the_same_hashes_and_another_id_was_renamed() -> None:
    old, new = rules(entry("old", A, B)), rules(entry("new", B, A, label="spam"))
    assert lines(old, new) == [
        "new: rule renamed: was old",
        "new: field changed: label: troll → spam",
    ]


def test_only_the_rules_that_changed_their_place_moved() -> None:
    before = rules(*(entry(name) for name in "abcde"))
    after = rules(*(entry(name) for name in "eabcd"))
    assert lines(before, after) == ["e: rule moved"]
    assert lines(before, rules(entry("x", B), *before.rules)) == [
        f"x: rule added: label troll, live; {B}"
    ]


@given(st.permutations("abcdefg"))
def test_what_moved_explains_the_new_order(order: list[str]) -> None:
    before = rules(*(entry(name) for name in "abcdefg"))
    after = rules(*(entry(name) for name in order))
    moved = {change.rule_id for change in difference(before, after)}
    stayed = [name for name in order if name not in moved]
    assert stayed == sorted(stayed)
    assert bool(moved) is (order != sorted(order))


def test_a_rule_that_moves_to_another_file_is_the_same_rule(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [rule(phashes=[A]), rule(phashes=[B], label="other")])
    before = load_rules(tmp_path)
    write(tmp_path, "a.json", [rule(phashes=[A])])
    write(tmp_path, "b.json", [rule(phashes=[B], label="other")])
    assert difference(before, load_rules(tmp_path)) == ()
    write(tmp_path, "0.json", [rule(phashes=[B], label="other")])
    (tmp_path / "b.json").unlink()
    [change] = difference(before, load_rules(tmp_path))
    assert change.kind == "rule moved"


def test_hashes_that_are_set_aside_and_come_back_are_told() -> None:
    plain = rules(entry("r", A, B))
    aside = replace(plain, set_aside=(SetAside("r", B, "flat-hash"),))
    assert lines(plain, aside) == [f"r: set aside: flat-hash; {B}"]
    assert lines(aside, plain) == [f"r: no longer set aside: {B}"]
    assert lines(aside, aside) == []
    both = replace(plain, set_aside=(*aside.set_aside, SetAside("r", A, "x, flat-hash")))
    assert lines(plain, both) == [f"r: set aside: x, flat-hash; {A}, {B}"]
    assert lines(None, aside)[1:] == [f"r: set aside: flat-hash; {B}"]


def to_match(old: RuleSet | None, new: RuleSet, margin: int = 2, **options: int) -> list[str]:
    return [each.rule_hash for each in hashes_to_match(old, new, margin, **options)]


def test_all_hashes_are_matched_at_first() -> None:
    assert to_match(None, rules(entry("r", A, exceptHashes=[B]))) == [A, B]


def test_added_hashes_and_exceptions_are_matched_alone() -> None:
    old, new = rules(entry("r", A)), rules(entry("r", A, B, exceptHashes=[C]))
    assert hashes_to_match(old, new, 2) == (RuleHash("r", B), RuleHash("r", C))


@pytest.mark.parametrize(("bits", "matched"), [(1, []), (2, []), (3, [A])])
def test_a_hash_is_matched_again_only_if_it_reaches_further(bits: int, matched: list[str]) -> None:
    old, new = rules(entry("r", hammingThreshold=2)), rules(entry("r", hammingThreshold=bits))
    assert to_match(old, new) == matched


def test_a_larger_margin_reaches_further_too() -> None:
    same = rules(entry("r"))
    assert to_match(same, same, 3, old_margin=2) == [A]
    assert to_match(same, same, 2, old_margin=3) == []


@pytest.mark.parametrize("changes", [{"label": "other"}, {"mode": "shadow"}, {"toLabel": False}])
def test_what_a_rule_does_needs_no_matching(changes: dict[str, Any]) -> None:
    assert to_match(rules(entry("r")), rules(entry("r", **changes))) == []


def test_removed_and_moved_rules_need_no_matching() -> None:
    old = rules(entry("a", A), entry("b", B), entry("c", C))
    assert to_match(old, rules(entry("c", C), entry("a", A))) == []


def test_a_renamed_rule_is_matched_again_since_matches_name_the_rule() -> None:
    assert to_match(rules(entry("old")), rules(entry("new"))) == [A]


def test_another_algorithm_makes_another_hash_of_it() -> None:
    assert to_match(rules(entry("r")), rules(entry("r", algorithm="average-integer"))) == [A]


HASHES = st.sampled_from([A, B, C])
SETS = st.lists(
    st.tuples(st.sampled_from("rst"), st.sets(HASHES, min_size=1), st.integers(0, 6)),
    max_size=3,
    unique_by=lambda drawn: drawn[0],
).map(lambda drawn: rules(*(entry(i, *sorted(h), hammingThreshold=t) for i, h, t in drawn)))


@given(st.lists(SETS, min_size=1, max_size=5), st.integers(0, 3))
def test_matching_only_the_difference_stores_all_matches(
    versions: list[RuleSet], margin: int
) -> None:
    """Stored reach of each hash: through any history it is at least what the last version needs."""
    stored: dict[RuleHash, int] = {}
    before: RuleSet | None = None
    for version in versions:
        for each in hashes_to_match(before, version, margin):
            reach = version.threshold(version.rule(each.rule_id)) + margin
            stored[each] = max(reach, stored.get(each, 0))
        before = version
    for one in versions[-1].rules:
        for text in one.phashes:
            assert stored[RuleHash(one.id, text)] >= versions[-1].threshold(one) + margin
