"""Makes a backup while the pipeline runs: what a power cut at one moment would have left behind.

The warehouse stands still first, then Dagster's storage, then the ledger. Whatever Dagster takes
for done is then in the copies of the others, and whatever it takes for under way is repeated after
a restore:

- Batches before the sensor's cursor are in the Parquet files, which are listed afterwards.
- What a run that Dagster knows to have succeeded wrote into the warehouse is there: nobody has
  written to it since.
- Its rows in the ledger are there, since the ledger is looked at last; and whatever the warehouse's
  copy of the ledger knows, the ledger knows.
"""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from phash_dagster.backup.archive import ArchiveWriter, BackupError, new_archive
from phash_dagster.backup.files import FolderListing, list_files
from phash_dagster.backup.ledger_copy import ledger_file, ledger_snapshot
from phash_dagster.backup.manifest import Manifest, versions_here
from phash_dagster.backup.parts import DagsterStorage
from phash_dagster.clock import Clock, utc_now
from phash_dagster.rules import rule_files
from phash_dagster.settings import Settings
from phash_dagster.warehouse import Warehouse
from phash_dagster.warehouse.copying import still_warehouse

WAREHOUSE, LEDGER = "warehouse.duckdb", "ledger.sqlite"
DAGSTER, DATA, RULES = "dagster", "data", "rules"
"""Names and folders in the archive."""

_MOST_LISTINGS = 20


@dataclass(frozen=True)
class Source:
    """The pipeline to back up.

    Attributes:
        settings: Where it keeps what.
        dagster: Dagster's storage.
        clock: The current time.
    """

    settings: Settings
    dagster: DagsterStorage
    clock: Clock = utc_now


@dataclass(frozen=True)
class _Still:
    """What was known when all stood still."""

    made_at: datetime
    migrations: tuple[str, ...]
    revision: str
    listings: tuple[FolderListing, ...]


def create_backup(
    source: Source,
    target: Path,
    *,
    first_day: str | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write a backup of everything but settings and secrets.

    Args:
        source: The pipeline; it may be running.
        target: The file, which must not exist. It appears when it is complete.
        first_day: Leave out the Parquet files of hours before this day (`2026-11-23`, UTC).
        on_step: Told what is being done.

    Raises:
        BackupError: There is nothing to back up, or `target` exists or lies in `DATA_DIR`.
        WarehouseBusyError, LedgerError, OSError: A store cannot be read, or the disk is full.
    """
    settings = source.settings
    if not settings.data_dir.is_dir() or not any(settings.data_dir.iterdir()):
        raise BackupError(f"{settings.data_dir} is empty: there is nothing to back up")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is no folder")
    if target.resolve().is_relative_to(settings.data_dir.resolve()):
        raise BackupError(
            f"{target} is inside of DATA_DIR and would be lost with it; name another folder, best "
            "on another disk"
        )
    with (
        new_archive(target) as archive,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".phash-backup-") as staging,
    ):
        still = _copy_stores(source, Path(staging), first_day, on_step)
        for path in _files_under(Path(staging)):
            archive.add(path, path.relative_to(staging).as_posix())
        on_step("Parquet files and the rest")
        _add_listed(archive, settings, still.listings)
        for path in rule_files(settings.rules_dir) if settings.rules_dir.is_dir() else ():
            archive.add(path, f"{RULES}/{path.name}")
        manifest = Manifest(
            made_at=still.made_at,
            made_by=version("phash-dagster"),
            libraries=versions_here(),
            warehouse_schema=still.migrations,
            dagster_storage=source.dagster.kind,
            dagster_revision=still.revision,
            first_day=first_day,
            files=dict(archive.files),
        )
        archive.finish(manifest)
    return manifest


def _copy_stores(
    source: Source, staging: Path, first_day: str | None, on_step: Callable[[str], None]
) -> _Still:
    settings = source.settings
    warehouse = Warehouse(settings.warehouse_path)
    with ExitStack() as snapshots:
        on_step("waiting for the warehouse")
        with ExitStack() as stillness:
            migrations: tuple[str, ...] = ()
            standing = None
            if warehouse.path.exists():
                standing = stillness.enter_context(still_warehouse(warehouse))
                migrations = standing.migrations
            dagster = snapshots.enter_context(source.dagster.still())
            ledger = snapshots.enter_context(ledger_snapshot(settings.effective_ledger_url))
            made_at = source.clock()
            if standing is not None:
                on_step("warehouse; runs wait for it")
                standing.copy_to(staging / WAREHOUSE)
        # Listed after the cursor was looked at, so that every batch before it is there.
        listings = list_files(settings, special=_copied_otherwise(source), first_day=first_day)
        on_step("ledger")
        if ledger is not None:
            ledger.copy_to(staging / LEDGER)
        on_step("Dagster's storage")
        dagster.copy_to(staging / DAGSTER)
        return _Still(made_at, migrations, dagster.revision, tuple(listings))


def _copied_otherwise(source: Source) -> frozenset[Path]:
    """Files and folders of `DATA_DIR` that are no plain files to copy."""
    settings = source.settings
    special = {settings.warehouse_path, settings.data_dir / "dagster"}
    ledger = ledger_file(settings.effective_ledger_url)
    if ledger is not None:
        special.add(ledger)
    if source.dagster.folder is not None:
        special.add(source.dagster.folder)
    return frozenset(special)


def _add_listed(
    archive: ArchiveWriter, settings: Settings, listings: Iterable[FolderListing]
) -> None:
    for listing in listings:
        _add_folder(archive, settings, listing)


def _add_folder(archive: ArchiveWriter, settings: Settings, listing: FolderListing) -> None:
    """Add a folder's files. If one is gone, compaction made another of it: look again.

    That one is complete before the first of its sources goes, so nothing is missed; what is in both
    counts once.
    """
    for _ in range(_MOST_LISTINGS):
        try:
            for path in listing.files:
                name = path.relative_to(settings.data_dir).as_posix()
                archive.add(path, f"{DATA}/{name}")
        except FileNotFoundError:
            listing = listing.again()
        else:
            return
    raise BackupError(f"the files of {listing.folder} change all the time; try again")


def _files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
