"""Whether a library upgrade moved a hash is looked at daily, and when a version changed."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from phash_dagster.definitions import definitions
from phash_dagster.defs import hash_checks
from phash_dagster.defs.hash_checks import golden_hashes, golden_sensor
from phash_dagster.images.golden import GoldenReport, MovedHash

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MOVED = MovedHash("a.jpg", "average", 64, "00000000000000ff", "000000000000000f")
VERSIONS = {"pillow": "13.0.0"}


def report(*moved: MovedHash) -> GoldenReport:
    return GoldenReport(7, moved, (), VERSIONS, {"pillow": "13.1.0"})


def evaluate() -> dg.AssetCheckResult:
    result = golden_hashes()
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_the_check_passes_with_the_libraries_of_now() -> None:
    assert evaluate().passed


def test_a_moved_hash_is_an_error_that_says_what_moved_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hash_checks, "check_golden", lambda: report(MOVED))
    result = evaluate()
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    text = result.description or ""
    assert "average of a.jpg moved by 4 of 64 bits" in text
    assert "pillow 13.0.0 -> 13.1.0" in text
    assert "uv sync --frozen" in text


def test_very_many_moved_hashes_do_not_fill_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_checks, "check_golden", lambda: report(*[MOVED] * 130))
    assert "and 110 more" in (evaluate().description or "")


class Sensor:
    """Ticks, and keeps the cursor."""

    def __init__(self) -> None:
        self.cursor: str | None = None

    def tick(self, now: datetime = NOW) -> int:
        context = dg.build_sensor_context(cursor=self.cursor)
        result = golden_sensor(context, clock=lambda: now)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return len(result.run_requests or ())


def test_the_sensor_asks_for_one_check_a_day() -> None:
    sensor = Sensor()
    hours = [sensor.tick(NOW + timedelta(hours=hour)) for hour in range(49)]
    assert [hour for hour, asked in enumerate(hours) if asked] == [0, 24, 48]


def test_the_sensor_asks_at_once_when_a_version_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = Sensor()
    monkeypatch.setattr(hash_checks, "library_versions", lambda: VERSIONS)
    assert [sensor.tick(), sensor.tick()] == [1, 0]
    monkeypatch.setattr(hash_checks, "library_versions", lambda: {"pillow": "13.1.0"})
    assert [sensor.tick(), sensor.tick()] == [1, 0]


def test_the_check_has_a_job_of_its_own_and_is_not_part_of_the_hot_one() -> None:
    defs = definitions()
    assert isinstance(defs, dg.Definitions)
    checks = {
        name: [
            key.name for key in defs.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        ]
        for name in ("check_hashes", "moderate_hour")
    }
    assert checks["check_hashes"] == ["golden_hashes"]
    assert "golden_hashes" not in checks["moderate_hour"]
    assert "coverage" in checks["moderate_hour"]
