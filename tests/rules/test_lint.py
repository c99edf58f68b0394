"""What is dangerous in rules, what is set aside for it, and what a rule may allow."""

from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import Danger, LoadedRules, load_folder
from phash_dagster.rules.shapes import bit_changes
from tests.rules.rule_files import NOON, pretend_algorithms, rule, write

PLAIN = "0f1e2d3c4b5a6978"
"""A hash with nothing wrong about it."""
NEAR = "0f1e2d3c4b5a697b"
"""2 bits from it."""
FAR = "e7c3a58d1b3c7e42"


def entry(*hashes: str, **changes: Any) -> dict[str, Any]:
    return rule(phashes=list(hashes or (PLAIN,)), hammingThreshold=3, ignoreDID=[], **changes)


def lint(folder: Path, *rules: dict[str, Any], default_threshold: int = 3) -> LoadedRules:
    write(folder, "blobs.json", list(rules))
    return load_folder(folder, default_threshold, NOON)


def only_danger(folder: Path, *rules: dict[str, Any]) -> Danger:
    [danger] = lint(folder, *rules).dangers
    return danger


def set_aside(loaded: LoadedRules) -> list[tuple[str, str, str]]:
    return [(each.rule_id, each.rule_hash, each.reason) for each in loaded.ruleset.set_aside]


def test_the_predecessors_example_has_no_danger(tmp_path: Path) -> None:
    loaded = lint(tmp_path, rule())
    assert (loaded.dangers, loaded.ruleset.set_aside) == ((), ())


@pytest.mark.parametrize(
    "flat", ["ffffffffffffffff", "0000000000000000", "fffffffffffffff0", "0100800000000801"]
)
def test_a_flat_hash_is_set_aside_alone(tmp_path: Path, flat: str) -> None:
    loaded = lint(tmp_path, entry(PLAIN, flat, id="r"))
    assert [danger.name for danger in loaded.dangers] == ["flat-hash"]
    assert set_aside(loaded) == [("r", flat, "flat-hash")]


@pytest.mark.parametrize("hash_text", ["ffffff7fffeffff0"[:15] + "0", "0100800040000801"])
def test_a_hash_with_five_odd_bits_is_not_flat(tmp_path: Path, hash_text: str) -> None:
    value = int(hash_text, 16)
    assert min(value.bit_count(), 64 - value.bit_count()) >= 5
    assert "flat-hash" not in {danger.name for danger in lint(tmp_path, entry(hash_text)).dangers}


@pytest.mark.parametrize(
    "stripes",
    [
        "f0f0f0f0f0f0f0f0",  # columns
        "00000000ffffffff",  # light above dark
        "ff00ff00ff00ff00",  # rows
        "0f0f0f0f0f0f0f1f",  # light beside dark, one cell odd
    ],
)
def test_stripes_and_splits_are_set_aside(tmp_path: Path, stripes: str) -> None:
    danger = only_danger(tmp_path, entry(PLAIN, stripes))
    assert (danger.name, danger.rule_hash) == ("striped-hash", stripes)


def test_a_split_with_two_odd_cells_may_act(tmp_path: Path) -> None:
    assert bit_changes(0x0F0F1F0F0F0F0F1F) == 3
    assert lint(tmp_path, entry("0f0f1f0f0f0f0f1f")).dangers == ()


def test_a_hash_that_a_rule_before_has_too_is_set_aside_in_the_later(tmp_path: Path) -> None:
    danger = only_danger(tmp_path, entry(FAR, PLAIN, id="a"), entry(PLAIN, id="b"))
    assert (danger.name, danger.rule_id, danger.rule_hash) == ("duplicate-hash", "b", PLAIN)
    assert '"a" (blobs.json, rule 1)' in danger.found


@pytest.mark.parametrize(
    "earlier",
    [{"hammingThreshold": 2}, {"ignoreDID": ["did:web:example.org"]}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_later_rule_that_can_still_win_is_no_duplicate(
    tmp_path: Path, earlier: dict[str, Any]
) -> None:
    assert lint(tmp_path, entry(id="a") | earlier, entry(id="b")).dangers == ()


def test_hashes_of_one_rule_may_be_near_each_other(tmp_path: Path) -> None:
    assert lint(tmp_path, entry(PLAIN, NEAR)).dangers == ()


def test_hashes_of_rules_that_do_the_same_may_be_near_each_other(tmp_path: Path) -> None:
    assert lint(tmp_path, entry(PLAIN, id="a"), entry(NEAR, id="b", comment="other")).dangers == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "other"},
        {"takedownPost": True},
        {"reportAcct": True},
        {"reportReason": "com.atproto.moderation.defs#reasonOther"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_of_near_hashes_of_rules_that_do_not_the_later_is_set_aside(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    danger = only_danger(tmp_path, entry(PLAIN, id="a"), entry(NEAR, FAR, id="b") | changes)
    assert (danger.name, danger.rule_id, danger.rule_hash) == ("colliding-hash", "b", NEAR)
    assert f"2 bits from {PLAIN}" in danger.found


def test_the_larger_threshold_of_two_rules_decides_whether_hashes_collide(tmp_path: Path) -> None:
    narrow, wide = {"hammingThreshold": 1}, {"hammingThreshold": 2}
    first, second = entry(PLAIN), entry(NEAR, label="other")
    assert lint(tmp_path, first | narrow, second | narrow).dangers == ()
    assert len(lint(tmp_path, first | narrow, second | wide).dangers) == 1
    assert len(lint(tmp_path, first | wide, second | narrow).dangers) == 1


def test_a_rule_in_shadow_sets_no_live_hash_aside_even_if_it_comes_first(tmp_path: Path) -> None:
    loaded = lint(tmp_path, entry(PLAIN, id="tried", mode="shadow"), entry(NEAR, id="live"))
    assert set_aside(loaded) == [("tried", PLAIN, "colliding-hash")]
    loaded = lint(tmp_path, entry(PLAIN, id="tried", mode="shadow"), entry(PLAIN, id="live"))
    assert set_aside(loaded) == [("tried", PLAIN, "duplicate-hash")]


def test_a_threshold_too_wide_sets_the_whole_rule_aside(tmp_path: Path) -> None:
    loaded = lint(tmp_path, entry(PLAIN, FAR, id="r") | {"hammingThreshold": 9})
    assert [danger.field for danger in loaded.dangers] == ["hammingThreshold"]
    assert [text for _, text, _ in set_aside(loaded)] == [PLAIN, FAR]
    assert lint(tmp_path, entry() | {"hammingThreshold": 8}).dangers == ()


def test_a_default_threshold_too_wide_counts_for_the_rules_that_rely_on_it(tmp_path: Path) -> None:
    relying = rule("hammingThreshold", id="relying")
    loaded = lint(tmp_path, relying, entry(FAR, id="own"), default_threshold=12)
    assert [danger.rule_id for danger in loaded.dangers] == ["relying"]


@pytest.mark.parametrize("label", ["!takedown", "!hide", "!warn", "!no-unauthenticated"])
def test_labels_that_apps_obey_by_themselves_set_the_rule_aside(tmp_path: Path, label: str) -> None:
    danger = only_danger(tmp_path, entry(label=label))
    assert (danger.name, danger.field, danger.rule_hash) == ("system-label", "label", None)


def test_a_hash_set_aside_for_itself_sets_no_other_aside(tmp_path: Path) -> None:
    wide = entry(PLAIN, id="wide") | {"hammingThreshold": 30}
    loaded = lint(tmp_path, wide, entry(NEAR, id="b", label="other"), entry(PLAIN, id="c"))
    assert {rule_id for rule_id, _, _ in set_aside(loaded)} == {"wide", "c"}
    assert {danger.name for danger in loaded.dangers} == {"wide-threshold", "colliding-hash"}


def test_all_reasons_of_a_hash_are_named(tmp_path: Path) -> None:
    loaded = lint(tmp_path, entry("f" * 16, label="!hide", id="r") | {"hammingThreshold": 64})
    assert set_aside(loaded) == [("r", "f" * 16, "system-label, wide-threshold, flat-hash")]


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("flat-hash", [entry("f" * 16)]),
        ("striped-hash", [entry("f0" * 8)]),
        ("duplicate-hash", [entry(), entry()]),
        ("duplicate-hash", [entry(), entry(label="other")]),
        ("colliding-hash", [entry(), entry(NEAR, label="other")]),
        ("wide-threshold", [entry() | {"hammingThreshold": 20}]),
        ("system-label", [entry(label="!warn")]),
    ],
)
def test_what_a_rule_allows_sets_nothing_aside(
    tmp_path: Path, name: str, rules: list[dict[str, Any]]
) -> None:
    assert [danger.name for danger in lint(tmp_path, *rules).dangers] == [name]
    loaded = lint(tmp_path, *rules[:-1], rules[-1] | {"allow": [name]})
    assert (loaded.dangers, loaded.ruleset.set_aside) == ((), ())


def test_an_allowance_covers_no_other_danger(tmp_path: Path) -> None:
    assert len(lint(tmp_path, entry("f" * 16, allow=["striped-hash"])).dangers) == 1


def test_a_danger_is_one_line_with_file_rule_field_and_remedy(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [entry(FAR)])
    loaded = lint(tmp_path, entry(), entry("f" * 16))
    [line] = map(str, loaded.dangers)
    assert line == (
        "blobs.json, rule 2, phashes: flat-hash: ffffffffffffffff has 64 of 64 bits set, like any "
        "plain picture; remove it and hash another picture, one that shows more, or write "
        '"allow": ["flat-hash"] if it is meant'
    )


def test_dangers_stand_in_the_order_of_the_rules(tmp_path: Path) -> None:
    flat = entry("0" * 16)
    loaded = lint(tmp_path, entry(), flat, entry(NEAR, label="other"), flat | {"label": "!hide"})
    assert [danger.place.index for danger in loaded.dangers] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("expires", "expired"),
    [
        ("2026-11-22", True),
        ("2026-11-23", False),
        ("2026-11-23T12:00:00Z", True),
        ("2026-11-23T12:00:00.5z", False),
        ("2026-11-23T13:00:00+01:00", True),
        ("2026-11-23T12:00:00-00:30", False),
        (None, False),
    ],
)
def test_a_rule_ends_with_its_day_or_at_its_time(
    tmp_path: Path, expires: str | None, expired: bool
) -> None:
    dangers = lint(tmp_path, entry(expires=expires)).dangers
    assert [danger.name for danger in dangers] == (["expired"] if expired else [])


def test_a_rule_that_has_expired_keeps_no_later_one_from_acting(tmp_path: Path) -> None:
    over = entry(id="over", expires="2026-11-01")
    loaded = lint(tmp_path, over, entry(id="same"), entry(NEAR, id="near", label="other"))
    assert {rule_id for rule_id, _, _ in set_aside(loaded)} == {"over", "near"}
    assert "same" in loaded.dangers[-1].found


@pytest.mark.parametrize(
    "earlier",
    [{"expires": "2027-01-01"}, {"exceptHashes": [FAR]}, {"algorithm": "average-integer"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_rule_that_will_end_or_leaves_images_alone_does_not_take_all(
    tmp_path: Path, earlier: dict[str, Any]
) -> None:
    assert lint(tmp_path, entry() | earlier, entry()).dangers == ()


def test_hashes_of_different_algorithms_cannot_collide(tmp_path: Path) -> None:
    other = entry(NEAR, label="other", algorithm="average-integer")
    assert lint(tmp_path, entry(), other).dangers == ()


def test_stripes_are_known_on_the_grid_of_the_average_hash_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_algorithms(monkeypatch, gradient=64)
    assert lint(tmp_path, entry("f0" * 8, algorithm="gradient")).dangers == ()
    assert len(lint(tmp_path, entry("f0" * 8)).dangers) == 1


@pytest.mark.parametrize(("algorithm", "widest"), [("pdq", 31), ("wide", 32)])
def test_wide_hashes_are_judged_by_their_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, widest: int
) -> None:
    pretend_algorithms(monkeypatch, pdq=256, wide=256)
    one, other = "0123456789abcdef" * 4, "0123456789abcde0" * 4
    first = entry(one, algorithm=algorithm) | {"hammingThreshold": widest}
    second = entry(other, algorithm=algorithm, label="other") | {"hammingThreshold": 3}
    flat = entry("f" * 60 + "0000", algorithm=algorithm)
    assert [danger.name for danger in lint(tmp_path, first, second, flat).dangers] == [
        "colliding-hash",
        "flat-hash",
    ]
    wider = first | {"hammingThreshold": widest + 1}
    assert [danger.name for danger in lint(tmp_path, wider).dangers] == ["wide-threshold"]
