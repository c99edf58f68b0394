"""Rules versions in DuckDB: every version that was ever in force, and which one is."""

import json
from datetime import datetime

from phash_dagster.rules.model import ALGORITHM, RuleSet
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection


def save_version(connection: Connection, ruleset: RuleSet, loaded_at: datetime) -> None:
    """Keep this version and put it in force.

    The version in force is the one loaded last; a version that is known already comes into force
    again with its new `loaded_at`. Runs within the caller's transaction.
    """
    connection.execute(
        statement("rules/save_version"),
        {
            "version": ruleset.version,
            "loaded_at": loaded_at,
            "source": ", ".join(ruleset.sources),
            "rules": ruleset.to_json(),
        },
    )
    connection.execute(
        statement("rules/save_hashes"),
        {
            "version": ruleset.version,
            "algorithm": ALGORITHM,
            "hashes": json.dumps(_hash_rows(ruleset)),
        },
    )
    connection.execute(
        statement("rules/update_in_force"), {"version": ruleset.version, "loaded_at": loaded_at}
    )


def current_version(connection: Connection) -> RuleSet | None:
    """The rules in force, or None before the first were loaded."""
    row = connection.execute(statement("rules/current_version")).fetchone()
    return None if row is None else RuleSet.from_json(row[0])


def _hash_rows(ruleset: RuleSet) -> list[dict[str, str | int]]:
    return [
        {
            "rule_id": rule.id,
            "rule_hash": rule_hash,
            "threshold": ruleset.threshold(rule),
            "rule_order": rule_order,
            "hash_order": hash_order,
            "mode": rule.mode,
        }
        for rule_order, rule in enumerate(ruleset.rules)
        for hash_order, rule_hash in enumerate(rule.phashes)
    ]
