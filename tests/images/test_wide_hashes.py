"""Hashes wider than 64 bits are stored in four columns and shown in full."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from phash_dagster.hashing import from_words
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import hash_preview, save_results
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
WIDE = int("c3a5" * 15 + "0007", 16)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


def save(warehouse: Warehouse, *hashes: ImageHash, rendition: str | None = "original") -> None:
    result = ImageResult(
        ImageReference("blob", "did:plc:a", None),
        Outcome.hashed,
        source="pds",
        rendition=rendition,
        width=3,
        height=2,
        format="png",
        hashes=hashes,
    )
    with warehouse.write() as connection:
        save_results(connection, [result], now=NOW)


def test_a_wide_hash_comes_back_as_it_was(warehouse: Warehouse) -> None:
    save(
        warehouse,
        ImageHash("pdq", WIDE, 77, "v", bits=256),
        ImageHash("average", 2**64 - 1, 50, "v"),
    )
    with warehouse.read() as connection:
        rows = connection.execute(
            "FROM image_hashes SELECT algorithm, hash, hash_2, hash_3, hash_4 ORDER BY algorithm"
        ).fetchall()
    assert {name: from_words(words) for name, *words in rows} == {
        "average": 2**64 - 1,
        "pdq": WIDE,
    }
    assert rows[0][2:] == (None, None, None)


def test_the_rendition_is_kept(warehouse: Warehouse) -> None:
    save(warehouse, ImageHash("average", 1, 50, "v"), rendition="feed_fullsize@jpeg")
    with warehouse.read() as connection:
        assert connection.execute("FROM image_hashes SELECT rendition").fetchall() == [
            ("feed_fullsize@jpeg",)
        ]


def test_the_preview_shows_all_digits(warehouse: Warehouse, tmp_path: Path) -> None:
    save(warehouse, ImageHash("pdq", WIDE, 77, "v", bits=256), ImageHash("average", 5, 50, "v"))
    posts = ImagePosts(tmp_path / "image_posts")
    post = ImagePost(
        time_us=int(NOW.timestamp() * 1_000_000),
        seq=None,
        host="h",
        did="did:plc:a",
        collection="app.bsky.feed.post",
        rkey="r",
        uri="at://did:plc:a/app.bsky.feed.post/r",
        cid="cid",
        operation="create",
        blob_cid="blob",
    )
    posts.write_batch([post], start="1", now=NOW)
    with warehouse.read() as connection:
        posts.attach(connection, [hour_key(NOW)])
        shown = {row[1] for row in hash_preview(connection)}
    assert shown == {f"{WIDE:064x}", "0000000000000005"}
