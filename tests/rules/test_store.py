"""Rules versions in DuckDB."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.rules import Rule, RuleSet, current_version, save_version
from phash_dagster.warehouse import Connection, Warehouse
from tests.rules.rule_files import rule

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


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
        rule("hammingThreshold", id="a", phashes=["ffffffffffffffff", "0000000000000001"]),
        rule(id="b", phashes=["8000000000000000"], mode="shadow"),
    )
    save_version(connection, rules, NOON)
    rows = connection.execute(
        "FROM rule_hashes SELECT * EXCLUDE (version) ORDER BY rule_order, hash_order"
    ).fetchall()
    assert rows == [
        ("a", "f" * 16, 2**64 - 1, "average", 3, 0, 0, "live"),
        ("a", "0000000000000001", 1, "average", 3, 0, 1, "live"),
        ("b", "8000000000000000", 2**63, "average", 1, 1, 0, "shadow"),
    ]


def test_text_of_any_script_survives(connection: Connection) -> None:
    rules = ruleset(rule(comment="“Größe” 画像 \\ \n"))
    save_version(connection, rules, NOON)
    assert current_version(connection) == rules
