"""Hours that are over but not done are run again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.defs.catch_up_sensor import (
    BETWEEN_OLD_HOURS,
    LIVE_GRACE,
    MAX_FAILURES,
    MAX_OLD_HOURS,
    catch_up_sensor,
)
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import FIRST_RETRY, LONGEST_RETRY, save_results
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=3)
HOUR = hour_key(EARLIER)


@dg.job(name="moderate_hour")
def moderate_hour() -> None:
    """Stands for the real job: only its name and its runs matter here."""


class Bench:
    """One image, posted three hours ago."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self.now = NOW
        self.cursor: str | None = None
        self.post("x", EARLIER)

    def post(self, blob_cid: str, at: datetime) -> None:
        row = ImagePost(
            time_us=int(at.timestamp() * 1_000_000),
            seq=None,
            host="h",
            did="did:plc:a",
            collection="c",
            rkey=blob_cid,
            uri=f"at://did:plc:a/c/{blob_cid}",
            cid="cid",
            operation="create",
            blob_cid=blob_cid,
        )
        self.posts.write_batch([row], start=blob_cid, now=NOW)

    def end(self, outcome: Outcome, *, blob_cid: str = "x", at: datetime = EARLIER) -> None:
        image_hash = ImageHash("average", 7, 50, "average-1")
        result = ImageResult(
            ImageReference(blob_cid, "did:plc:a", None),
            outcome,
            "because",
            source="cdn",
            width=1,
            height=1,
            format="jpeg",
            hashes=(image_hash,) if outcome is Outcome.hashed else (),
        )
        with self.warehouse.write() as connection:
            save_results(connection, [result], now=at)

    def run(self, status: dg.DagsterRunStatus) -> None:
        self.instance.create_run_for_job(
            moderate_hour, status=status, tags={"dagster/partition": HOUR}
        )

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = catch_up_sensor(
            context, warehouse=self.warehouse, posts=self.posts, clock=lambda: self.now
        )
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return list(result.run_requests or [])

    def hours(self) -> list[str | None]:
        return [request.partition_key for request in self.tick()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(instance, tmp_path)


def test_an_hour_with_an_image_that_nobody_tried_is_run_again(bench: Bench) -> None:
    [request] = bench.tick()
    assert request.partition_key == HOUR
    assert request.tags["phash/lane"] == "live"


def test_an_hour_that_is_done_is_left_alone(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    assert bench.hours() == []


def test_a_waiting_image_brings_its_hour_back_when_it_is_due(bench: Bench) -> None:
    bench.end(Outcome.waiting, at=EARLIER)
    assert bench.hours() == [HOUR]


def test_a_waiting_image_that_is_not_due_does_not(bench: Bench) -> None:
    bench.end(Outcome.waiting, at=NOW)
    assert bench.hours() == []


def test_the_current_hour_is_left_to_live_runs(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    bench.post("y", NOW)
    assert bench.hours() == []


def test_an_hour_whose_last_run_failed_is_run_again(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    bench.run(dg.DagsterRunStatus.FAILURE)
    assert bench.hours() == [HOUR]
    bench.run(dg.DagsterRunStatus.SUCCESS)
    assert bench.hours() == []


def test_an_hour_that_is_being_run_gets_no_second_run(bench: Bench) -> None:
    bench.run(dg.DagsterRunStatus.STARTED)
    assert bench.hours() == []


def test_an_hour_that_fails_again_and_again_is_given_up(bench: Bench) -> None:
    keys = set()
    for _ in range(MAX_FAILURES):
        [request] = bench.tick()
        keys.add(request.run_key)
        bench.run(dg.DagsterRunStatus.FAILURE)
    assert len(keys) == MAX_FAILURES
    assert bench.hours() == []


def test_a_waiting_image_of_the_current_hour_that_no_live_run_took_up_is_tried(
    bench: Bench,
) -> None:
    bench.end(Outcome.hashed)
    bench.post("y", NOW)
    bench.end(Outcome.waiting, blob_cid="y", at=NOW)
    bench.now = NOW + FIRST_RETRY + timedelta(minutes=1)
    assert bench.hours() == []
    bench.now += LIVE_GRACE
    assert bench.hours() == [hour_key(NOW)]


OLD = NOW - timedelta(days=5)


def test_an_image_that_is_overdue_for_days_brings_its_hour_back(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    bench.post("y", OLD)
    bench.end(Outcome.waiting, blob_cid="y", at=OLD)
    assert bench.hours() == [hour_key(OLD)]


def test_old_hours_are_looked_at_only_every_few_hours(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    assert bench.hours() == []
    bench.post("y", OLD)
    bench.end(Outcome.waiting, blob_cid="y", at=OLD)
    bench.now = NOW + LONGEST_RETRY - timedelta(seconds=1)
    assert bench.hours() == []
    bench.now = NOW + LONGEST_RETRY
    assert bench.hours() == [hour_key(OLD)]


def test_old_images_that_nobody_tried_are_left_to_a_person(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    bench.post("y", OLD)
    assert bench.hours() == []


def test_many_old_hours_come_a_few_at_a_time(bench: Bench) -> None:
    bench.end(Outcome.hashed)
    for number in range(MAX_OLD_HOURS + 2):
        at = OLD + timedelta(hours=number)
        bench.post(f"old-{number}", at)
        bench.end(Outcome.waiting, blob_cid=f"old-{number}", at=at)
    first = bench.hours()
    assert len(first) == MAX_OLD_HOURS
    for number in range(MAX_OLD_HOURS):
        bench.end(Outcome.hashed, blob_cid=f"old-{number}", at=NOW)
    assert bench.hours() == []
    bench.now += BETWEEN_OLD_HOURS
    assert len(bench.hours()) == 2
