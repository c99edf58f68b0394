"""Puts a backup into an empty `DATA_DIR`: all of it, or nothing that a pipeline would start on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from phash_dagster.backup import RESTORING
from phash_dagster.backup.archive import BackupError, opened_archive
from phash_dagster.backup.create import DAGSTER, DATA, LEDGER, RULES, WAREHOUSE
from phash_dagster.backup.files import WAREHOUSE_LOCK
from phash_dagster.backup.ledger_copy import (
    ledger_file,
    ledger_rows,
    restore_ledger,
    unknown_columns,
)
from phash_dagster.backup.manifest import Manifest, why_not_here
from phash_dagster.backup.parts import DagsterStorage
from phash_dagster.backup.sqlite_files import is_sound
from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.after_restore import note_restore
from phash_dagster.rules import rule_files
from phash_dagster.settings import Settings
from phash_dagster.warehouse.parquet_files import sync

_NOTHING: Final = frozenset({".running", WAREHOUSE_LOCK, "lost+found"})


@dataclass(frozen=True)
class Target:
    """Where to restore to.

    Attributes:
        settings: Of the pipeline that is to go on.
        dagster: Opens Dagster's storage, creating it where it is missing.
        clock: The current time.
    """

    settings: Settings
    dagster: Callable[[], AbstractContextManager[DagsterStorage]]
    clock: Clock = utc_now


@dataclass(frozen=True)
class Restored:
    """What was done."""

    manifest: Manifest
    ledger_kept: bool
    rules: str
    """What became of the rule files."""


def check_backup(path: Path, on_step: Callable[[str], None] = lambda _: None) -> Manifest:
    """Hold every file of a backup against its checksum, and its versions against those here.

    Raises:
        BackupError: It is damaged, or this release cannot restore it.
    """
    with opened_archive(path) as archive:
        _require_known(path, archive.manifest)
        archive.verify(on_step)
        return archive.manifest


def restore_backup(
    path: Path,
    target: Target,
    *,
    keep_ledger: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore a backup. Call it only where no pipeline is running on `DATA_DIR`.

    Args:
        path: The backup.
        target: Where to restore to; `DATA_DIR` and the databases must be empty.
        keep_ledger: Leave the ledger at LEDGER_URL as it is, since it is there and newer.
        on_step: Told what is being done.

    Raises:
        BackupError: The backup is damaged, does not fit this release, or there is something where
            it would go. Nothing was changed.
        LedgerError, OSError: A store cannot be written to.
    """
    settings = target.settings
    with opened_archive(path) as archive:
        manifest = archive.manifest
        _require_known(path, manifest)
        _require_empty_folder(settings.data_dir)
        _require_ledger(settings, manifest, keep=keep_ledger)
        with _work_folder(settings.data_dir) as work:
            archive.extract(work, on_step)
            _require_sound(work, path)
            on_step("putting everything in place")
            _put_stores(work, target, manifest, keep_ledger=keep_ledger)
            rules = _put_rules(work / RULES, settings)
    return Restored(manifest, keep_ledger, rules)


def _require_known(path: Path, manifest: Manifest) -> None:
    reason = why_not_here(manifest)
    if reason:
        raise BackupError(
            f"{path} cannot be restored by this release: {reason}. It was made by phash-dagster "
            f"{manifest.made_by}; install that or a later release"
        )


def _require_empty_folder(folder: Path) -> None:
    """Nothing is overwritten. Empty folders may be there: mount points, for example."""
    if not folder.exists():
        return
    for found in sorted(folder.rglob("*")):
        if not found.is_dir() and found.name not in _NOTHING:
            raise BackupError(
                f"{folder} is not empty (there is {found.relative_to(folder)}); restore into an "
                "empty DATA_DIR, and move what is there away if it is no longer wanted"
            )


def _require_ledger(settings: Settings, manifest: Manifest, *, keep: bool) -> None:
    rows = ledger_rows(settings.effective_ledger_url)
    if rows and not keep:
        raise BackupError(
            "the ledger at LEDGER_URL holds actions already. If it is this pipeline's, it is newer "
            "than the backup: keep it, with --keep-ledger. Otherwise name an empty database"
        )
    if keep and not rows and LEDGER in manifest.files:
        raise BackupError("the ledger at LEDGER_URL is empty: there is none to keep")


@contextmanager
def _work_folder(data_dir: Path) -> Iterator[Path]:
    """A folder in `DATA_DIR` that keeps a pipeline from starting on half a restore.

    It goes if nothing was put in place yet, and at the end.
    """
    work = data_dir / RESTORING
    work.mkdir(parents=True)
    try:
        yield work
    except BaseException:
        if {path.name for path in data_dir.iterdir()} <= {RESTORING, *_NOTHING}:
            shutil.rmtree(work)
        raise
    shutil.rmtree(work)
    sync(data_dir)


def _require_sound(work: Path, path: Path) -> None:
    """The databases can be opened, and this release knows what is in them."""
    databases = [*work.glob(f"{DAGSTER}/**/*.db"), *work.glob(LEDGER)]
    for database in databases:
        if not is_sound(database):
            raise BackupError(f"{path}: {database.relative_to(work)} is damaged")
    if (work / LEDGER).exists() and (unknown := unknown_columns(work / LEDGER)):
        raise BackupError(
            f"{path}: its ledger has what this release does not know ({unknown[0]}); install the "
            "release that made it, or a later one"
        )
    if (work / WAREHOUSE).exists():
        try:
            with closing(duckdb.connect(work / WAREHOUSE)) as connection:
                connection.execute("FROM schema_migrations").fetchall()
        except duckdb.Error as error:
            raise BackupError(f"{path}: {WAREHOUSE} cannot be opened ({error})") from None


def _put_stores(work: Path, target: Target, manifest: Manifest, *, keep_ledger: bool) -> None:
    settings = target.settings
    with target.dagster() as dagster:
        if manifest.dagster_storage:
            dagster.require_empty(manifest.dagster_storage, manifest.dagster_revision)
        if not keep_ledger:
            # First: whatever starts on a ledger of the past must know that it is one.
            note_restore(settings.data_dir, made_at=manifest.made_at, now=target.clock())
        _put_files(work / DATA, settings.data_dir)
        if (work / WAREHOUSE).exists():
            (work / WAREHOUSE).replace(settings.warehouse_path)
        if not keep_ledger and (work / LEDGER).exists():
            _put_ledger(work / LEDGER, settings.effective_ledger_url)
        if manifest.dagster_storage == "postgresql":
            dagster.restore(work / DAGSTER)
    if manifest.dagster_storage == "sqlite" and dagster.folder is not None:
        _put_databases(work / DAGSTER, dagster.folder)


def _put_files(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


def _put_ledger(copy: Path, url: str) -> None:
    file = ledger_file(url)
    if file is None or file.exists():
        restore_ledger(copy, url)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(copy, file)


def _put_databases(source: Path, target: Path) -> None:
    """In the place of the empty ones that opening the storage made."""
    for path in sorted(source.rglob("*.db")):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("-wal", "-shm"):
            place.with_name(place.name + suffix).unlink(missing_ok=True)
        shutil.move(path, place)


def _put_rules(source: Path, settings: Settings) -> str:
    folder = settings.rules_dir
    texts = {path.name: path.read_bytes() for path in source.glob("*")} if source.is_dir() else {}
    there = {path.name: path.read_bytes() for path in _rules_in(folder)}
    if not texts or there == texts:
        return f"The rule files in {folder} are those of the backup."
    if there:
        place, words = settings.data_dir / "restored-rules", f"{folder} has rule files of its own"
    else:
        place, words = folder, ""
    try:
        _write_texts(place, texts)
    except OSError as error:
        place, words = settings.data_dir / "restored-rules", f"{folder}: {error.strerror}"
        _write_texts(place, texts)
    return f"{words}; those of the backup are in {place}." if words else f"Rule files: {place}."


def _rules_in(folder: Path) -> list[Path]:
    return list(rule_files(folder)) if folder.is_dir() else []


def _write_texts(folder: Path, texts: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text)
