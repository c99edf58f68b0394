"""Old ingest records and reports go; whatever else is there stays."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from phash_dagster.ingest import IngestRecords
from phash_dagster.maintenance.old_files import old_records, old_reports, remove
from tests.ingest.records import NOW, record


def ingest_of(folder: Path, *days: int) -> IngestRecords:
    ingest = IngestRecords(folder / "ingest_batches")
    for day in days:
        ingest.write(record(f"{day}-0-0-1", ended=NOW - timedelta(days=day)))
    return ingest


def test_records_go_with_the_posts_they_tell_of(tmp_path: Path) -> None:
    ingest = ingest_of(tmp_path, 90, 60, 1)
    remove(old_records(ingest, NOW - timedelta(days=70), NOW))
    assert ingest.days() == [f"{NOW - timedelta(days=day):%Y-%m-%d}" for day in (60, 1)]


def test_records_of_the_last_month_stay_whatever_becomes_of_posts(tmp_path: Path) -> None:
    ingest = ingest_of(tmp_path, 33, 30, 1)
    remove(old_records(ingest, NOW - timedelta(days=4), NOW))
    assert len(ingest.days()) == 2


def test_where_posts_are_kept_for_ever_records_are_too(tmp_path: Path) -> None:
    assert old_records(ingest_of(tmp_path, 900), None, NOW).files == ()


def report(folder: Path, name: str, written: datetime) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("a page")
    os.utime(path, (written.timestamp(), written.timestamp()))
    return path


def test_old_dated_reports_go_and_the_latest_and_strange_files_stay(tmp_path: Path) -> None:
    folder, then = tmp_path / "reports", NOW - timedelta(days=366)
    old = report(folder, "match_report-2025-11-22.html", then)
    short = report(folder, "match_report-2025-11-22.md", then)
    preview = report(folder, "preview-2025-11-22-101500-abc.html", then)
    for name in ("latest.html", "latest.md", "notes.html"):
        report(folder, name, then)
    report(folder, "match_report-2026-11-22.html", NOW - timedelta(days=1))
    found = old_reports(folder, now=NOW, retention_days=365)
    assert found.files == [old, short, preview]
    assert found.bytes == 18
    remove(found)
    assert sorted(path.name for path in folder.iterdir()) == [
        "latest.html",
        "latest.md",
        "match_report-2026-11-22.html",
        "notes.html",
    ]


def test_with_0_days_reports_stay_for_ever(tmp_path: Path) -> None:
    report(tmp_path / "reports", "match_report-2020-01-01.html", NOW - timedelta(days=2000))
    assert old_reports(tmp_path / "reports", now=NOW, retention_days=0).files == ()
