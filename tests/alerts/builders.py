"""Troubles and looks for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from phash_dagster.alerts import Kind, Look, Notice, Severity, Trouble

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)


def trouble(key: str = "check:a/lag", severity: Severity = "error", **fields: Any) -> Trouble:
    values: dict[str, Any] = {
        "name": "The check lag on a",
        "detail": "The newest event is 6 min old.",
        "since": NOW,
        "path": "assets/a?view=checks&checkDetail=lag",
    }
    return Trouble(key=key, severity=severity, **(values | fields))


def look(*troubles: Trouble, at: datetime = NOW, unknown: frozenset[str] = frozenset()) -> Look:
    return Look(at, {one.key: one for one in troubles}, unknown)


def notice(kind: Kind = Kind.STARTED, *, after: timedelta | None = None, **fields: Any) -> Notice:
    found = trouble(**fields)
    return Notice(kind, found, found.since + after if after is not None else None)
