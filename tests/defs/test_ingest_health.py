"""The checks on `image_posts`, and when the sensor reports them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from phash_dagster.defs.ingest_health import CHECKS, ingest_checks, ingest_health_sensor
from phash_dagster.ingest import Anomaly, IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.jetstream.cursor import HostState
from phash_dagster.settings import Settings, settings_from
from tests.defs.sensor_state import sqlite_instance, store_cursor
from tests.ingest.records import NOW, gap, microseconds, record

pytestmark = pytest.mark.slow


@dataclass
class Health:
    """The sensor, called as Dagster does: with its last cursor."""

    instance: dg.DagsterInstance
    settings: Settings
    ingest: IngestRecords
    now: datetime = NOW
    cursor: str | None = None

    def look(self) -> dict[str, dg.AssetCheckEvaluation]:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = ingest_health_sensor(
            context, settings=self.settings, ingest=self.ingest, clock=lambda: self.now
        )
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return {
            event.check_name: event
            for event in result.asset_events
            if isinstance(event, dg.AssetCheckEvaluation)
        }

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def health(tmp_path: Path) -> Iterator[Health]:
    settings = settings_from(
        {"DATA_DIR": str(tmp_path), "JETSTREAM_FALLBACK_URLS": "", "MAX_FAILED_TICKS": "2"}
    )
    with sqlite_instance(tmp_path / "dagster") as instance:
        yield Health(instance, settings, IngestRecords(tmp_path / "ingest_batches"))


def position(health: Health, *, seconds_ago: float = 2, **values: object) -> None:
    at = microseconds(health.now - timedelta(seconds=seconds_ago))
    store_cursor(health.instance, Cursor(at, **values))  # type: ignore[arg-type]


def test_all_is_well_and_each_check_says_so_once(health: Health) -> None:
    position(health)
    health.ingest.write(record())
    evaluations = health.look()
    assert evaluations.keys() == {check.name for check in CHECKS}
    assert all(evaluation.passed for evaluation in evaluations.values())
    health.wait(seconds=30)
    position(health)
    assert health.look() == {}


def test_an_unchanged_verdict_is_reported_again_after_an_hour(health: Health) -> None:
    position(health)
    health.look()
    health.wait(minutes=59)
    position(health)
    assert health.look() == {}
    health.wait(minutes=11)
    position(health)
    assert health.look().keys() == {check.name for check in CHECKS}


def test_lag_is_reported_when_it_comes_and_when_it_goes(health: Health) -> None:
    position(health)
    health.look()
    health.wait(minutes=6)
    evaluation = health.look()["ingest_lag"]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert evaluation.metadata["lag_seconds"].value == 362.0
    health.wait(seconds=30)
    assert health.look() == {}
    position(health)
    assert health.look()["ingest_lag"].passed


def test_before_the_first_tick_of_the_other_sensor_lag_is_not_reported(health: Health) -> None:
    assert "ingest_lag" not in health.look()


def test_when_nothing_was_ever_read_the_lag_counts_from_the_start(health: Health) -> None:
    store_cursor(health.instance, Cursor.at(health.now - timedelta(minutes=10)))
    assert not health.look()["ingest_lag"].passed


def test_a_host_that_fails_again_and_again_fails_the_check(health: Health) -> None:
    resting = HostState(2, microseconds(NOW), "<b>refused</b>")
    position(health, hosts={"h.test": resting})
    evaluation = health.look()["ingest_ticks"]
    assert not evaluation.passed
    details = str(evaluation.metadata["details"].value)
    assert "h.test" in details
    assert "<b>" not in details.replace("\\<", "")


def test_a_gap_is_named_and_a_second_one_too(health: Health) -> None:
    health.ingest.write(record("1", gaps=(gap(60, host="h.test"),)))
    evaluation = health.look()["stream_gaps"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "2026-11-23 18:30:00" in str(evaluation.metadata["details"].value)
    health.wait(minutes=11)
    health.ingest.write(record("2", gaps=(gap(10, host="other"),)))
    assert health.look()["stream_gaps"].metadata["gaps"].value == 2


def test_a_gap_is_forgotten_after_seven_days(health: Health) -> None:
    health.ingest.write(record("1", gaps=(gap(),)))
    assert not health.look()["stream_gaps"].passed
    health.wait(days=7, seconds=1)
    assert health.look()["stream_gaps"].passed


def test_anomalies_warn_with_a_sample_of_each_type(health: Health) -> None:
    health.ingest.write(record("1", anomalies=(Anomaly("unknown_embed:x", 3, "at://did/c/r"),)))
    evaluation = health.look()["ingest_anomalies"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "at://did/c/r" in str(evaluation.metadata["details"].value)


def test_the_records_are_not_read_at_every_look(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    health.look()
    reads: list[timedelta] = []
    real = IngestRecords.query

    def query(
        self: IngestRecords, *, since: datetime
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        reads.append(health.now - since)
        return real(self, since=since)

    monkeypatch.setattr(IngestRecords, "query", query)
    health.wait(seconds=30)
    health.look()
    assert reads == [timedelta(minutes=2)]


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.name for check in CHECKS])
def test_a_person_can_run_each_check(health: Health, number: int) -> None:
    position(health)
    result = dg.materialize(
        [dg.AssetSpec("image_posts"), ingest_checks[number]],
        instance=health.instance,
        resources={
            "settings": health.settings,
            "ingest": health.ingest,
            "clock": lambda: health.now,
        },
        selection=dg.AssetSelection.all_asset_checks(),
    )
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.passed
    assert evaluation.check_name == CHECKS[number].name


def test_every_check_says_what_it_is_about_and_what_to_do() -> None:
    for check in CHECKS:
        assert len(check.description) > 100
