"""Counts in the warehouse what batches of ingestion brought, for the metrics.

`jetstream_sensor` does not open the warehouse: somebody may hold it, and reading must go on. So the
runs that follow count what its records tell, each batch once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from phash_dagster.clock import Clock
from phash_dagster.ingest.records import IngestRecords
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse
from phash_dagster.warehouse.totals import Total, add_totals

FIRST_LOOK_BACK: Final = timedelta(minutes=10)
"""How far back batches count that ended before the first count."""

_MOST_FILES: Final = 500
"""Files that one call opens, the oldest first; each takes two milliseconds."""


class Counted(NamedTuple):
    """The last batch that the totals count."""

    name: str
    ended_us: int


def count_batches(records: IngestRecords, warehouse: Warehouse, clock: Clock) -> int:
    """Add to the totals what batches brought since the last call; return how many batches.

    A batch that was read again after a crash counts as it was counted first.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
    """
    with warehouse.read() as connection:
        last = _last_counted(connection)
    after_us = last.ended_us if last else int((clock() - FIRST_LOOK_BACK).timestamp() * 1_000_000)
    files = records.files(since=_moment(after_us))[:_MOST_FILES]
    if not files:
        return 0
    found, newest = _read(records, files, last or Counted("", after_us))
    if newest is None or newest.ended_us <= after_us:
        return 0
    with warehouse.write() as connection:
        if _last_counted(connection) != last:
            return 0  # another run has counted them
        add_totals(connection, {Total.of(name): count for name, count in found.items()})
        connection.execute(statement("metrics/forget_counted_batch"))
        connection.execute(statement("metrics/save_counted_batch"), newest._asdict())
    return found["ingest_batches"]


def _last_counted(connection: Connection) -> Counted | None:
    rows = connection.execute(statement("metrics/last_counted_batch")).fetchall()
    return Counted(*rows[0]) if rows else None


def _read(
    records: IngestRecords, files: Sequence[Path], last: Counted
) -> tuple[dict[str, int], Counted | None]:
    """What the batches after the last one brought, and which of all ended last."""
    with records.query(files=files) as connection:
        result = connection.execute(
            statement("metrics/new_batches"),
            {"after_us": last.ended_us, "counted_name": last.name},
        )
        names = [column[0] for column in result.description or ()]
        [row] = result.fetchall()
        newest = connection.execute(statement("metrics/last_batch")).fetchall()
    return dict(zip(names, row, strict=True)), Counted(*newest[0]) if newest else None


def _moment(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
