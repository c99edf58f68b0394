"""What is left of an hour that is over: one file, its assets' state, and none of its runs."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from phash_dagster.defs import compact_hours as module
from phash_dagster.defs.compact_hours import compact_hours
from phash_dagster.defs.partitions import HOURLY
from phash_dagster.defs.retention import delete_orphaned_databases, expendable
from phash_dagster.defs.sensor_state import positions_in_use
from phash_dagster.defs.tags import RANGE_END, RANGE_START
from phash_dagster.ingest import IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePosts
from phash_dagster.warehouse.compaction import COMPACTED, compact_files
from tests.defs.sensor_state import postgresql_instance, sqlite_instance, store_cursor
from tests.ingest.records import record
from tests.testnet.postgres import Postgres
from tests.warehouse.test_image_posts import HOUR, NOW, image, later

pytestmark = pytest.mark.slow

_names = (f"retention_{number}" for number in itertools.count())
LATER = NOW + timedelta(hours=4)
HASHES = dg.AssetKey("image_hashes")


@dg.asset(
    partitions_def=HOURLY,
    check_specs=[dg.AssetCheckSpec("coverage", asset="image_hashes")],
)
def image_hashes(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Stands in for the real one; tells which of the hour's runs it was."""
    if context.run.tags.get("fail"):
        raise dg.Failure("as told", allow_retries=False)
    print("something for the log")
    context.log_event(dg.AssetMaterialization("image_posts", partition=context.partition_key))
    return dg.MaterializeResult(
        metadata={"number": int(context.run.tags["number"])},
        data_version=dg.DataVersion("v" + context.run.tags["number"]),
        check_results=[dg.AssetCheckResult(passed=True)],
    )


moderate_hour = dg.define_asset_job(
    "moderate_hour", selection=[image_hashes], executor_def=dg.in_process_executor
)


@dataclass
class Stack:
    """Dagster on SQLite, and the files."""

    instance: dg.DagsterInstance
    settings: Settings
    posts: ImagePosts
    ingest: IngestRecords
    now: datetime = LATER

    def run_hour(self, number: int, hour: str = HOUR, **tags: str) -> str:
        job = dg.Definitions(assets=[image_hashes], jobs=[moderate_hour]).resolve_job_def(
            "moderate_hour"
        )
        result = job.execute_in_process(
            partition_key=hour,
            instance=self.instance,
            tags={"number": str(number), **tags},
            raise_on_error=False,
        )
        return result.run_id

    def compact(self, *, success: bool = True) -> dg.ExecuteInProcessResult:
        result = compact_hours.execute_in_process(
            instance=self.instance,
            resources={
                "settings": self.settings,
                "posts": self.posts,
                "ingest": self.ingest,
                "clock": lambda: self.now,
            },
            raise_on_error=success,
        )
        assert result.success is success
        return result

    def run_ids(self, job: str = "moderate_hour") -> list[str]:
        return [run.run_id for run in self.instance.get_runs(dg.RunsFilter(job_name=job))]

    def latest(self) -> dg.AssetMaterialization | None:
        event = self.instance.get_latest_materialization_event(HASHES)
        return event.asset_materialization if event else None

    def files(self, hour: str = HOUR) -> list[str]:
        return [path.name for path in self.posts.files([hour])]

    @property
    def home(self) -> Path:
        return Path(self.instance.root_directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str:
    """What Dagster keeps its runs and events in."""
    return str(request.param)


@pytest.fixture
def stack(storage: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    settings = settings_from({"DATA_DIR": str(tmp_path / "data")})
    with open_instance(storage, request, tmp_path / "dagster") as instance:
        yield Stack(
            instance,
            settings,
            ImagePosts(settings.image_posts_dir),
            IngestRecords(settings.data_dir / "ingest_batches"),
        )


def open_instance(storage: str, request: pytest.FixtureRequest, folder: Path) -> dg.DagsterInstance:
    if storage == "sqlite":
        return sqlite_instance(folder)
    server: Postgres = request.getfixturevalue("postgres")
    name = next(_names)
    server.create_database(name)
    return postgresql_instance(folder, server.url(name, scheme="postgresql+psycopg2"))


def write_files(stack: Stack) -> None:
    for number, start in enumerate(("1-0-0-1", "2-0-0-2", "3-0-0-3")):
        stack.posts.write_batch([later(image(start), number)], start=start, now=NOW)


def test_the_hour_becomes_one_file(stack: Stack) -> None:
    write_files(stack)
    stack.compact()
    assert stack.files() == [COMPACTED]


def test_an_hour_that_is_not_over_long_enough_is_left_alone(stack: Stack) -> None:
    write_files(stack)
    run_id = stack.run_hour(1)
    stack.now = NOW + timedelta(hours=2)
    stack.compact()
    assert len(stack.files()) == 3
    assert stack.run_ids() == [run_id]


def test_the_file_that_a_batch_may_still_overwrite_is_left_alone(stack: Stack) -> None:
    write_files(stack)
    stack.ingest.write(record("2-0-0-2", ended=NOW))
    stack.ingest.write(record("1-0-0-1", ended=NOW))
    store_cursor(stack.instance, Cursor(2, batch=2))
    stack.compact()
    assert stack.files() == ["2-0-0-2.parquet", COMPACTED]
    assert sorted(path.name for path in stack.ingest.files()) == ["2-0-0-2.parquet", COMPACTED]


def test_the_cursor_is_asked_for_after_the_files_were_listed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            order.append(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(ImagePosts, "files", noting("files", ImagePosts.files))
    monkeypatch.setattr(
        IngestRecords, "settled_files", noting("files", IngestRecords.settled_files)
    )
    for name, function in (("cursor", positions_in_use), ("compact", compact_files)):
        target = f"phash_dagster.defs.compact_hours.{function.__name__}"
        monkeypatch.setattr(target, noting(name, function))
    write_files(stack)
    stack.ingest.write(record("1-0-0-1", ended=NOW))
    stack.compact()
    assert order == ["files", "files", "cursor", "compact", "compact"]


def test_the_last_state_of_the_assets_stays_and_the_runs_go(stack: Stack) -> None:
    for number in (1, 2):
        stack.run_hour(number)
    compaction = stack.compact()
    assert stack.run_ids() == []
    latest = stack.latest()
    assert latest is not None
    assert latest.partition == HOUR
    assert latest.metadata["number"].value == 2
    assert (latest.tags or {})["dagster/data_version"] == "v2"
    for name in ("image_hashes", "image_posts"):
        key = dg.AssetKey(name)
        assert stack.instance.get_materialized_partitions(key) == {HOUR}
        [event] = stack.instance.fetch_materializations(key, limit=9).records
        assert event.run_id == compaction.run_id


def test_nothing_of_a_deleted_run_is_left_on_disk(stack: Stack) -> None:
    run_id = stack.run_hour(1)
    assert [path for path in stack.home.rglob("*") if run_id in str(path)]
    stack.compact()
    assert not [path for path in stack.home.rglob("*") if run_id in str(path)]


def rows_that_name(instance: dg.DagsterInstance, run_id: str) -> dict[str, int]:
    """How many rows of each table of Dagster's storage hold this text anywhere."""
    storage = instance.event_log_storage
    found = {}
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        for table in sa.inspect(connection).get_table_names():
            whole_row = f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE :pattern"
            rows = connection.execute(sa.text(whole_row), {"pattern": f"%{run_id}%"}).scalar()
            found[table] = int(rows or 0)
    return {table: rows for table, rows in found.items() if rows}


@pytest.mark.parametrize("storage", ["postgresql"])
def test_nothing_of_a_deleted_run_is_left_in_postgresql(stack: Stack) -> None:
    gone = stack.run_hour(1)
    # Of the last one the state of the assets and checks stays, which names it.
    stack.run_hour(2)
    kept = stack.run_hour(3, "2026-11-23-23:00")
    assert {"runs", "event_logs"} <= rows_that_name(stack.instance, gone).keys()
    stack.compact()
    assert rows_that_name(stack.instance, gone) == {}
    assert {"runs", "event_logs"} <= rows_that_name(stack.instance, kept).keys()


def check_evaluations(instance: dg.DagsterInstance) -> int:
    storage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        return len(connection.execute(AssetCheckExecutionsTable.select()).fetchall())


def test_of_check_evaluations_the_last_stays(stack: Stack) -> None:
    for number in (1, 2, 3):
        stack.run_hour(number)
    assert check_evaluations(stack.instance) >= 3
    stack.compact()
    assert check_evaluations(stack.instance) == 1
    key = dg.AssetCheckKey(HASHES, "coverage")
    latest = stack.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert latest[key].event is not None


def test_a_second_compaction_reports_and_deletes_nothing_more(stack: Stack) -> None:
    write_files(stack)
    stack.run_hour(1)
    stack.compact()
    stack.compact()
    assert len(stack.instance.fetch_materializations(HASHES, limit=9).records) == 1


def test_a_late_run_of_the_hour_is_compacted_in_its_turn(stack: Stack) -> None:
    stack.run_hour(1)
    stack.compact()
    stack.run_hour(2)
    stack.compact()
    latest = stack.latest()
    assert latest is not None
    assert latest.metadata["number"].value == 2
    assert stack.run_ids() == []


def test_failed_runs_stay_for_thirty_days_with_the_success_after_them(stack: Stack) -> None:
    stack.run_hour(1)
    failed = stack.run_hour(2, fail="yes")
    succeeded = stack.run_hour(3)
    stack.compact()
    assert set(stack.run_ids()) == {failed, succeeded}
    stack.now = datetime.now(UTC) + timedelta(days=31)
    stack.compact()
    assert stack.run_ids() == []
    assert stack.instance.get_materialized_partitions(HASHES) == {HOUR}


def test_an_hour_with_a_run_under_way_is_left_alone(stack: Stack) -> None:
    write_files(stack)
    finished = stack.run_hour(1)
    waiting = stack.instance.create_run_for_job(
        dg.Definitions(assets=[image_hashes], jobs=[moderate_hour]).resolve_job_def(
            "moderate_hour"
        ),
        tags={"dagster/partition": HOUR},
        status=dg.DagsterRunStatus.STARTED,
    )
    stack.compact()
    assert len(stack.files()) == 3
    assert set(stack.run_ids()) == {finished, waiting.run_id}


@pytest.mark.parametrize(
    "tags",
    [
        {"dagster/partition": HOUR},
        {RANGE_START: "2026-11-23-10:00", RANGE_END: HOUR},
        {RANGE_START: HOUR, RANGE_END: "2026-11-23-23:00"},
    ],
    ids=["the hour", "a range that ends with it", "a range that begins with it"],
)
def test_an_hour_that_a_run_of_another_job_reads_is_left_alone(
    stack: Stack, tags: dict[str, str]
) -> None:
    write_files(stack)
    stack.instance.create_run_for_job(
        dg.Definitions(assets=[image_hashes]).resolve_implicit_global_asset_job_def(),
        tags=tags,
        status=dg.DagsterRunStatus.STARTED,
    )
    stack.compact()
    assert len(stack.files()) == 3


def test_runs_under_way_are_asked_for_again_before_each_hour(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = iter(([], [(HOUR, HOUR)]))
    monkeypatch.setattr(module, "busy_spans", lambda _: next(spans))
    write_files(stack)
    stack.compact()
    assert len(stack.files()) == 3


def test_a_broken_file_fails_the_run_at_its_end_and_the_other_hours_are_done(
    stack: Stack,
) -> None:
    write_files(stack)
    earlier = "2026-11-23-18:00"
    stack.posts.folder(earlier).mkdir(parents=True)
    (stack.posts.folder(earlier) / "1-0-0-9.parquet").write_bytes(b"nothing")
    broken, whole = stack.run_hour(1, earlier), stack.run_hour(2)
    result = stack.compact(success=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "1-0-0-9.parquet" in str(failure.step_failure_data.user_failure_data)
    assert stack.files() == [COMPACTED]
    assert broken in stack.run_ids()
    assert whole not in stack.run_ids()


def test_a_run_deletes_a_bounded_number_and_the_next_goes_on(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 1)
    hours = ["2026-11-23-17:00", "2026-11-23-18:00"]
    kept = [stack.run_hour(number, hour) for number, hour in enumerate(hours)]
    stack.compact()
    assert stack.run_ids() == kept[1:]
    stack.compact()
    assert stack.run_ids() == []


@pytest.mark.parametrize("storage", ["sqlite"])
def test_a_database_left_by_a_killed_deletion_is_found(stack: Stack) -> None:
    kept, gone = stack.run_hour(1), stack.run_hour(2)
    stack.instance.run_storage.delete_run(gone)
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    assert delete_orphaned_databases(stack.instance, now=datetime.now(UTC)) == 0
    assert delete_orphaned_databases(stack.instance, now=tomorrow) == 1
    databases = {path.stem for path in (stack.home / "history" / "runs").glob("*.db")}
    assert kept in databases
    assert gone not in databases
    assert "index" in databases


def test_without_failures_every_run_is_expendable(stack: Stack) -> None:
    stack.run_hour(1)
    stack.run_hour(2)
    records = stack.instance.get_run_records()
    assert len(expendable(records, now=LATER)) == 2
