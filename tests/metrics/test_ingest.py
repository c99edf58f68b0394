"""What ingestion brought, each batch once, and how far it is."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.ingest import Anomaly, IngestRecords
from phash_dagster.ingest.counts import FIRST_LOOK_BACK, count_batches
from phash_dagster.ingest.schema import SCHEMA
from phash_dagster.metrics.sources import NothingYetError, read_ingest, read_warehouse
from phash_dagster.warehouse import Warehouse
from phash_dagster.warehouse.compaction import compact_files
from tests.ingest.records import NOW, gap, part, record
from tests.metrics.scraped import Scraped, scraped


class World:
    def __init__(self, folder: Path) -> None:
        self.records = IngestRecords(folder / "ingest_batches")
        self.warehouse = Warehouse(folder / "warehouse.duckdb")

    def count(self) -> int:
        return count_batches(self.records, self.warehouse, lambda: NOW)

    def scrape(self) -> Scraped:
        return scraped(read_warehouse(self.warehouse, NOW))

    def events(self) -> float | None:
        return self.scrape().value("ingest_events_total")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_batches_are_counted_with_what_they_brought(world: World) -> None:
    anomalies = (Anomaly("odd", 2, ""), Anomaly("strange", 1, ""))
    files = (part(images=2), part("2026-11-23-18:00", images=1))
    world.records.write(record("1", files=files, gaps=(gap(),), anomalies=anomalies))
    world.records.write(record("2", ended=NOW + seconds(5)))
    assert world.count() == 2
    found = world.scrape()
    expected = {
        "ingest_batches_total": 2,
        "ingest_events_total": 180,
        "ingest_posts_total": 90,
        "ingest_images_total": 3,
        "ingest_anomalies_total": 3,
        "ingest_gaps_total": 1,
        "ingest_gap_seconds_total": 600,
        "ingest_malformed_frames_total": 0,
    }
    assert {name: found.value(name) for name in expected} == expected


def test_a_batch_counts_once_however_often_runs_count(world: World) -> None:
    world.records.write(record("1"))
    assert (world.count(), world.count()) == (1, 0)
    world.records.write(record("2", ended=NOW + seconds(5), events=7))
    assert (world.count(), world.count()) == (1, 0)
    assert world.events() == 97


def test_a_batch_that_is_read_again_after_a_crash_keeps_its_count(world: World) -> None:
    world.records.write(record("1"))
    world.records.write(record("2", ended=NOW + seconds(5), events=50))
    world.count()
    world.records.write(record("2", ended=NOW + seconds(60), events=30))
    assert world.count() == 0
    assert world.events() == 140
    world.records.write(record("3", ended=NOW + seconds(65), events=10))
    assert world.count() == 1
    assert world.events() == 150


def test_compaction_between_two_counts_changes_nothing(world: World) -> None:
    for number in range(3):
        world.records.write(record(str(number), ended=NOW + seconds(number)))
    world.count()
    world.records.write(record("3", ended=NOW + seconds(3)))
    assert compact_files(world.records.files(), SCHEMA) is not None
    assert world.count() == 1
    assert world.events() == 4 * 90


def test_counting_begins_with_what_is_recent(world: World) -> None:
    world.records.write(record("old", ended=NOW - FIRST_LOOK_BACK - seconds(1)))
    world.records.write(record("new"))
    assert world.count() == 1


def test_without_records_there_is_nothing_to_count(world: World) -> None:
    assert world.count() == 0


def position(world: World, later: float = 0.0) -> Scraped:
    return scraped(read_ingest(world.records, NOW + seconds(later)))


def test_the_lag_is_the_age_of_the_position(world: World) -> None:
    world.records.write(record("1", lag=2.0, seq=100, tip_seq=150))
    found = position(world, later=30)
    assert found.value("ingest_lag_seconds") == pytest.approx(32)
    assert found.value("ingest_last_batch_timestamp_seconds") == NOW.timestamp()
    assert found.value("ingest_behind_events") == 50


def test_the_last_batch_counts_also_when_it_is_long_ago_and_compacted(world: World) -> None:
    for number in range(2):
        world.records.write(record(str(number), ended=NOW + seconds(number), lag=0.0))
    assert compact_files(world.records.files(), SCHEMA) is not None
    assert position(world, later=86_401).value("ingest_lag_seconds") == 86_400


def test_a_position_ahead_of_our_clock_is_no_negative_lag(world: World) -> None:
    world.records.write(record("1", lag=-5.0))
    assert position(world).value("ingest_lag_seconds") == 0


def test_without_records_that_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(NothingYetError):
        read_ingest(IngestRecords(tmp_path / "ingest_batches"), NOW)
    assert list(tmp_path.iterdir()) == []


def test_removed_records_leave_the_counters(world: World) -> None:
    world.records.write(record("1"))
    world.count()
    files: Sequence[Path] = world.records.files()
    for path in files:
        path.unlink()
    assert world.events() == 90
