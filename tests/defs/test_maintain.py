"""The nightly job: what it removes, what it leaves, and what it says."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from phash_dagster.defs import old_runs
from phash_dagster.defs.maintain import held_by_runs, maintain
from phash_dagster.defs.old_runs import (
    old_tick_logs,
    overtaken_runs,
    sqlite_files,
    vacuum,
)
from phash_dagster.defs.partitions import HOURLY
from phash_dagster.defs.preview import preview_rules
from phash_dagster.defs.tags import RANGE_END, RANGE_START
from phash_dagster.jetstream import Cursor
from tests.defs.sensor_state import sqlite_instance, store_cursor
from tests.maintenance.past import NOW, Past, full_past, hours_of

pytestmark = pytest.mark.slow

HOURS = ["2026-11-20-10:00", "2026-11-20-11:00"]
WEEK = timedelta(days=7)


@dg.asset(partitions_def=HOURLY, backfill_policy=dg.BackfillPolicy.single_run())
def rule_matches(context: dg.AssetExecutionContext) -> None:
    """Stands in for the real one."""
    if context.run.tags.get("fail"):
        raise dg.Failure("as told", allow_retries=False)


@dg.asset
def rules() -> None:
    """Has no hours."""


rematch = dg.define_asset_job("rematch_hours", [rule_matches], executor_def=dg.in_process_executor)
load = dg.define_asset_job("load_rules", [rules], executor_def=dg.in_process_executor)
DEFINITIONS = dg.Definitions(assets=[rule_matches, rules], jobs=[rematch, load])


@dataclass
class Dagster:
    """Dagster on SQLite."""

    instance: dg.DagsterInstance

    def rematch(self, *hours: str, **tags: str) -> str:
        result = DEFINITIONS.resolve_job_def("rematch_hours").execute_in_process(
            instance=self.instance,
            tags={RANGE_START: hours[0], RANGE_END: hours[-1], **tags},
            raise_on_error=False,
        )
        return result.run_id

    def load(self) -> str:
        return (
            DEFINITIONS.resolve_job_def("load_rules")
            .execute_in_process(instance=self.instance)
            .run_id
        )

    def overtaken(self, days: float) -> set[str]:
        """What is expendable so many days from now."""
        later = datetime.now(UTC) + timedelta(days=days)
        return set(overtaken_runs(self.instance, now=later, successful_stay=WEEK))

    def maintain(self, past: Past, **files: Any) -> dict[str, Any]:
        done = maintain.execute_in_process(
            instance=self.instance,
            run_config={"ops": {"maintain_files": {"config": files}}},
            resources={
                "settings": past.stores.settings,
                "warehouse": past.stores.warehouse,
                "posts": past.stores.posts,
                "ingest": past.stores.ingest,
                "clock": lambda: NOW,
            },
        )
        [event] = [
            event
            for event in done.all_events
            if event.is_successful_output and event.step_key == "maintain_files"
        ]
        return {name: value.value for name, value in event.step_output_data.metadata.items()}


@pytest.fixture
def dagster(tmp_path: Path) -> Iterator[Dagster]:
    with sqlite_instance(tmp_path / "dagster") as instance:
        yield Dagster(instance)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return full_past(tmp_path / "data")


def test_of_runs_over_hours_those_go_that_later_ones_have_overtaken(dagster: Dagster) -> None:
    first, last = dagster.rematch(*HOURS), dagster.rematch(*HOURS)
    assert dagster.overtaken(8) == {first}
    assert last not in dagster.overtaken(400)


def test_a_run_stays_while_it_has_the_latest_state_of_one_hour(dagster: Dagster) -> None:
    both = dagster.rematch(*HOURS)
    dagster.rematch(HOURS[0])
    assert both not in dagster.overtaken(400)
    dagster.rematch(HOURS[1])
    assert both in dagster.overtaken(400)


def test_an_asset_without_hours_keeps_its_latest_run(dagster: Dagster) -> None:
    first, last = dagster.load(), dagster.load()
    assert dagster.overtaken(400) == {first}
    assert last not in dagster.overtaken(400)


def test_successful_runs_stay_for_a_week_and_failed_ones_for_a_month(dagster: Dagster) -> None:
    succeeded, failed = dagster.rematch(*HOURS), dagster.rematch(*HOURS, fail="yes")
    dagster.rematch(*HOURS)
    assert dagster.overtaken(6) == set()
    assert dagster.overtaken(8) == {succeeded}
    assert dagster.overtaken(31) == {succeeded, failed}


def test_logs_of_ticks_go_after_a_month(dagster: Dagster, tmp_path: Path) -> None:
    store_cursor(dagster.instance, Cursor(2))
    logs = Path(dagster.instance.root_directory) / "storage" / "__repository__"
    for name, days in (("jetstream_sensor/1.err", 31), ("jetstream_sensor/2.err", 29)):
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("trouble")
        then = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (then, then))
    assert old_tick_logs(dagster.instance, now=NOW) == [logs / "jetstream_sensor" / "1.err"]


@pytest.mark.parametrize("others_wait", [True, False])
def test_a_file_with_much_free_space_is_rewritten_unless_others_would_wait_long(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch, *, others_wait: bool
) -> None:
    monkeypatch.setattr(old_runs, "MIN_FREE_BYTES", 1)
    monkeypatch.setattr(old_runs, "MAX_BYTES_ONLINE", 1)
    run_id = dagster.load()
    [runs] = [file for file in sqlite_files(dagster.instance) if file.path.name == "runs.db"]
    with closing(sqlite3.connect(runs.path)) as connection:
        connection.execute("CREATE TABLE filler AS SELECT zeroblob(3000000) AS padding")
        connection.execute("DROP TABLE filler")
    said = vacuum(sqlite_files(dagster.instance), others_wait=others_wait)
    assert ("stop the pipeline" in said["runs.db"]) is others_wait
    size = runs.path.stat().st_size
    assert (size > 3_000_000) is others_wait
    assert dagster.instance.get_run_by_id(run_id)


def test_by_default_posts_are_kept_for_ever(dagster: Dagster, past: Past) -> None:
    before = past.posted()
    found = dagster.maintain(past)
    assert found["expired_before"] == "nothing expires"
    assert past.posted() == before


def test_what_has_expired_is_removed_and_told(dagster: Dagster, past: Past) -> None:
    found = dagster.maintain(past, retention_days=5)
    assert past.posted() == {"again", "new"}
    assert (found["hours_removed"], found["images_forgotten"]) == (3, 3)


def test_a_dry_run_tells_the_same_and_changes_nothing(dagster: Dagster, past: Past) -> None:
    before = past.posted()
    found = dagster.maintain(past, retention_days=5, dry_run=True)
    oldest, *_, newest = hours_of(10, 9.9, 9)
    assert found["expired_hours"] == f"3: {oldest} to {newest}"
    assert past.posted() == before


def start(dagster: Dagster, job: dg.JobDefinition, **tags: str) -> str:
    return dagster.instance.create_run_for_job(
        job, tags=tags, status=dg.DagsterRunStatus.NOT_STARTED
    ).run_id


def test_an_hour_that_a_run_waits_to_read_stays_for_now(dagster: Dagster, past: Past) -> None:
    oldest, second, third = hours_of(10, 9.9, 9)
    job = DEFINITIONS.resolve_job_def("rematch_hours")
    run_id = start(dagster, job, **{RANGE_START: oldest, RANGE_END: second})
    found = dagster.maintain(past, retention_days=5)
    assert run_id in found["hours_that_stay_for_now"]
    assert past.store.posts.partition_keys() == [oldest, second, *hours_of(1, 0.5)]
    assert third not in found["hours_that_stay_for_now"]


def test_while_rules_are_tried_on_the_past_all_of_it_stays(dagster: Dagster) -> None:
    assert held_by_runs(dagster.instance)("2026-01-01-00:00") is None
    run_id = start(dagster, preview_rules)
    assert run_id in (held_by_runs(dagster.instance)("2026-01-01-00:00") or "")
