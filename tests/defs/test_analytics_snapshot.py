"""The asset `analytics_snapshot`: what it says, and when it is made."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.definitions import definitions
from phash_dagster.defs import analytics_snapshot as module
from phash_dagster.ingest import IngestRecords
from tests.analysis.conftest import Snapped
from tests.analysis.reading import rows
from tests.defs.sensor_state import sqlite_instance
from tests.preview.past import MEME, post

pytestmark = pytest.mark.slow


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with sqlite_instance(tmp_path / "dagster") as instance:
        yield instance


@pytest.fixture
def past(tmp_path: Path) -> Snapped:
    past = Snapped(tmp_path)
    past.hash({"a": MEME})
    past.write(post("1", "a"))
    return past


def run(past: Snapped, instance: dg.DagsterInstance, now: datetime) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(
        assets=[module.analytics_snapshot],
        jobs=[module.take_snapshot],
        resources={
            "settings": past.settings,
            "warehouse": past.warehouse,
            "posts": past.posts,
            "ingest": IngestRecords.under(past.settings.data_dir),
            "clock": lambda: now,
        },
    )
    return definitions.resolve_job_def("take_snapshot").execute_in_process(instance=instance)


def test_it_makes_the_snapshot_and_says_how_long_others_waited(
    past: Snapped, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    result = run(past, instance, now)
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["path"].value == str(past.path)
    assert metadata["taken_at"].value == pytest.approx(now.timestamp())
    assert metadata["parts_written"].value == 2
    assert isinstance(metadata["longest_lock_seconds"].value, float)
    with past.open() as connection:
        assert len(rows(connection, "image_posts")) == 1


def test_it_is_made_four_times_an_hour_after_live_runs() -> None:
    assert module.snapshot_schedule.cron_schedule == "*/15 * * * *"
    loaded = definitions()
    assert isinstance(loaded, dg.Definitions)
    assert loaded.resolve_job_def("take_snapshot").tags["dagster/priority"] == "-1"
