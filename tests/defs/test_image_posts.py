"""What reached an hour is reported by the run that processes it."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.defs.image_posts import image_posts, report_arrivals
from phash_dagster.defs.partitions import HOURLY
from phash_dagster.ingest import Anomaly, IngestRecords
from tests.ingest.records import HOUR, NOW, part, record

EARLIER = "2026-11-23-18:00"


@dg.asset(partitions_def=HOURLY, deps=[image_posts], backfill_policy=dg.BackfillPolicy.single_run())
def image_hashes(
    context: dg.AssetExecutionContext, ingest: dg.ResourceParam[IngestRecords]
) -> None:
    """Stands in for the real one."""
    report_arrivals(context, ingest)


@pytest.fixture
def ingest(tmp_path: Path) -> IngestRecords:
    return IngestRecords(tmp_path / "ingest_batches")


def run(
    instance: dg.DagsterInstance, ingest: IngestRecords, *hours: str
) -> list[dg.AssetMaterialization]:
    """What a run over the hours reports about `image_posts`."""
    first, last = (hours or (HOUR,))[0], (hours or (HOUR,))[-1]
    result = dg.materialize(
        [image_posts, image_hashes],
        instance=instance,
        resources={"ingest": ingest},
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
    )
    return [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == image_posts.key
    ]


def test_what_came_since_the_last_run_is_reported_once(
    instance: dg.DagsterInstance, ingest: IngestRecords
) -> None:
    odd = (Anomaly("odd", 2, "at://x"),)
    ingest.write(record("1", ended=NOW - timedelta(minutes=1), files=(part(rows=100),)))
    ingest.write(record("2", lag=4.0, seq=1, tip_seq=9, files=(part(),), anomalies=odd))
    [event] = run(instance, ingest)
    found = {name: value.value for name, value in event.metadata.items()}
    assert event.partition == HOUR
    assert (found["rows"], found["images"], found["files"]) == (103, 4, 2)
    assert (found["events"], found["posts"]) == (180, 90)
    assert (found["lag_seconds"], found["sequence_lag"]) == (4.0, 8)
    assert found["anomalies"] == {"odd": 2}
    assert found["jetstream_host"] == "h"

    assert run(instance, ingest) == []
    ingest.write(record("3", ended=NOW + timedelta(seconds=9), files=(part(),)))
    [event] = run(instance, ingest)
    assert event.metadata["rows"].value == 3


def test_what_is_not_known_is_left_out(instance: dg.DagsterInstance, ingest: IngestRecords) -> None:
    ingest.write(record("1", lag=None, files=(part(),)))
    [event] = run(instance, ingest)
    assert not {"lag_seconds", "sequence_lag"} & event.metadata.keys()


def test_each_hour_of_a_run_is_reported_by_itself(
    instance: dg.DagsterInstance, ingest: IngestRecords
) -> None:
    ingest.write(record("1", files=(part(EARLIER, rows=1), part(rows=2))))
    events = run(instance, ingest, EARLIER, HOUR)
    assert {event.partition: event.metadata["rows"].value for event in events} == {
        EARLIER: 1,
        HOUR: 2,
    }
    assert instance.get_materialized_partitions(image_posts.key) == {EARLIER, HOUR}


def test_a_batch_that_brought_nothing_to_the_hour_is_not_reported_there(
    instance: dg.DagsterInstance, ingest: IngestRecords
) -> None:
    ingest.write(record("1", files=(part(EARLIER),)))
    assert run(instance, ingest) == []
