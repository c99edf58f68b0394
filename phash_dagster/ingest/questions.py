"""Asks the ingest records what the checks and reports need to know."""

from phash_dagster.ingest.verdicts import AnomalyType, LatestBatch, StreamGap
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection


def latest_batch(connection: Connection) -> LatestBatch | None:
    """How the last of the attached batches did."""
    row = connection.execute(statement("ingest/latest_batch")).fetchone()
    return LatestBatch(*row) if row else None


def stream_gaps(connection: Connection) -> tuple[StreamGap, ...]:
    """The gaps that the attached batches found, the latest first."""
    rows = connection.execute(statement("ingest/gaps_by_time")).fetchall()
    return tuple(StreamGap(*row) for row in rows)


def anomaly_types(connection: Connection) -> tuple[AnomalyType, ...]:
    """The anomalies of the attached batches by type, the most frequent first."""
    rows = connection.execute(statement("ingest/anomalies_by_count")).fetchall()
    return tuple(AnomalyType(*row) for row in rows)
