"""Rules versions in DuckDB: every version that was ever in force, and which one is."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.rules.origin import Origin
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection


def save_version(
    connection: Connection, ruleset: RuleSet, loaded_at: datetime, origin: Origin | None = None
) -> None:
    """Keep this version and put it in force.

    The version in force is the one loaded last, whatever the clock says; a version that is known
    already comes into force again with its new `loaded_at`, and with what is dangerous in it by the
    present release. Each load is kept with its origin. Runs within the caller's transaction.
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
    _save_load(connection, ruleset.version, loaded_at, origin or Origin())
    connection.execute(statement("rules/forget_hashes"), {"version": ruleset.version})
    connection.execute(
        statement("rules/save_hashes"),
        {"version": ruleset.version, "hashes": json.dumps(_hash_rows(ruleset))},
    )
    connection.execute(
        statement("rules/update_in_force"), {"version": ruleset.version, "loaded_at": loaded_at}
    )


def current_version(connection: Connection) -> RuleSet | None:
    """The rules in force, or None before the first were loaded."""
    row = connection.execute(statement("rules/current_version")).fetchone()
    return None if row is None else RuleSet.from_json(row[0])


def find_versions(connection: Connection, prefix: str) -> list[RuleSet]:
    """The versions that begin with these characters, two at most."""
    rows = connection.execute(statement("rules/find_version"), {"prefix": prefix}).fetchall()
    return [RuleSet.from_json(text) for (text,) in rows]


def _save_load(connection: Connection, version: str, loaded_at: datetime, origin: Origin) -> None:
    files = [asdict(file) for file in origin.files]
    connection.execute(
        statement("rules/save_load"),
        {
            "version": version,
            "loaded_at": loaded_at,
            "files": json.dumps(files, ensure_ascii=False) if files else None,
            "commit_id": origin.commit.commit_id if origin.commit else None,
            "dirty": origin.commit.dirty if origin.commit else None,
        },
    )


def _hash_rows(ruleset: RuleSet) -> list[dict[str, str | int | None]]:
    return [
        {
            "rule_id": rule.id,
            "rule_hash": rule_hash,
            "kind": kind,
            "algorithm": rule.algorithm,
            "threshold": ruleset.threshold(rule),
            "rule_order": rule_order,
            "hash_order": hash_order,
            "mode": rule.mode,
            "set_aside": ruleset.why_set_aside(rule.id, rule_hash),
        }
        for rule_order, rule in enumerate(ruleset.rules)
        for hash_order, (rule_hash, kind) in enumerate(_hashes(rule))
    ]


def _hashes(rule: Rule) -> Iterator[tuple[str, str]]:
    """Those to look for, then those to leave alone: both are matched alike."""
    yield from ((rule_hash, "match") for rule_hash in rule.phashes)
    yield from ((rule_hash, "except") for rule_hash in rule.except_hashes)
