"""What a backup holds, what comes back, and what is refused."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterRunStatus, RunsFilter

from phash_dagster.analysis import Sources, make_snapshot
from phash_dagster.backup import RESTORING
from phash_dagster.backup import restore as restore_module
from phash_dagster.backup.archive import BackupError
from phash_dagster.backup.create import Source, create_backup
from phash_dagster.backup.restore import check_backup
from phash_dagster.clock import utc_now
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.after_restore import NOTE
from phash_dagster.stack import StackError, exclusive, prepare_home, recover
from phash_dagster.warehouse import ImagePosts
from phash_dagster.warehouse.compaction import COMPACTED, compact_files
from phash_dagster.warehouse.copying import still_warehouse
from phash_dagster.warehouse.image_posts import SCHEMA
from tests.backup.conftest import Databases
from tests.backup.pipelines import CURSOR, FILES, Stores, clean_environment, moderate_hour
from tests.warehouse.test_image_posts import HOUR

pytestmark = pytest.mark.slow

New = Callable[[str], Stores]


def test_everything_comes_back(stores: Stores, new_stores: New, tmp_path: Path) -> None:
    before = stores.contents()
    assert before["cursor"] == CURSOR
    assert len(before["runs"]) == len(before["ledger"]) == 2
    made = stores.backup(tmp_path / "backup.zip")
    assert check_backup(tmp_path / "backup.zip") == made
    other = new_stores("two")
    other.restore(tmp_path / "backup.zip")
    assert other.contents() == before
    assert stores.contents() == before, "a backup changes nothing"
    assert not (other.settings.data_dir / RESTORING).exists()


def test_what_comes_back_goes_on(stores: Stores, new_stores: New, tmp_path: Path) -> None:
    stores.backup(tmp_path / "backup.zip")
    other = new_stores("two")
    other.restore(tmp_path / "backup.zip")
    other.act("3kthree")
    numbers = [action.action_id for action in other.actions()]
    assert len(set(numbers)) == 3
    with other.instance() as instance:
        moderate_hour.execute_in_process(instance=instance)
        assert instance.get_runs_count() == 3
    with other.warehouse.write() as connection:
        connection.execute("INSERT INTO partition_matches VALUES ('i', 'v', now())")


def test_a_run_in_progress_is_repeated_after_a_restore(
    stores: Stores, new_stores: New, tmp_path: Path
) -> None:
    with stores.instance() as instance:
        run = instance.create_run_for_job(moderate_hour, status=DagsterRunStatus.STARTED)
    stores.backup(tmp_path / "backup.zip")
    other = new_stores("two")
    other.restore(tmp_path / "backup.zip")
    assert recover(prepare_home(other.settings, clean_environment())) == [run.run_id]
    with other.instance() as instance:
        failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE])
        assert [one.run_id for one in instance.get_runs(failed)] == [run.run_id]


def test_a_restored_ledger_is_known_to_be_one_of_the_past(
    stores: Stores, new_stores: New, tmp_path: Path
) -> None:
    stores.backup(tmp_path / "backup.zip")
    other = new_stores("two")
    other.restore(tmp_path / "backup.zip")
    assert (other.settings.data_dir / NOTE).exists()


@pytest.mark.parametrize("storage", ["sqlite"])
def test_a_ledger_moves_from_sqlite_to_postgresql_and_back(
    stores: Stores, new_database: Databases, tmp_path: Path
) -> None:
    before = stores.actions()
    stores.backup(tmp_path / "one.zip")
    there = Stores(tmp_path / "there", {"LEDGER_URL": new_database()})
    there.restore(tmp_path / "one.zip")
    assert there.actions() == before
    there.act("3kthree")
    assert [action.action_id for action in there.actions()] == [1, 2, 3]
    there.backup(tmp_path / "two.zip")
    back = Stores(tmp_path / "back")
    back.restore(tmp_path / "two.zip")
    assert back.actions() == there.actions()


@pytest.mark.parametrize("storage", ["postgresql"])
def test_a_newer_ledger_is_kept_where_it_is_asked_for(stores: Stores, tmp_path: Path) -> None:
    stores.backup(tmp_path / "backup.zip")
    stores.act("3kafter")
    # The machine is lost, and its Dagster storage; the ledger is elsewhere.
    other = Stores(tmp_path / "two", {"LEDGER_URL": stores.variables["LEDGER_URL"]})
    with pytest.raises(BackupError, match="--keep-ledger"):
        other.restore(tmp_path / "backup.zip")
    assert not any(other.settings.data_dir.glob("*"))


@pytest.mark.parametrize("storage", ["postgresql"])
def test_with_a_kept_ledger_ozone_need_not_be_asked(
    stores: Stores, new_database: Databases, tmp_path: Path
) -> None:
    stores.backup(tmp_path / "backup.zip")
    stores.act("3kafter")
    variables = {**stores.variables, "DAGSTER_STORAGE_URL": new_database()}
    other = Stores(tmp_path / "two", variables)
    assert other.restore(tmp_path / "backup.zip", keep_ledger=True).ledger_kept
    assert len(other.actions()) == 3
    assert not (other.settings.data_dir / NOTE).exists()


@pytest.mark.parametrize("storage", ["sqlite"])
class TestOnSqlite:
    """What does not depend on the database."""

    def test_nothing_is_overwritten(self, stores: Stores, tmp_path: Path) -> None:
        stores.backup(tmp_path / "backup.zip")
        before = stores.contents()
        with pytest.raises(BackupError, match="not empty"):
            stores.restore(tmp_path / "backup.zip")
        assert stores.contents() == before

    def test_empty_folders_may_be_there(self, stores: Stores, tmp_path: Path) -> None:
        stores.backup(tmp_path / "backup.zip")
        other = Stores(tmp_path / "two")
        (other.settings.data_dir / "dagster").mkdir(parents=True)
        other.restore(tmp_path / "backup.zip")
        assert other.contents() == stores.contents()

    def test_storage_of_another_kind_is_refused(
        self, stores: Stores, new_database: Databases, tmp_path: Path
    ) -> None:
        stores.backup(tmp_path / "backup.zip")
        other = Stores(tmp_path / "two", {"DAGSTER_STORAGE_URL": new_database()})
        with pytest.raises(BackupError, match="unset DAGSTER_STORAGE_URL"):
            other.restore(tmp_path / "backup.zip")

    def test_rule_files_that_are_there_are_left_alone(self, stores: Stores, tmp_path: Path) -> None:
        stores.backup(tmp_path / "backup.zip")
        other = Stores(tmp_path / "two")
        other.settings.rules_dir.mkdir(parents=True)
        (other.settings.rules_dir / "newer.json").write_text("[ ]")
        done = other.restore(tmp_path / "backup.zip")
        assert [path.name for path in other.settings.rules_dir.iterdir()] == ["newer.json"]
        assert (other.settings.data_dir / "restored-rules/blobs.json").read_text() == "[]"
        assert "restored-rules" in done.rules

    def test_secrets_are_not_in_it(self, stores: Stores, tmp_path: Path) -> None:
        stores.settings.session_path.write_text("a token")
        stores.backup(tmp_path / "backup.zip")
        with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
            assert stores.settings.session_path.name not in str(archive.namelist())
            assert not any(b"a token" in archive.read(name) for name in archive.namelist())

    def test_a_backup_is_not_kept_with_what_it_is_of(self, stores: Stores) -> None:
        with pytest.raises(BackupError, match="inside of DATA_DIR"):
            stores.backup(stores.settings.data_dir / "backup.zip")

    def test_files_are_as_old_as_they_were(self, stores: Stores, tmp_path: Path) -> None:
        def times(of: Stores) -> dict[str, int]:
            folder = of.settings.data_dir / "ingest_batches"
            return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

        stores.backup(tmp_path / "backup.zip")
        other = Stores(tmp_path / "two")
        other.restore(tmp_path / "backup.zip")
        assert times(other) == times(stores) != {}

    def test_the_snapshot_for_questions_is_not_in_it(self, stores: Stores, tmp_path: Path) -> None:
        posts = ImagePosts(stores.settings.image_posts_dir)
        sources = Sources(stores.warehouse, posts, IngestRecords.under(stores.settings.data_dir))
        make_snapshot(sources, stores.settings.analytics_path, utc_now)
        files = stores.backup(tmp_path / "backup.zip").files
        assert files
        assert not [name for name in files if "analytics" in name]

    def test_parquet_files_of_earlier_days_can_be_left_out(
        self, stores: Stores, tmp_path: Path
    ) -> None:
        made = stores.backup(tmp_path / "backup.zip", first_day="2026-11-24")
        assert not [name for name in made.files if "image_posts/hour" in name]
        again = stores.backup(tmp_path / "again.zip", first_day="2026-11-23")
        assert len([name for name in again.files if "image_posts/hour" in name]) == len(FILES)

    def test_files_that_are_compacted_meanwhile_are_not_missed(
        self, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        posts = ImagePosts(stores.settings.image_posts_dir)
        before = stores.contents()["posts"]

        def compact(step: str) -> None:
            if step.startswith("Parquet"):
                compact_files(posts.files([HOUR]), SCHEMA)

        made = stores.backup(tmp_path / "backup.zip", on_step=compact)
        assert [name for name in made.files if COMPACTED in name]
        other = Stores(tmp_path / "two")
        other.restore(tmp_path / "backup.zip")
        assert other.contents()["posts"] == before

    def test_a_file_that_goes_meanwhile_brings_no_store_in_by_the_back_door(
        self, stores: Stores, tmp_path: Path
    ) -> None:
        gone = stores.settings.data_dir / "short-lived.json"
        gone.write_text("{}")

        def remove(step: str) -> None:
            if step.startswith("Parquet"):
                gone.unlink()

        made = stores.backup(tmp_path / "backup.zip", on_step=remove)
        assert not [name for name in made.files if name.startswith("data/warehouse")]
        assert not [name for name in made.files if name.startswith("data/ledger")]
        assert "data/short-lived.json" not in made.files

    def test_a_folder_on_another_disk_is_in_it(self, stores: Stores, tmp_path: Path) -> None:
        posts = stores.settings.image_posts_dir
        posts.rename(tmp_path / "large-disk")
        posts.symlink_to(tmp_path / "large-disk")
        made = stores.backup(tmp_path / "backup.zip")
        assert len([name for name in made.files if "image_posts/hour" in name]) == len(FILES)

    def test_half_a_restore_is_not_started_on(
        self, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stores.backup(tmp_path / "backup.zip")
        other = Stores(tmp_path / "two")

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(restore_module, "_put_databases", cut)
        with pytest.raises(KeyboardInterrupt):
            other.restore(tmp_path / "backup.zip")
        with (
            pytest.raises(StackError, match=r"a restore .* was interrupted"),
            exclusive(other.settings),
        ):
            pass

    def test_a_damaged_backup_leaves_nothing_behind(self, stores: Stores, tmp_path: Path) -> None:
        stores.backup(tmp_path / "backup.zip")
        data = bytearray((tmp_path / "backup.zip").read_bytes())
        data[len(data) // 2] ^= 0xFF
        (tmp_path / "backup.zip").write_bytes(data)
        other = Stores(tmp_path / "two")
        with pytest.raises(BackupError):
            other.restore(tmp_path / "backup.zip")
        assert not any(other.settings.data_dir.glob("*"))
        assert not other.settings.rules_dir.exists()

    def test_nobody_writes_to_the_warehouse_while_it_is_copied(
        self, stores: Stores, tmp_path: Path
    ) -> None:
        with still_warehouse(stores.warehouse) as still:
            still.copy_to(tmp_path / "copy.duckdb")
            # Reading the file must not have given its lock away.
            assert writing_from_another_process_fails(stores.settings.warehouse_path)
        with duckdb.connect(tmp_path / "copy.duckdb", read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM partition_matches").fetchone() == (1,)

    def test_an_empty_folder_is_nothing_to_back_up(self, stores: Stores, tmp_path: Path) -> None:
        empty = Stores(tmp_path / "empty")
        with stores.dagster() as dagster, pytest.raises(BackupError, match="nothing to back up"):
            create_backup(Source(empty.settings, dagster), tmp_path / "backup.zip")


def writing_from_another_process_fails(path: Path) -> bool:
    script = f"import duckdb; duckdb.connect({str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    return done.returncode != 0 and "lock" in done.stderr
