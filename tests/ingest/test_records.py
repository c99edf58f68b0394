"""The Parquet files of ingest records, and the views over them."""

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phash_dagster.ingest import Anomaly, IngestRecords, record_of
from phash_dagster.ingest.arrivals import arrivals
from phash_dagster.ingest.questions import anomaly_types, latest_batch, stream_gaps
from phash_dagster.ingest.schema import SCHEMA
from phash_dagster.jetstream import Batch, Cursor, StreamGap
from phash_dagster.warehouse import ImagePosts
from phash_dagster.warehouse.compaction import COMPACTED, compact_files
from tests.ingest.records import HOUR, NOW, gap, microseconds, part, record
from tests.warehouse.test_image_posts import image

DAY = "2026-11-23"


@pytest.fixture
def records(tmp_path: Path) -> IngestRecords:
    return IngestRecords(tmp_path / "ingest_batches")


def names(records: IngestRecords) -> list[str]:
    with records.query() as connection:
        rows = connection.execute("FROM ingest_batches SELECT name ORDER BY name").fetchall()
    return [name for (name,) in rows]


def test_a_record_is_a_file_of_its_day_named_by_its_start(records: IngestRecords) -> None:
    path = records.write(record("1-0-0-1"))
    assert path == records.folder(DAY) / "1-0-0-1.parquet"
    metadata = pq.read_metadata(path)
    assert metadata.metadata[b"phash_dagster.schema_version"] == b"1"
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert pq.read_schema(path).equals(SCHEMA)


def test_a_batch_read_again_replaces_its_record(records: IngestRecords) -> None:
    records.write(record(events=1))
    records.write(record(events=2))
    with records.query() as connection:
        assert connection.execute("FROM ingest_batches SELECT events").fetchall() == [(2,)]


def test_a_batch_read_again_after_midnight_has_one_record(records: IngestRecords) -> None:
    records.write(record(events=1))
    path = records.write(record(events=2, ended=NOW + timedelta(hours=5)))
    assert records.files() == [path]


def test_what_stands_in_two_files_counts_once_and_the_later_reading_counts(
    records: IngestRecords,
) -> None:
    old = records.write(record(events=1)).read_bytes()
    records.write(record(events=2, ended=NOW + timedelta(hours=5)))
    (records.folder(DAY) / "1-0-0-1.parquet").write_bytes(old)  # as if killed before removing it
    with records.query() as connection:
        assert connection.execute("FROM ingest_batches SELECT events").fetchall() == [(2,)]


def test_without_records_the_views_are_empty(records: IngestRecords) -> None:
    with records.query() as connection:
        for view in ("ingest_batches", "stream_gaps", "ingest_anomalies", "pipeline_lag"):
            assert connection.execute(f"FROM {view}").fetchall() == []


def test_only_recent_files_are_opened(records: IngestRecords) -> None:
    records.write(record("old", ended=NOW - timedelta(days=2)))
    records.write(record("earlier", ended=NOW - timedelta(hours=1)))
    new = records.write(record("new"))
    assert records.files(since=NOW - timedelta(minutes=1)) == [new]
    assert len(records.files(since=NOW - timedelta(hours=2))) == 2
    assert len(records.files()) == 3


def test_a_day_is_compacted_like_an_hour(records: IngestRecords) -> None:
    for number in range(3):
        moment = NOW - timedelta(hours=number)
        files = (part(),) if number else ()
        records.write(record(str(number), ended=moment, files=files, gaps=(gap(),)))
    with records.query() as connection:
        before = connection.execute("FROM ingest_batches ORDER BY name").fetchall()
    settled = records.settled_files(DAY, before=NOW - timedelta(minutes=30))
    assert [path.stem for path in settled] == ["2", "1"]
    done = compact_files(settled, SCHEMA)
    assert done is not None
    assert pq.read_schema(done.path).equals(SCHEMA)
    assert {path.name for path in records.files()} == {"0.parquet", COMPACTED}
    with records.query() as connection:
        assert connection.execute("FROM ingest_batches ORDER BY name").fetchall() == before
    # Its age is still that of its records, so that it is opened only for older questions.
    assert [path.stem for path in records.files(since=NOW - timedelta(minutes=30))] == ["0"]


def test_files_removed_while_they_are_attached_are_found_where_they_went(
    records: IngestRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.write(record("1"))
    listed = records.files()
    real = IngestRecords.files
    compact_files(listed, SCHEMA)
    stale = iter([listed])
    monkeypatch.setattr(
        IngestRecords, "files", lambda self, **options: next(stale, None) or real(self, **options)
    )
    assert names(records) == ["1"]


def test_gaps_are_named_with_their_times(records: IngestRecords) -> None:
    records.write(record("1", gaps=(gap(60, host="a"), gap(30, host="b"))))
    records.write(record("2"))
    with records.query() as connection:
        latest, earlier = stream_gaps(connection)
    assert (latest.host, earlier.host) == ("b", "a")
    assert earlier.from_time == NOW - timedelta(minutes=60)
    assert earlier.to_time == NOW - timedelta(minutes=50)
    assert earlier.reason == "clamped"


def test_anomalies_are_summed_by_type_with_times_and_one_sample(records: IngestRecords) -> None:
    hour_ago = NOW - timedelta(hours=1)
    records.write(record("1", ended=hour_ago, anomalies=(Anomaly("odd", 2, "at://a"),)))
    records.write(record("2", anomalies=(Anomaly("odd", 3, "at://b"), Anomaly("bad", 9, "at://c"))))
    with records.query() as connection:
        bad, odd = anomaly_types(connection)
    assert (bad.type, bad.count) == ("bad", 9)
    assert (odd.type, odd.count, odd.first_time, odd.last_time) == ("odd", 5, hour_ago, NOW)
    assert odd.sample == "at://b"


def test_of_a_flood_of_anomalies_the_most_frequent_are_shown(records: IngestRecords) -> None:
    for number in range(4):
        flood = (Anomaly(f"embed:{number}.{n}", 1, "at://x") for n in range(48))
        records.write(
            record(str(number), files=(part(),), anomalies=(Anomaly("odd", 2, "at://y"), *flood))
        )
    with records.query() as connection:
        types = anomaly_types(connection)
    assert (len(types), types[0].type, types[0].count) == (100, "odd", 8)
    arrived = arrivals(records, {HOUR: NOW - timedelta(minutes=1)})[HOUR].anomalies
    assert (len(arrived), arrived["odd"], arrived.total()) == (50, 8, 4 * 50)
    assert arrived["other"] == 4 * 48 - 48


def test_lag_is_by_the_clock_and_by_the_sequence(records: IngestRecords) -> None:
    records.write(record("1", lag=30.0, seq=100, tip_seq=1_100, caught_up=False))
    with records.query() as connection:
        latest = latest_batch(connection)
    assert latest is not None
    assert (latest.lag_seconds, latest.sequence_lag, latest.caught_up) == (30.0, 1000, False)
    assert latest.events_per_second == 10.0


def test_lag_that_is_not_known_is_null(records: IngestRecords) -> None:
    records.write(record("1", lag=None, seconds=0.0, events=0))
    with records.query() as connection:
        latest = latest_batch(connection)
    assert latest is not None
    assert (latest.lag_seconds, latest.sequence_lag, latest.events_per_second) == (None, None, None)


def test_arrivals_are_what_an_hour_got_since(records: IngestRecords) -> None:
    early, other = NOW - timedelta(minutes=20), "2026-11-23-18:00"
    odd = (Anomaly("odd", 1, ""),)
    records.write(record("1", ended=early, files=(part(rows=100),)))
    records.write(
        record("2", ended=NOW - timedelta(minutes=1), files=(part(), part(other)), anomalies=odd)
    )
    records.write(record("3", lag=4.0, seq=1, tip_seq=5, files=(part(),), anomalies=odd))
    found = arrivals(records, {HOUR: early, other: early, "2026-11-23-17:00": early})
    assert found.keys() == {HOUR, other}
    got = found[HOUR]
    assert (got.rows, got.images, got.files, got.events) == (6, 4, 2, 180)
    assert (got.lag_seconds, got.sequence_lag) == (4.0, 4)
    assert got.anomalies == {"odd": 2}
    assert got.until_us == microseconds(NOW)
    assert arrivals(records, {HOUR: NOW}) == {}


def batch(**values: object) -> Batch:
    start = Cursor(microseconds(NOW))
    return Batch(start, Cursor(microseconds(NOW) + 5, "h", 7), "h", **values)  # type: ignore[arg-type]


def test_a_record_tells_of_the_batch_and_its_files(tmp_path: Path) -> None:
    rows = [image("a"), image("b", blob_cid=None, operation="delete")]
    taken = batch(rows=rows, events=5, posts=2, gaps=[StreamGap(1, 2, "h", "clamped")])
    taken.note("odd", "at://x")
    files = ImagePosts(tmp_path).write_batch(rows, start=taken.start.name, now=NOW)
    made = record_of(taken, files)
    assert made is not None
    assert (made.name, made.events, made.seq) == (taken.start.name, 5, 7)
    [written] = made.files
    assert (written.hour, written.rows, written.images) == (HOUR, 2, 1)
    assert written.bytes == files[0].path.stat().st_size
    assert made.gaps[0].reason == "clamped"
    assert made.anomalies == (Anomaly("odd", 1, "at://x"),)


def test_a_batch_without_events_gaps_and_anomalies_has_no_record() -> None:
    assert record_of(batch(), []) is None
    assert record_of(batch(gaps=[StreamGap(1, 2, "h", "clamped")]), []) is not None
