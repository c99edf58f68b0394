"""The file of a backup: complete or not there, and checked before anything is believed."""

import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from phash_dagster.backup.archive import BackupError, new_archive, opened_archive
from phash_dagster.backup.manifest import FORMAT, FileEntry, Manifest, versions_here, why_not_here


def manifest(files: dict[str, FileEntry], **changes: object) -> Manifest:
    made = Manifest(
        made_at=datetime(2026, 11, 25, tzinfo=UTC),
        made_by="0.1.0",
        libraries=versions_here(),
        warehouse_schema=("0001_image_hashes",),
        dagster_storage="sqlite",
        dagster_revision="r",
        first_day=None,
        files=files,
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """With two files in it."""
    (tmp_path / "one").write_bytes(b"1" * 3_000_000)
    (tmp_path / "two.parquet").write_bytes(b"two")
    with new_archive(tmp_path / "backup.zip") as archive:
        archive.add(tmp_path / "one", "one")
        archive.add(tmp_path / "two.parquet", "folder/two.parquet")
        archive.finish(manifest(dict(archive.files)))
    return tmp_path / "backup.zip"


def verify(path: Path) -> None:
    with opened_archive(path) as archive:
        archive.verify(lambda _: None)


def test_what_was_added_comes_out(backup: Path, tmp_path: Path) -> None:
    with opened_archive(backup) as archive:
        archive.extract(tmp_path / "out", lambda _: None)
    assert (tmp_path / "out/one").read_bytes() == b"1" * 3_000_000
    assert (tmp_path / "out/folder/two.parquet").read_bytes() == b"two"


def test_it_is_for_its_owner_only(backup: Path) -> None:
    assert backup.stat().st_mode & 0o077 == 0


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with new_archive(tmp_path / "backup.zip"):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten(backup: Path) -> None:
    with pytest.raises(BackupError, match="exists already"), new_archive(backup):
        pass


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def changed(path: Path) -> None:
    """As a medium that loses bits does it, behind the back of the archive's own checksums."""
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text.replace(b"two", b"tow") if "two" in name else text)


def without_a_file(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "two" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in kept.items():
            archive.writestr(name, text)


@pytest.mark.parametrize("damage", [truncated, changed, without_a_file])
def test_damage_is_noticed(backup: Path, damage: Callable[[Path], None]) -> None:
    verify(backup)
    damage(backup)
    with pytest.raises(BackupError):
        verify(backup)


def test_something_else_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    with pytest.raises(BackupError, match="no complete backup"):
        verify(tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(BackupError, match="no backup of phash-dagster"):
        verify(tmp_path / "y.zip")


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with new_archive(tmp_path / "evil.zip") as archive:
        archive.finish(manifest({name: FileEntry(1, "0")}))
    with (
        opened_archive(tmp_path / "evil.zip") as archive_reader,
        pytest.raises(BackupError, match="outside"),
    ):
        archive_reader.extract(tmp_path / "out", lambda _: None)


def test_this_release_restores_its_own_backups() -> None:
    assert why_not_here(manifest({})) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": FORMAT + 1}, "format"),
        ({"warehouse_schema": ("9999_later",)}, "9999_later"),
        ({"libraries": {"duckdb": "99.0"}}, "duckdb 99.0"),
        ({"libraries": {"dagster": "99.0"}}, "dagster 99.0"),
    ],
)
def test_a_backup_of_a_newer_release_is_refused(changes: dict[str, object], reason: str) -> None:
    assert reason in (why_not_here(manifest({}, **changes)) or "")
