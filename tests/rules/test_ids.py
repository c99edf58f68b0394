"""Ids of rules that name none."""

from pathlib import Path

from tests.rules.rule_files import load_rules, rule, write


def test_an_id_is_derived_from_label_and_first_hash(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule()])
    assert ids(tmp_path) == ["troll:07870707a1b2c3d4"]


def test_a_rule_without_hashes_has_its_label_as_id(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule(phashes=[])])
    assert ids(tmp_path) == ["troll"]


def test_a_derived_id_survives_edits_moves_and_added_hashes(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [rule(label="other"), rule()])
    before = set(ids(tmp_path))
    hashes = [*rule()["phashes"], "0123456789abcdef"]
    write(tmp_path, "a.json", [rule(phashes=hashes, comment="edited", hammingThreshold=2)])
    write(tmp_path, "b.json", [rule(label="other")])
    assert set(ids(tmp_path)) == before


def test_equal_derived_ids_are_numbered_in_file_order(tmp_path: Path) -> None:
    write(tmp_path, "blobs.json", [rule(), rule(id="troll:07870707a1b2c3d4-2"), rule(), rule()])
    base = "troll:07870707a1b2c3d4"
    assert ids(tmp_path) == [base, f"{base}-2", f"{base}-3", f"{base}-4"]


def test_an_id_that_is_named_goes_before_one_that_is_derived(tmp_path: Path) -> None:
    base = "troll:07870707a1b2c3d4"
    write(tmp_path, "blobs.json", [rule(), rule(id=base)])
    assert ids(tmp_path) == [f"{base}-2", base]


def ids(folder: Path) -> list[str]:
    return [loaded.id for loaded in load_rules(folder).rules]
