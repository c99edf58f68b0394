"""Dagster's event storage on SQLite, quick at the many events of a run over many hours.

Dagster stores an event for each asset and hour of a run when the run is requested, and another when
the asset is done: 672 for a week of `rematch_hours`. Its SQLite storage opens two databases and
commits twice for each of them, which takes longer than all that the run does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import _check as check
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that stores a batch of events in one transaction per database.

    Same files, same rows. Dagster makes batches if `DAGSTER_EVENT_BATCH_SIZE` is set, and stores
    the events of one that fails one by one.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLog":
        """What Dagster calls."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, those about assets all at once."""
        about_assets: list[EventLogEntry] = []
        for event in events:
            if event.dagster_event_type in ASSET_EVENTS:
                about_assets.append(event)
            else:
                self.store_event(event)
        if about_assets:
            self._store_asset_events(about_assets)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        """As `store_event` does: into the run's database, and into the one that all runs share."""
        [run_id] = {event.run_id for event in events}
        with self.run_connection(run_id) as connection:
            connection.execute(
                SqlEventLogStorageTable.insert(), [self._event_to_row(event) for event in events]
            )
        with self.index_transaction() as connection:
            event_ids = [
                check.not_none(
                    connection.execute(self.prepare_insert_event(event)).inserted_primary_key
                )[0]
                for event in events
            ]
            self._store_asset_event_tags(connection, events, event_ids)
            # What is kept about an asset is its last event of each kind.
            last = {
                (event.get_dagster_event().asset_key, event.dagster_event_type): (event, event_id)
                for event, event_id in zip(events, event_ids, strict=True)
            }
            for event, event_id in last.values():
                self._store_asset_event(connection, event, event_id)
