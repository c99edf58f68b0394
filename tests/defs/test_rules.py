"""The asset `rules` and the sensors that follow the files."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from phash_dagster.defs.jobs import load_rules
from phash_dagster.defs.rule_matches import rematch_sensor
from phash_dagster.defs.rules import rules, rules_sensor
from phash_dagster.defs.tags import RULES_VERSION
from phash_dagster.rules import current_version
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import Connection, ImagePost, ImagePosts, Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
OLD_HOUR = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)


_loads = itertools.count()


def clock() -> datetime:
    """Never the same time twice: of two versions the one loaded later is in force."""
    return NOW + timedelta(seconds=next(_loads))


def entry(label: str = "troll") -> dict[str, Any]:
    return {
        "phashes": ["783101f7e7870f0f"],
        "label": label,
        "comment": "x",
        "reportAcct": False,
        "labelAcct": False,
        "reportPost": False,
        "toLabel": True,
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "rules").mkdir()
    return settings_from({"DATA_DIR": str(tmp_path), "RULES_DIR": str(tmp_path / "rules")})


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    return Warehouse(settings.warehouse_path)


def write(settings: Settings, text: str, name: str = "blobs.json") -> None:
    (settings.rules_dir / name).write_text(text)


def events(settings: Settings, warehouse: Warehouse) -> list[Any]:
    yielded: Any = rules(settings=settings, warehouse=warehouse, clock=clock)
    return list(yielded)


def load(settings: Settings, warehouse: Warehouse) -> dg.MaterializeResult[None]:
    result, _check = events(settings, warehouse)
    assert isinstance(result, dg.MaterializeResult)
    return result


def run_load_rules(
    instance: dg.DagsterInstance, settings: Settings, warehouse: Warehouse
) -> dg.ExecuteInProcessResult:
    """As Dagster runs it."""
    given = {"settings": settings, "warehouse": warehouse, "clock": clock}
    defs = dg.Definitions(assets=[rules], jobs=[load_rules], resources=given)
    job = defs.resolve_job_def("load_rules")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def check_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def version_in_force(warehouse: Warehouse) -> str | None:
    with warehouse.read() as connection:
        found = current_version(connection)
    return found.version if found else None


def test_good_files_come_into_force_under_the_hash_of_their_content(
    settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    result = load(settings, warehouse)
    assert result.data_version == dg.DataVersion(str(version_in_force(warehouse)))
    write(settings, json.dumps([entry()], indent=4))
    assert load(settings, warehouse).data_version == result.data_version


class SlowWarehouse(Warehouse):
    """While a load waits for the database, the files change and the load of that is quicker."""

    def __init__(self, settings: Settings, later: str) -> None:
        super().__init__(settings.warehouse_path)
        self.settings = settings
        self.later: str | None = later

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.later is not None:
            write(self.settings, self.later)
            self.later = None
            load(self.settings, Warehouse(self.path))
        with super().write() as connection:
            yield connection


def test_a_load_that_waited_for_the_database_does_not_bring_older_files_into_force(
    settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry("older")]))
    slow = SlowWarehouse(settings, json.dumps([entry("later")]))
    load(settings, slow)
    with warehouse.read() as connection:
        in_force = current_version(connection)
    assert in_force is not None
    assert [rule.label for rule in in_force.rules] == ["later"]


def test_a_bad_file_fails_clearly_and_the_old_rules_stay_in_force(
    settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    before = version_in_force(warehouse)
    write(settings, json.dumps([entry() | {"phashes": ["07870707"]}]))
    with pytest.raises(dg.Failure) as caught:
        events(settings, warehouse)
    message = str(caught.value.description)
    assert "The rules stay as they were" in message
    assert "blobs.json" in message
    assert "07870707" in message
    assert caught.value.allow_retries is False
    assert version_in_force(warehouse) == before


def test_the_check_is_green_when_nothing_is_wrong(
    instance: dg.DagsterInstance, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    check = check_of(run_load_rules(instance, settings, warehouse))
    assert (check.check_name, check.passed) == ("rules_lint", True)


def test_the_check_is_red_with_the_error_though_the_load_fails(
    instance: dg.DagsterInstance, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry() | {"label": "a b"}]))
    result = run_load_rules(instance, settings, warehouse)
    assert not result.success
    check = check_of(result)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "last good version stays in force" in (check.description or "")
    assert "blobs.json, rule 1, label" in (check.description or "")


def test_the_check_is_red_with_dangers_and_the_rules_come_into_force(
    instance: dg.DagsterInstance, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry() | {"phashes": ["783101f7e7870f0f", "f" * 16]}]))
    result = run_load_rules(instance, settings, warehouse)
    assert result.success
    check = check_of(result)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "flat-hash" in str(check.metadata["found"].value)
    with warehouse.read() as connection:
        in_force = current_version(connection)
    assert in_force is not None
    assert [aside.rule_hash for aside in in_force.set_aside] == ["f" * 16]


def test_an_empty_folder_leaves_the_last_rules_in_force(
    instance: dg.DagsterInstance, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    before = version_in_force(warehouse)
    (settings.rules_dir / "blobs.json").unlink()
    result = run_load_rules(instance, settings, warehouse)
    assert not result.success
    assert "no rule file" in (check_of(result).description or "")
    assert version_in_force(warehouse) == before


def test_a_file_with_an_empty_array_takes_all_rules_out_of_force(
    settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    before = version_in_force(warehouse)
    write(settings, "[]")
    load(settings, warehouse)
    assert version_in_force(warehouse) not in (None, before)


def metadata(result: dg.MaterializeResult[None]) -> dict[str, Any]:
    return dict(result.metadata or {})


def test_a_load_tells_what_changed(settings: Settings, warehouse: Warehouse) -> None:
    write(settings, json.dumps([entry() | {"id": "meme"}]))
    first = metadata(load(settings, warehouse))
    assert (first["changes"], first["hashes_to_match"]) == (1, 1)
    write(settings, json.dumps([entry() | {"id": "meme", "hammingThreshold": 5}]))
    second = metadata(load(settings, warehouse))
    assert "threshold 3 → 5" in second["difference"].value
    assert (second["changes"], second["hashes_to_match"]) == (1, 1)
    again = metadata(load(settings, warehouse))
    assert (again["changes"], again["hashes_to_match"]) == (0, 0)


def test_the_texts_of_the_files_are_kept(settings: Settings, warehouse: Warehouse) -> None:
    text = json.dumps([entry()], indent=3)
    write(settings, text)
    load(settings, warehouse)
    with warehouse.read() as connection:
        [(kept,)] = connection.execute(
            "FROM rule_loads SELECT files->>'$[0].text' ORDER BY load_number DESC LIMIT 1"
        ).fetchall()
    assert kept == text


def tick(
    instance: dg.DagsterInstance, settings: Settings, cursor: str | None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    result = rules_sensor(context, settings=settings)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_the_sensor_asks_for_a_load_when_and_only_when_files_change(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    write(settings, json.dumps([entry()]))
    first = tick(instance, settings, None)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests or []) == 1
    assert isinstance(tick(instance, settings, first.cursor), dg.SkipReason)
    write(settings, json.dumps([entry("other")]))
    assert isinstance(tick(instance, settings, first.cursor), dg.SensorResult)


def test_a_return_to_earlier_rules_is_a_change_too(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    write(settings, "[]")
    empty = tick(instance, settings, None)
    write(settings, json.dumps([entry()]))
    filled = tick(instance, settings, getattr(empty, "cursor", None))
    write(settings, "[]")
    again = tick(instance, settings, getattr(filled, "cursor", None))
    assert isinstance(again, dg.SensorResult)
    # A run key would make Dagster take this request for the first one.
    assert [request.run_key for request in again.run_requests or []] == [None]


def test_odd_entries_of_the_folder_do_not_stop_the_sensor(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    write(settings, "[]")
    before = tick(instance, settings, None)
    (settings.rules_dir / ".#blobs.json").symlink_to("nobody@nowhere")
    assert isinstance(tick(instance, settings, getattr(before, "cursor", None)), dg.SkipReason)
    (settings.rules_dir / "gone.json").symlink_to("nowhere")
    (settings.rules_dir / "folder.json").mkdir()
    assert isinstance(tick(instance, settings, getattr(before, "cursor", None)), dg.SensorResult)


class Rematch:
    """The rematch sensor over old hours, one at first."""

    def __init__(self, instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
        self.instance = instance
        self.warehouse = warehouse
        self.posts = ImagePosts(warehouse.path.parent / "image_posts")
        self.post(OLD_HOUR)

    def post(self, moment: datetime) -> None:
        row = ImagePost(
            time_us=int(moment.timestamp() * 1_000_000),
            seq=None,
            host="h",
            did="did:plc:a",
            collection="c",
            rkey="r",
            uri="at://did:plc:a/c/r",
            cid="cid",
            operation="create",
            blob_cid="blob",
        )
        self.posts.write_batch([row], start=f"{row.time_us}", now=NOW)

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(instance=self.instance)
        result = rematch_sensor(context, warehouse=self.warehouse, posts=self.posts, clock=clock)
        return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []

    def note(self, *tables: str) -> None:
        """Note the hour as through with the rules in force."""
        with self.warehouse.write() as connection:
            for table in tables:
                connection.execute(
                    f"INSERT OR REPLACE INTO {table} "
                    "SELECT '2026-11-20-05:00', version, now() FROM version_in_force"
                )


@pytest.fixture
def rematch(instance: dg.DagsterInstance, warehouse: Warehouse) -> Rematch:
    return Rematch(instance, warehouse)


def test_hours_that_the_rules_have_not_seen_are_asked_for(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    assert rematch.tick() == []  # no rules yet
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    [request] = rematch.tick()
    assert request.tags["dagster/asset_partition_range_start"] == "2026-11-20-05:00"
    assert request.tags["phash/lane"] == "backfill"
    assert request.tags[RULES_VERSION] == version_in_force(warehouse)


def test_hours_that_are_done_are_left_alone_until_the_rules_change(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    rematch.note("partition_matches", "partition_plans")
    assert rematch.tick() == []
    write(settings, json.dumps([entry(), entry("other")]))
    load(settings, warehouse)
    assert len(rematch.tick()) == 1


def test_hours_whose_actions_were_not_planned_are_asked_for_again(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    """As after a run whose matching succeeded and whose planning failed."""
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    rematch.note("partition_matches")
    assert len(rematch.tick()) == 1


def test_the_latest_week_comes_first(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    rematch.post(OLD_HOUR - timedelta(days=8))
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    [request] = rematch.tick()
    assert request.tags["dagster/asset_partition_range_start"] == "2026-11-20-05:00"
    rematch.note("partition_matches", "partition_plans")
    [request] = rematch.tick()
    assert request.tags["dagster/asset_partition_range_end"] == "2026-11-12-05:00"


def run_with(rematch: Rematch, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    @dg.job(name="rematch_hours")
    def rematch_hours() -> None:
        pass

    rematch.instance.create_run_for_job(rematch_hours, status=status, tags=dict(request.tags))


def test_while_a_rematch_runs_no_other_is_asked_for(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    [request] = rematch.tick()
    run_with(rematch, request, dg.DagsterRunStatus.STARTED)
    assert rematch.tick() == []


def test_a_failed_rematch_is_asked_for_again_but_not_for_ever(
    rematch: Rematch, settings: Settings, warehouse: Warehouse
) -> None:
    write(settings, json.dumps([entry()]))
    load(settings, warehouse)
    keys = set()
    for _ in range(3):
        [request] = rematch.tick()
        keys.add(request.run_key)
        run_with(rematch, request, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == 3
    assert rematch.tick() == []
