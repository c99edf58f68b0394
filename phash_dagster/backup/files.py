"""Which files of `DATA_DIR` go into a backup as they are, and which do not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phash_dagster.settings import Settings
from phash_dagster.warehouse.database import lock_name

POSTS: Final = ("image_posts", "ingest_batches")
"""Folders of Parquet files by hour or day; they are most of a backup."""

WAREHOUSE_LOCK: Final = lock_name("warehouse.duckdb")

_LEFT_OUT: Final = frozenset(
    {
        ".running",  # says which process holds DATA_DIR
        WAREHOUSE_LOCK,  # by which processes take turns
        "code.sock",
        "analytics.duckdb",  # what people query: made anew by its schedule, with the folder
        "analytics",
        "ozone_session.json",  # as good as a password
        "restored.json",  # speaks of an earlier restore of this folder
    }
)
_DEMO: Final = ".phash-dagster-demo"
_LEFT_OUT_PATTERNS: Final = ("*.tmp", "*.log", "*.wal", "*.spill")


@dataclass(frozen=True)
class FolderListing:
    """The files of one folder, as they were when it was listed."""

    folder: Path
    files: tuple[Path, ...]
    _wanted: Callable[[Path], bool]

    def again(self) -> "FolderListing":
        """As they are now."""
        return _listing(self.folder, self._wanted)


def list_files(
    settings: Settings, *, special: frozenset[Path], first_day: str | None
) -> list[FolderListing]:
    """The folders under `DATA_DIR` with the files to copy.

    Args:
        settings: Of the pipeline.
        special: Files and folders that are copied in other ways.
        first_day: Of the Parquet files only those of this day (`2026-11-23`, UTC) and later ones.
    """
    return list(_walk(settings.data_dir, settings, special, first_day))


def _walk(
    folder: Path, settings: Settings, special: frozenset[Path], first_day: str | None
) -> Iterator[FolderListing]:
    def wanted(path: Path) -> bool:
        return not _is_left_out(path) and not _is_special(path, special)

    yield _listing(folder, wanted)
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or not wanted(path) or (path / _DEMO).exists():
            continue
        if first_day and _day(path, settings) < first_day:
            continue
        yield from _walk(path, settings, special, first_day)


def _listing(folder: Path, wanted: Callable[[Path], bool]) -> FolderListing:
    if not folder.exists():
        return FolderListing(folder, (), wanted)  # removed meanwhile, for its age
    files = (path for path in folder.iterdir() if path.is_file() and wanted(path))
    # By name: the compacted file of an hour after those that it is made of.
    return FolderListing(folder, tuple(sorted(files)), wanted)


def _day(folder: Path, settings: Settings) -> str:
    """The day that a folder of Parquet files is of; for any other one that is never left out."""
    if folder.parent.name in POSTS and folder.parent.parent == settings.data_dir:
        kind, _, moment = folder.name.partition("=")
        if kind in ("hour", "day"):
            return moment[:10]
    return "9999"


def _is_left_out(path: Path) -> bool:
    return path.name in _LEFT_OUT or any(path.match(pattern) for pattern in _LEFT_OUT_PATTERNS)


def _is_special(path: Path, special: frozenset[Path]) -> bool:
    """Whether this, or the database that this belongs to, is copied in another way."""
    return any(
        path == one or (path.parent == one.parent and path.name.startswith(f"{one.name}"))
        for one in special
    )
