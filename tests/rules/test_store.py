"""Rules versions in DuckDB."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import (
    Commit,
    Origin,
    Rule,
    RuleSet,
    SetAside,
    SourceFile,
    current_version,
    find_versions,
    save_version,
)
from phash_dagster.warehouse import Connection, Warehouse
from tests.rules.rule_files import pretend_algorithms, rule

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST, SECOND = "07870707a1b2c3d4", "17870707a1b2c3d4"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with Warehouse(tmp_path / "warehouse.duckdb").write() as connection:
        yield connection


def ruleset(*rules: dict[str, Any], source: str = "blobs.json") -> RuleSet:
    loaded = tuple(Rule.model_validate(content) for content in rules)
    return RuleSet.of(loaded, default_threshold=3, sources=(source,))


OLD = ruleset(rule(label="old"))
NEW = ruleset(rule(label="new"))


def count(connection: Connection, table: str) -> int:
    [(rows,)] = connection.execute("SELECT count(*) FROM query_table($t)", {"t": table}).fetchall()
    return int(rows)


def test_no_rules_are_in_force_at_first(connection: Connection) -> None:
    assert current_version(connection) is None


def test_what_is_saved_is_in_force(connection: Connection) -> None:
    save_version(connection, NEW, NOON)
    assert current_version(connection) == NEW


def test_a_set_without_rules_can_be_in_force(connection: Connection) -> None:
    save_version(connection, NEW, NOON)
    save_version(connection, ruleset(), NOON + timedelta(hours=1))
    assert current_version(connection) == ruleset()


def test_the_version_loaded_last_is_in_force_and_the_others_are_kept(
    connection: Connection,
) -> None:
    save_version(connection, OLD, NOON)
    save_version(connection, NEW, NOON + timedelta(hours=1))
    assert current_version(connection) == NEW
    assert count(connection, "rule_versions") == 2


def test_a_version_loaded_under_a_clock_in_the_future_does_not_stay_in_force(
    connection: Connection,
) -> None:
    save_version(connection, OLD, NOON + timedelta(days=999))
    save_version(connection, NEW, NOON)
    assert current_version(connection) == NEW


def loads(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "FROM rule_loads SELECT load_number, version, commit_id, dirty ORDER BY load_number"
    ).fetchall()


def test_every_load_that_changes_something_is_kept_with_its_origin(connection: Connection) -> None:
    first = Origin((SourceFile("blobs.json", "[…]"),), Commit("abc", dirty=False))
    edited = Origin((SourceFile("blobs.json", "[ … ]"),), Commit("abc", dirty=True))
    for rules, origin in ((OLD, first), (OLD, first), (OLD, edited), (NEW, None), (OLD, edited)):
        save_version(connection, rules, NOON, origin)
    assert loads(connection) == [
        (1, OLD.version, "abc", False),
        (2, OLD.version, "abc", True),
        (3, NEW.version, None, None),
        (4, OLD.version, "abc", True),
    ]
    [(text,)] = connection.execute(
        "FROM rule_loads SELECT files->>'$[0].text' WHERE load_number = 2"
    ).fetchall()
    assert text == "[ … ]"


def test_versions_of_an_earlier_release_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "earlier.duckdb"
    with Warehouse(path).write() as connection:
        for hours, rules in enumerate((NEW, OLD)):
            save_version(connection, rules, NOON + hours * HOUR)
        connection.execute(
            "DROP VIEW version_in_force; DROP TABLE rule_loads; "
            "DELETE FROM schema_migrations WHERE name = '0015_rule_loads'"
        )
    with Warehouse(path).write() as connection:
        assert current_version(connection) == OLD
        assert [row[:2] for row in loads(connection)] == [(1, NEW.version), (2, OLD.version)]


def test_a_version_is_found_by_how_it_begins(connection: Connection) -> None:
    save_version(connection, OLD, NOON)
    save_version(connection, NEW, NOON)
    assert find_versions(connection, OLD.version[:8]) == [OLD]
    assert len(find_versions(connection, "")) == 2
    assert find_versions(connection, "xyz") == []


def test_loading_an_earlier_version_again_brings_it_back_into_force(
    connection: Connection,
) -> None:
    for hours, version in enumerate((OLD, NEW, OLD)):
        save_version(connection, version, NOON + timedelta(hours=hours))
    assert current_version(connection) == OLD


def test_saving_a_version_twice_adds_no_rows(connection: Connection) -> None:
    for _ in range(2):
        save_version(connection, NEW, NOON)
    assert (count(connection, "rule_versions"), count(connection, "rule_hashes")) == (1, 2)


def test_what_has_no_effect_is_kept_up_to_date(connection: Connection) -> None:
    save_version(connection, NEW, NOON)
    moved = ruleset(rule(label="new", description="now elsewhere"), source="moved.json")
    assert moved.version == NEW.version
    save_version(connection, moved, NOON)
    assert current_version(connection) == moved


def test_hashes_are_stored_in_order_with_resolved_thresholds(connection: Connection) -> None:
    rules = ruleset(
        rule(
            "hammingThreshold",
            id="a",
            phashes=["ffffffffffffffff", "0000000000000001"],
            exceptHashes=["0000000000000003"],
        ),
        rule(id="b", phashes=["8000000000000000"], mode="shadow", algorithm="average-integer"),
    )
    save_version(connection, rules, NOON)
    rows = connection.execute(
        "FROM rule_hashes SELECT rule_id, rule_hash, hash, kind, algorithm, threshold, mode "
        "ORDER BY rule_order, hash_order"
    ).fetchall()
    assert rows == [
        ("a", "f" * 16, 2**64 - 1, "match", "average", 3, "live"),
        ("a", "0000000000000001", 1, "match", "average", 3, "live"),
        ("a", "0000000000000003", 3, "except", "average", 3, "live"),
        ("b", "8000000000000000", 2**63, "match", "average-integer", 1, "shadow"),
    ]


def test_exceptions_are_not_in_force(connection: Connection) -> None:
    save_version(connection, ruleset(rule(id="r", exceptHashes=["0" * 16])), NOON)
    assert set(in_force_since(connection)) == {FIRST, SECOND}


def test_a_wide_hash_is_stored_in_four_words(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_algorithms(monkeypatch, wide=256)
    wide = f"{1:016x}{2**64 - 1:016x}{3:016x}{4:016x}"
    save_version(connection, ruleset(rule(phashes=[wide], algorithm="wide")), NOON)
    [row] = connection.execute("FROM rule_hashes SELECT hash, hash_2, hash_3, hash_4").fetchall()
    assert row == (1, 2**64 - 1, 3, 4)


def test_rules_of_an_algorithm_that_was_uninstalled_can_still_be_read(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as installed:
        pretend_algorithms(installed, uninstalled=64)
        rules = ruleset(rule(algorithm="uninstalled"))
    save_version(connection, rules, NOON)
    assert current_version(connection) == rules


SET_ASIDE = SetAside("r", FIRST, "flat-hash, wide-threshold")


def reasons(connection: Connection, table: str) -> dict[str, str | None]:
    rows = connection.execute(
        "FROM query_table($t) SELECT rule_hash, set_aside", {"t": table}
    ).fetchall()
    return dict(rows)


def test_what_is_set_aside_is_stored_with_the_reason(connection: Connection) -> None:
    rules = replace(ruleset(rule(id="r")), set_aside=(SET_ASIDE,))
    save_version(connection, rules, NOON)
    expected = {FIRST: "flat-hash, wide-threshold", SECOND: None}
    assert reasons(connection, "rule_hashes") == expected
    assert reasons(connection, "hashes_in_force") == expected
    assert current_version(connection) == rules


def test_a_version_loaded_again_is_judged_anew(connection: Connection) -> None:
    rules = ruleset(rule(id="r"))
    save_version(connection, rules, NOON)
    save_version(connection, replace(rules, set_aside=(SET_ASIDE,)), NOON)
    assert reasons(connection, "rule_hashes") == {FIRST: SET_ASIDE.reason, SECOND: None}


def in_force_since(connection: Connection) -> dict[str, datetime]:
    rows = connection.execute("FROM hashes_in_force SELECT rule_hash, in_force_since").fetchall()
    return dict(rows)


def test_a_hash_is_in_force_from_when_it_may_act(connection: Connection) -> None:
    allowed = ruleset(rule(id="r"))
    save_version(connection, replace(allowed, set_aside=(SET_ASIDE,)), NOON)
    save_version(connection, allowed, NOON + HOUR)
    assert in_force_since(connection) == {FIRST: NOON + HOUR, SECOND: NOON}
    save_version(connection, replace(allowed, set_aside=(SET_ASIDE,)), NOON + 2 * HOUR)
    assert in_force_since(connection) == {FIRST: NOON + HOUR, SECOND: NOON}


def test_a_time_in_the_future_is_mended_when_the_clock_is(connection: Connection) -> None:
    rules = ruleset(rule(id="r"))
    save_version(connection, rules, NOON + 24 * HOUR)
    save_version(connection, rules, NOON)
    assert in_force_since(connection) == {FIRST: NOON, SECOND: NOON}


def test_text_of_any_script_survives(connection: Connection) -> None:
    rules = ruleset(rule(comment="“Größe” 画像 \\ \n"))
    save_version(connection, rules, NOON)
    assert current_version(connection) == rules
