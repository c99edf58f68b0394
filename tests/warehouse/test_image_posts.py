"""The hourly Parquet files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import FIRST_HOUR, partition_key_of

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HOUR = "2026-11-23-19:00"


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def image(
    rkey: str = "r", *, blob_cid: str | None = "blob", at: datetime = NOW, operation: str = "create"
) -> ImagePost:
    return ImagePost(
        time_us=microseconds(at),
        seq=None,
        host="h",
        did="did:plc:a",
        collection="app.bsky.feed.post",
        rkey=rkey,
        uri=f"at://did:plc:a/app.bsky.feed.post/{rkey}",
        cid=f"cid-{rkey}",
        operation=operation,
        blob_cid=blob_cid,
        position=0,
    )


@pytest.fixture
def posts(tmp_path: Path) -> ImagePosts:
    return ImagePosts(tmp_path / "image_posts")


def rows(posts: ImagePosts, *keys: str) -> list[tuple[object, ...]]:
    warehouse = Warehouse(posts.root.parent / "warehouse.duckdb")
    with warehouse.read() as connection:
        posts.attach(connection, keys)
        return connection.execute(
            "SELECT rkey, blob_cid, operation FROM image_posts ORDER BY ALL"
        ).fetchall()


def test_what_is_written_reads_back(posts: ImagePosts) -> None:
    posts.write_batch(
        [image("a"), image("b", blob_cid=None, operation="delete")], start="1", now=NOW
    )
    assert rows(posts, HOUR) == [("a", "blob", "create"), ("b", None, "delete")]


def test_a_batch_is_split_at_the_hour(posts: ImagePosts) -> None:
    before = image("a", at=NOW - timedelta(hours=1))
    files = posts.write_batch([before, image("b")], start="1", now=NOW)
    assert [file.partition_key for file in files] == ["2026-11-23-18:00", HOUR]
    assert rows(posts, "2026-11-23-18:00") == [("a", "blob", "create")]
    assert posts.partition_keys() == ["2026-11-23-18:00", HOUR]


def test_a_repeated_batch_overwrites_its_files(posts: ImagePosts) -> None:
    posts.write_batch([image("a")], start="1", now=NOW)
    posts.write_batch([image("a"), image("b")], start="1", now=NOW)
    assert [row[0] for row in rows(posts, HOUR)] == ["a", "b"]


def test_a_repeated_batch_that_ends_earlier_leaves_nothing_of_the_first(posts: ImagePosts) -> None:
    early = image("a", at=NOW - timedelta(hours=1))
    posts.write_batch([early, image("b")], start="1", now=NOW)
    posts.write_batch([early], start="1", now=NOW)
    assert posts.partition_keys() == ["2026-11-23-18:00"]
    posts.write_batch([image("b")], start="2", now=NOW)
    assert [row[0] for row in rows(posts, "2026-11-23-18:00", HOUR)] == ["a", "b"]


def test_the_same_image_of_the_same_record_folds_within_and_across_batches(
    posts: ImagePosts,
) -> None:
    other_host = image("a")._replace(host="other", time_us=microseconds(NOW) + 5)
    posts.write_batch([image("a"), image("a")], start="1", now=NOW)
    posts.write_batch([other_host], start="2", now=NOW)
    assert rows(posts, HOUR) == [("a", "blob", "create")]


def later(row: ImagePost, seconds: int) -> ImagePost:
    return row._replace(time_us=row.time_us + seconds * 1_000_000)


@pytest.mark.parametrize("batches", [1, 3])
def test_a_post_deleted_and_made_again_is_there(posts: ImagePosts, batches: int) -> None:
    made = image("a")
    gone = later(image("a", blob_cid=None, operation="delete"), 1)
    write(posts, [made, gone, later(made, 2)], batches)
    assert latest(posts) == ("create", microseconds(NOW) + 2_000_000)


@pytest.mark.parametrize("batches", [1, 3])
def test_a_post_changed_back_to_its_first_image_counts_with_it(
    posts: ImagePosts, batches: int
) -> None:
    bad = image("a")
    clean = later(image("a", blob_cid="clean", operation="update"), 1)._replace(cid="cid-clean")
    again = later(image("a", operation="update"), 2)
    write(posts, [bad, clean, again], batches)
    warehouse = Warehouse(posts.root.parent / "warehouse.duckdb")
    with warehouse.read() as connection:
        posts.attach(connection, [HOUR])
        [current] = connection.execute(
            "SELECT arg_max(blob_cid, time_us) FROM image_posts"
        ).fetchall()
    assert current == ("blob",)


@pytest.mark.parametrize("batches", [1, 2])
def test_an_image_shown_twice_in_a_record_has_its_first_position(
    posts: ImagePosts, batches: int
) -> None:
    write(posts, [image("a")._replace(position=3), image("a")._replace(position=1)], batches)
    warehouse = Warehouse(posts.root.parent / "warehouse.duckdb")
    with warehouse.read() as connection:
        posts.attach(connection, [HOUR])
        assert connection.execute("SELECT position FROM image_posts").fetchall() == [(1,)]


def write(posts: ImagePosts, events: list[ImagePost], batches: int) -> None:
    """Write all in one batch, or each in its own, the last one first."""
    if batches == 1:
        posts.write_batch(events, start="all", now=NOW + timedelta(seconds=9))
        return
    for number, event in enumerate(reversed(events)):
        posts.write_batch([event], start=str(number), now=NOW + timedelta(seconds=9))


def latest(posts: ImagePosts) -> tuple[object, ...]:
    """Operation and time of the last event of all."""
    warehouse = Warehouse(posts.root.parent / "warehouse.duckdb")
    with warehouse.read() as connection:
        posts.attach(connection, [HOUR])
        [row] = connection.execute(
            "SELECT arg_max(operation, time_us), max(time_us) FROM image_posts"
        ).fetchall()
    return tuple(row)


def test_two_images_of_a_record_both_stay(posts: ImagePosts) -> None:
    posts.write_batch([image("a"), image("a", blob_cid="second")], start="1", now=NOW)
    assert len(rows(posts, HOUR)) == 2


def test_an_hour_without_files_is_empty(posts: ImagePosts) -> None:
    assert rows(posts, HOUR) == []


def test_a_file_that_is_being_written_is_not_read(posts: ImagePosts) -> None:
    [file] = posts.write_batch([image("a")], start="1", now=NOW)
    (file.path.parent / ".2.parquet.17.tmp").write_bytes(b"half a file")
    assert posts.files([HOUR]) == [file.path]


def test_files_are_compressed_and_carry_the_schema_version(posts: ImagePosts) -> None:
    [file] = posts.write_batch([image("a")], start="1", now=NOW)
    metadata = pq.read_metadata(file.path)
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert metadata.metadata[b"phash_dagster.schema_version"] == b"1"


@pytest.mark.parametrize(
    ("moment", "key"),
    [
        (NOW, HOUR),
        (NOW - timedelta(minutes=31), "2026-11-23-18:00"),
        (NOW + timedelta(days=400), HOUR),
        (datetime(1970, 1, 1, tzinfo=UTC), FIRST_HOUR.strftime("%Y-%m-%d-%H:00")),
    ],
    ids=["now", "an hour ago", "a clock far ahead", "a clock far behind"],
)
def test_every_time_belongs_to_an_hour_that_exists(moment: datetime, key: str) -> None:
    assert partition_key_of(microseconds(moment), now=NOW) == key
