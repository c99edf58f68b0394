"""One file per hour, with the rows that the many had."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.compaction import (
    COMPACTED,
    CompactionError,
    compact_files,
    due_hours,
    is_over,
)
from phash_dagster.warehouse.image_posts import SCHEMA
from tests.warehouse.test_image_posts import HOUR, NOW, image, later

Rows = list[dict[str, object]]


@pytest.fixture
def posts(tmp_path: Path) -> ImagePosts:
    return ImagePosts(tmp_path / "image_posts")


def write(posts: ImagePosts, start: str, *rows: ImagePost) -> None:
    posts.write_batch(rows, start=start, now=NOW + timedelta(hours=1))


def raw_rows(posts: ImagePosts, key: str = HOUR) -> Rows:
    """The rows as they stand in the files, whole and unfolded."""
    return [row for path in posts.files([key]) for row in pq.read_table(path).to_pylist()]


def as_set(rows: Rows) -> set[tuple[object, ...]]:
    return {tuple(row.values()) for row in rows}


def names(posts: ImagePosts) -> list[str]:
    return [path.name for path in posts.files([HOUR])]


def seen(posts: ImagePosts) -> list[tuple[object, ...]]:
    """What readers see."""
    with Warehouse(posts.root.parent / "warehouse.duckdb").read() as connection:
        posts.attach(connection, [HOUR])
        return connection.execute("FROM image_posts SELECT * ORDER BY ALL").fetchall()


DELETE = later(image("a", blob_cid=None, operation="delete"), 3)


def write_three(posts: ImagePosts) -> None:
    write(posts, "1", later(image("b"), 5), image("a"))
    write(posts, "2", DELETE, image("a")._replace(host="other", time_us=image().time_us + 5))
    write(posts, "3", later(image("c", blob_cid="second"), 1))


def test_many_files_become_one_with_the_same_rows_in_the_order_of_time(posts: ImagePosts) -> None:
    write_three(posts)
    before = raw_rows(posts)
    done = compact_files(posts.files([HOUR]), SCHEMA)
    assert names(posts) == [COMPACTED]
    after = raw_rows(posts)
    assert as_set(after) == as_set(before)
    assert len(after) == len(before) == 5
    times = [row["time_us"] for row in after]
    assert times == sorted(times, key=str)
    assert done is not None
    assert (done.files, done.rows) == (3, 5)


def test_readers_see_the_same_before_during_and_after(posts: ImagePosts) -> None:
    write_three(posts)
    before = seen(posts)
    parts = {path: path.read_bytes() for path in posts.files([HOUR])}
    compact_files(posts.files([HOUR]), SCHEMA)
    assert seen(posts) == before
    for path, content in parts.items():
        path.write_bytes(content)  # as before they were removed
    assert names(posts) == ["1.parquet", "2.parquet", "3.parquet", COMPACTED]
    assert seen(posts) == before


def test_the_file_is_compressed_and_carries_schema_and_version(posts: ImagePosts) -> None:
    write_three(posts)
    done = compact_files(posts.files([HOUR]), SCHEMA)
    assert done is not None
    metadata = pq.read_metadata(done.path)
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert metadata.metadata[b"phash_dagster.schema_version"] == b"1"
    assert pq.read_schema(done.path).equals(SCHEMA)


def test_files_that_come_late_are_added(posts: ImagePosts) -> None:
    write_three(posts)
    compact_files(posts.files([HOUR]), SCHEMA)
    write(posts, "4", later(image("late"), 2))
    before = raw_rows(posts)
    done = compact_files(posts.files([HOUR]), SCHEMA)
    assert names(posts) == [COMPACTED]
    assert as_set(raw_rows(posts)) == as_set(before)
    assert done is not None
    assert done.rows == 6


def test_what_is_compacted_is_left_alone(posts: ImagePosts) -> None:
    write_three(posts)
    compact_files(posts.files([HOUR]), SCHEMA)
    assert compact_files(posts.files([HOUR]), SCHEMA) is None
    assert compact_files([], SCHEMA) is None


def test_a_file_left_out_stays_as_it_is(posts: ImagePosts) -> None:
    write_three(posts)
    [kept] = [path for path in posts.files([HOUR]) if path.stem == "2"]
    content = kept.read_bytes()
    compact_files([path for path in posts.files([HOUR]) if path != kept], SCHEMA)
    assert names(posts) == ["2.parquet", COMPACTED]
    assert kept.read_bytes() == content


def test_the_file_is_as_old_as_the_newest_part(posts: ImagePosts) -> None:
    write_three(posts)
    newest = max(path.stat().st_mtime_ns for path in posts.files([HOUR]))
    done = compact_files(posts.files([HOUR]), SCHEMA)
    assert done is not None
    assert abs(done.path.stat().st_mtime_ns - newest) < 1000


def test_a_file_that_cannot_be_read_stops_it_and_nothing_is_removed(posts: ImagePosts) -> None:
    write_three(posts)
    (posts.folder(HOUR) / "4.parquet").write_bytes(b"PAR1 not a Parquet file PAR1")
    before = names(posts)
    with pytest.raises(Exception, match=r"4\.parquet"):
        compact_files(posts.files([HOUR]), SCHEMA)
    assert names(posts) == before


def test_a_row_too_few_is_noticed_before_anything_is_removed(
    posts: ImagePosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_three(posts)
    before = names(posts)

    def lossy(name: str) -> str:
        text = statement(name)
        return text.replace("ORDER BY ALL", "ORDER BY ALL LIMIT 4") if "rows" in name else text

    monkeypatch.setattr("phash_dagster.warehouse.compaction.statement", lossy)
    with pytest.raises(CompactionError, match=r"\(1, 0, 0\)"):
        compact_files(posts.files([HOUR]), SCHEMA)
    assert names(posts) == before


def test_hours_are_due_when_they_ended_long_enough_ago_and_have_parts(posts: ImagePosts) -> None:
    early = image("x")._replace(time_us=image().time_us - 3 * 3600 * 1_000_000)
    write(posts, "1", early, image("a"))
    two_hours = timedelta(hours=2)
    assert list(due_hours(posts, now=NOW, after=timedelta(hours=9))) == []
    due = due_hours(posts, now=NOW, after=two_hours)
    assert list(due) == ["2026-11-23-16:00"]
    compact_files(due["2026-11-23-16:00"], SCHEMA)
    assert due_hours(posts, now=NOW, after=two_hours) == {}


@pytest.mark.parametrize(("minutes", "over"), [(59, False), (60, True)])
def test_an_hour_is_over_from_the_minute_on(minutes: int, *, over: bool) -> None:
    end = NOW.replace(minute=0) + timedelta(hours=2, minutes=minutes)
    assert is_over(HOUR, now=end, after=timedelta(hours=2)) is over


EVENTS = st.builds(
    lambda rkey, blob, second, host: image(
        rkey, blob_cid=blob, operation="create" if blob else "delete"
    )._replace(
        time_us=image().time_us + second,
        host=host,
    ),
    st.sampled_from("abc"),
    st.sampled_from(["x", "y", None]),
    st.integers(0, 5),
    st.sampled_from(["one", "two"]),
)


@settings(max_examples=15)
@given(batches=st.lists(st.lists(EVENTS, max_size=6), min_size=1, max_size=5), data=st.data())
def test_any_order_of_writing_and_compacting_keeps_the_set_of_rows(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[ImagePost]], data: st.DataObject
) -> None:
    posts = ImagePosts(tmp_path_factory.mktemp("posts") / "image_posts")
    expected: set[tuple[object, ...]] = set()
    for number, batch in enumerate(batches):
        write(posts, str(number), *batch)
        expected |= as_set(raw_rows(posts))
        if data.draw(st.booleans(), label="compact"):
            files = posts.files([HOUR])
            chosen = [path for path in files if data.draw(st.booleans(), label=path.name)]
            compact_files(chosen or files, SCHEMA)
    assert as_set(raw_rows(posts)) == expected


@pytest.mark.slow
def test_killed_at_any_step_it_loses_nothing_and_the_next_completes_it(tmp_path: Path) -> None:
    step = 0
    while True:
        posts = ImagePosts(tmp_path / str(step) / "image_posts")
        write_three(posts)
        compact_files(posts.files([HOUR]), SCHEMA)
        write(posts, "4", later(image("late"), 2))
        write(posts, "5", later(image("later"), 3))
        rows, readers = as_set(raw_rows(posts)), seen(posts)

        process = subprocess.run(
            [sys.executable, "-m", "tests.warehouse.killed_at", str(posts.root), str(step)],
            check=False,
        )
        assert as_set(raw_rows(posts)) == rows, f"killed at step {step}"
        assert seen(posts) == readers
        compact_files(posts.files([HOUR]), SCHEMA)
        assert os.listdir(posts.folder(HOUR)) == [COMPACTED]  # noqa: PTH208 - hidden files too
        assert as_set(raw_rows(posts)) == rows
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        step += 1
    assert step >= 6, "the file's write, fsync, rename, two folders, two removals"
