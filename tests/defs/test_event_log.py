"""Events stored in batches are the events that Dagster's own storage has, one by one."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry

from phash_dagster.defs.event_log import BatchedSqliteEventLog
from phash_dagster.defs.partitions import HOURLY, WEEK_PER_RUN
from phash_dagster.defs.tags import RANGE_END, RANGE_START

pytestmark = pytest.mark.slow

FIRST, LAST = "2026-11-20-05:00", "2026-11-20-09:00"
HOURS = HOURLY.get_partition_keys_in_range(dg.PartitionKeyRange(FIRST, LAST))
KEPT = ("dagster_event_type", "step_key", "asset_key", "partition")
Row = tuple[object, ...]


@dg.asset(partitions_def=HOURLY, backfill_policy=WEEK_PER_RUN)
def matches() -> dg.MaterializeResult[None]:
    """An asset over many hours."""
    return dg.MaterializeResult(metadata={"number": 1}, data_version=dg.DataVersion("one"))


@dg.asset(
    deps=[matches],
    partitions_def=HOURLY,
    backfill_policy=WEEK_PER_RUN,
    check_specs=[dg.AssetCheckSpec("good", asset="actions")],
)
def actions() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Another, with a check."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


def instance_of(folder: Path, *, batched: bool) -> dg.DagsterInstance:
    folder.mkdir()
    ours = {
        "event_log_storage": {
            "module": BatchedSqliteEventLog.__module__,
            "class": BatchedSqliteEventLog.__name__,
            "config": {"base_dir": str(folder / "history" / "runs")},
        }
    }
    return dg.DagsterInstance.local_temp(
        str(folder), overrides={"telemetry": {"enabled": False}, **(ours if batched else {})}
    )


def run_both(instance: dg.DagsterInstance, *, times: int = 1) -> list[str]:
    """Run both assets over the hours; the ids of the runs."""
    return [
        dg.materialize(
            [matches, actions], instance=instance, tags={RANGE_START: FIRST, RANGE_END: LAST}
        ).run_id
        for _ in range(times)
    ]


def rows(folder: Path, shard: str, query: str) -> list[Row]:
    with sqlite3.connect(folder / "history" / "runs" / f"{shard}.db") as connection:
        return connection.execute(query).fetchall()


def test_both_databases_hold_the_same_events_tags_and_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, list[Row]]] = []
    for batched in (False, True):
        folder = tmp_path / f"batched {batched}"
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "3" if batched else "0")
        with instance_of(folder, batched=batched) as instance:
            [_, run_id] = run_both(instance, times=2)
            materialized = {
                name: sorted(instance.get_materialized_partitions(dg.AssetKey(name)))
                for name in ("matches", "actions")
            }
        assert materialized == {"matches": HOURS, "actions": HOURS}
        events = f"SELECT {', '.join(KEPT)} FROM event_logs WHERE run_id = '{run_id}'"
        asset_events = f"{events} AND asset_key IS NOT NULL ORDER BY id"
        tags = (
            "SELECT tags.asset_key, key, partition, value IS NULL FROM asset_event_tags AS tags "
            "INNER JOIN event_logs ON event_logs.id = event_id ORDER BY event_id, key"
        )
        found.append(
            {
                "of the run": rows(folder, run_id, f"{events} ORDER BY id"),
                "of assets": rows(folder, "index", asset_events),
                "tags": rows(folder, "index", tags),
                "assets": rows(
                    folder,
                    "index",
                    "SELECT asset_key, last_run_id IS NULL, last_materialization IS NULL, "
                    "asset_details FROM asset_keys ORDER BY asset_key",
                ),
                "checks": rows(
                    folder,
                    "index",
                    "SELECT check_name, execution_status FROM asset_check_executions",
                ),
            }
        )
    plain, ours = found
    assert {name: len(each) for name, each in plain.items()} == {
        name: len(each) for name, each in ours.items()
    }
    assert [sorted(map(str, each)) for each in plain.values()] == [
        sorted(map(str, each)) for each in ours.values()
    ]


def test_the_last_materialization_of_an_hour_names_its_run_and_what_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_of(tmp_path / "home", batched=True) as instance:
        [run_id] = run_both(instance)
        [record] = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey("actions"), asset_partitions=[HOURS[2]]), limit=1
        ).records
        assert record.run_id == run_id
        materialization = record.asset_materialization
        assert materialization is not None
        assert "dagster/input_data_version/matches" in (materialization.tags or {})
        latest = instance.get_latest_materialization_event(dg.AssetKey("actions"))
        assert latest is not None
        assert latest.run_id == run_id


def test_a_batch_is_stored_in_one_transaction_per_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    batches: list[int] = []
    store = BatchedSqliteEventLog._store_asset_events

    def counted(self: BatchedSqliteEventLog, events: Sequence[EventLogEntry]) -> None:
        batches.append(len(events))
        store(self, events)

    monkeypatch.setattr(BatchedSqliteEventLog, "_store_asset_events", counted)
    with instance_of(tmp_path / "home", batched=True) as instance:
        run_both(instance)
    # Those planned, of both assets; then those of each asset.
    assert batches == [2 * len(HOURS), len(HOURS), len(HOURS)]
