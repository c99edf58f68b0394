"""The figures of a report, asked of the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phash_dagster.images.store import outcome_counts
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.questions import anomaly_types, stream_gaps
from phash_dagster.ingest.verdicts import AnomalyType, StreamGap
from phash_dagster.rules import current_version
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

Row = dict[str, Any]


@dataclass(frozen=True)
class MatchReport:
    """Everything a report says. Rows are dictionaries by column of the statement they come from.

    Attributes:
        since: Beginning of the period, at a full hour.
        until: End of the period, when the report was made.
        seen: One row of totals: `sql/report/seen.sql`.
        outcomes: Images by outcome; `untried` are those not tried yet.
        rules_version: Version in force, None before the first.
        matches: A row per rule: `sql/report/matches_by_rule.sql`.
        actions: A row per rule, event and state: `sql/report/actions_by_rule.sql`.
        latest: The latest actions: `sql/report/latest_actions.sql`.
        gaps: Where events may be missing, by what was noticed in the period, the latest first.
        anomalies: What in events was not understood, by type, the most frequent first.
        lag: One row about how late events were read: `sql/report/lag.sql`.
    """

    since: datetime
    until: datetime
    seen: Row
    outcomes: dict[str, int]
    rules_version: str | None
    matches: tuple[Row, ...]
    actions: tuple[Row, ...]
    latest: tuple[Row, ...]
    gaps: tuple[StreamGap, ...]
    anomalies: tuple[AnomalyType, ...]
    lag: Row

    def actions_in_state(self, state: str) -> int:
        """How many actions of the period are in a state, e.g. `sent`."""
        return sum(row["actions"] for row in self.actions if row["state"] == state)


def collect(
    warehouse: Warehouse,
    posts: ImagePosts,
    ingest: IngestRecords,
    *,
    since: datetime,
    until: datetime,
) -> MatchReport:
    """Ask the warehouse for the figures of a period; posts count by whole hours."""
    since = since.replace(minute=0, second=0, microsecond=0)
    with warehouse.read() as connection:
        posts.attach(connection, _hours(posts, since, until))
        ingest.attach(connection, since=since)
        ruleset = current_version(connection)
        version = ruleset.version if ruleset else None
        return MatchReport(
            since=since,
            until=until,
            seen=_rows(connection, "report/seen")[0],
            outcomes=outcome_counts(connection),
            rules_version=version,
            matches=_rows(connection, "report/matches_by_rule", version=version),
            actions=_rows(connection, "report/actions_by_rule", since=since),
            latest=_rows(connection, "report/latest_actions", since=since),
            gaps=stream_gaps(connection),
            anomalies=anomaly_types(connection),
            lag=_rows(connection, "report/lag")[0],
        )


def _hours(posts: ImagePosts, since: datetime, until: datetime) -> Sequence[str]:
    return [key for key in posts.partition_keys() if hour_key(since) <= key <= hour_key(until)]


def _rows(connection: Connection, name: str, **parameters: object) -> tuple[Row, ...]:
    result = connection.execute(statement(name), parameters)
    columns = [column[0] for column in result.description or ()]
    return tuple(dict(zip(columns, row, strict=True)) for row in result.fetchall())
