"""Removes old ingest records and old reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from phash_dagster.ingest import IngestRecords

RECORDS_STAY: Final = timedelta(days=31)
"""Ingest records stay as long as the posts that they tell of, but at least so long: checks and
reports ask them."""

DATED: Final = ("match_report-*.html", "match_report-*.md", "preview-*.html")
"""Reports that are made again and again under new names; whatever else is in the folder stays."""


@dataclass(frozen=True)
class OldFiles:
    """Files that are, or would be, removed."""

    files: Sequence[Path] = ()

    @property
    def bytes(self) -> int:
        """Their size; of those that are there."""
        return sum(path.stat().st_size for path in self.files if path.exists())


def old_records(ingest: IngestRecords, before: datetime | None, now: datetime) -> OldFiles:
    """The records of days that ended before; None: all stay."""
    if before is None:
        return OldFiles()
    first_kept = f"{min(before, now - RECORDS_STAY):%Y-%m-%d}"
    days = [day for day in ingest.days() if day < first_kept]
    return OldFiles([path for day in days for path in sorted(ingest.folder(day).iterdir())])


def old_reports(folder: Path, *, now: datetime, retention_days: float) -> OldFiles:
    """The dated reports written so many days ago; 0 days: all stay."""
    if not retention_days:
        return OldFiles()
    before = (now - timedelta(days=retention_days)).timestamp()
    found = {path for pattern in DATED for path in folder.glob(pattern)}
    return OldFiles(sorted(path for path in found if path.stat().st_mtime < before))


def remove(old: OldFiles) -> None:
    """Delete the files, and the folders that they were the last in."""
    for path in old.files:
        path.unlink(missing_ok=True)
    _remove_empty({path.parent for path in old.files})


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.name.startswith("day=") and not any(folder.iterdir()):
            folder.rmdir()
