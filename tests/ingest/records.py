"""Ingest records for tests."""

from datetime import UTC, datetime, timedelta

from phash_dagster.ingest import Anomaly, Gap, IngestRecord, PartFile

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HOUR = "2026-11-23-19:00"


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def part(hour: str = HOUR, *, rows: int = 3, images: int = 2) -> PartFile:
    return PartFile(hour, "1-0-0-1.parquet", rows, images, bytes=100)


def gap(minutes_ago: float = 60, *, minutes: float = 10, host: str = "h") -> Gap:
    begin = NOW - timedelta(minutes=minutes_ago)
    end = begin + timedelta(minutes=minutes)
    return Gap(microseconds(begin), microseconds(end), host, "clamped")


def record(
    name: str = "1-0-0-1",
    *,
    ended: datetime = NOW,
    seconds: float = 9.0,
    lag: float | None = 2.0,
    seq: int | None = None,
    tip_seq: int | None = None,
    caught_up: bool = True,
    events: int = 90,
    files: tuple[PartFile, ...] = (),
    gaps: tuple[Gap, ...] = (),
    anomalies: tuple[Anomaly, ...] = (),
) -> IngestRecord:
    newest = None if lag is None else microseconds(ended - timedelta(seconds=lag))
    return IngestRecord(
        ended_us=microseconds(ended),
        started_us=microseconds(ended - timedelta(seconds=seconds)),
        name=name,
        host="h",
        start_us=microseconds(ended - timedelta(seconds=seconds)),
        cursor_us=newest or microseconds(ended),
        newest_us=newest,
        seq=seq,
        tip_seq=tip_seq,
        caught_up=caught_up,
        events=events,
        posts=events // 2,
        malformed=0,
        files=files,
        gaps=gaps,
        anomalies=anomalies,
    )
