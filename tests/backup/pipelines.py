"""A pipeline's stores with something in each, without its processes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
from dagster import DagsterInstance
from dagster import job as dagster_job

from phash_dagster.backup.create import Source, create_backup
from phash_dagster.backup.manifest import Manifest
from phash_dagster.backup.parts import DagsterStorage
from phash_dagster.backup.restore import Restored, Target, restore_backup
from phash_dagster.defs.sensor_state import stored_cursor
from phash_dagster.defs.storage_copy import storage_of
from phash_dagster.ingest import IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import dagster_instance, prepare_home
from phash_dagster.warehouse import ImagePosts, Warehouse
from tests.defs.sensor_state import store_cursor
from tests.ingest.records import record
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_post
from tests.warehouse.test_image_posts import image, later

CURSOR = Cursor(4, host="h", batch=4)
FILES = ("1-0-0-1", "2-0-0-2", "3-0-0-3")


@dagster_job(name="moderate_hour")
def moderate_hour() -> None:
    """Stands for the real job: only its runs matter here."""


@dataclass
class Stores:
    """What a pipeline keeps, under one folder and in databases of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        own = {"DATA_DIR": f"{self.folder}/data", "RULES_DIR": f"{self.folder}/rules"}
        return settings_from({**own, **self.variables})

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.settings.warehouse_path)

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        with dagster_instance(prepare_home(self.settings, clean_environment())) as instance:
            yield instance

    @contextmanager
    def dagster(self) -> Iterator[DagsterStorage]:
        with self.instance() as instance:
            yield storage_of(instance)

    def backup(self, target: Path, **options: Any) -> Manifest:
        with self.dagster() as dagster:
            return create_backup(Source(self.settings, dagster, lambda: NOW), target, **options)

    def restore(self, path: Path, **options: Any) -> Restored:
        return restore_backup(path, Target(self.settings, self.dagster, lambda: NOW), **options)

    def fill(self) -> None:
        """Put something into every store."""
        settings = self.settings
        posts, ingest = ImagePosts(settings.image_posts_dir), IngestRecords.under(settings.data_dir)
        for number, start in enumerate(FILES):
            posts.write_batch([later(image(start), number)], start=start, now=NOW)
            ingest.write(record(start, ended=NOW))
        with self.warehouse.write() as connection:
            connection.execute("INSERT INTO partition_matches VALUES ('h', 'v', now())")
        self.act("3kone", "3ktwo")
        settings.rules_dir.mkdir()
        (settings.rules_dir / "blobs.json").write_text("[]")
        settings.reports_dir.mkdir()
        (settings.reports_dir / "latest.html").write_text("a report")
        with self.instance() as instance:
            store_cursor(instance, CURSOR)
            for _ in range(2):
                moderate_hour.execute_in_process(instance=instance)

    def take_over(self, other: "Stores") -> None:
        """Be a copy of another place, as if it had been filled like that one."""
        shutil.copytree(other.folder, self.folder, dirs_exist_ok=True)
        prepare_home(self.settings, clean_environment())

    def act(self, *rkeys: str) -> None:
        with Ledger(self.settings.effective_ledger_url, ManualClock()) as ledger:
            assert ledger.record(map(action_on_post, rkeys), claim_ttl=TTL) == len(rkeys)

    def actions(self) -> list[Action]:
        with Ledger(self.settings.effective_ledger_url) as ledger:
            return ledger.changed_since(datetime(1970, 1, 1, tzinfo=UTC))

    def contents(self) -> dict[str, Any]:
        """Everything that must come back."""
        settings = self.settings
        posts = ImagePosts(settings.image_posts_dir)
        files = posts.files(posts.partition_keys())
        with self.instance() as instance:
            runs = {run.run_id: run.status for run in instance.get_runs()}
            cursor = stored_cursor(instance)
        with duckdb.connect(settings.warehouse_path, read_only=True) as connection:
            tables = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
            rows = {
                name: sorted(map(repr, connection.execute(f"FROM {name}").fetchall()))
                for name in tables
            }
        return {
            "posts": sorted(map(repr, ds.dataset(files).to_table().to_pylist())),
            "records": sorted(p.name for p in IngestRecords.under(settings.data_dir).files()),
            "warehouse": rows,
            "ledger": self.actions(),
            "runs": runs,
            "cursor": cursor,
            "rules": {p.name: p.read_text() for p in settings.rules_dir.iterdir()},
            "report": (settings.reports_dir / "latest.html").read_text(),
        }


def clean_environment() -> dict[str, str]:
    own = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME"}
    return {name: value for name, value in os.environ.items() if name not in own}
