"""Records: what embeds look like, and that the pipeline's own reader finds every image in them."""

import pytest

from phash_dagster.jetstream.records import images_in_record
from phash_dagster.sandbox import records
from phash_dagster.sandbox.identifiers import blob_cid


def _blobs(count: int) -> list[records.Json]:
    return [records.blob(blob_cid(bytes([n])), "image/jpeg", 1) for n in range(count)]


@pytest.mark.parametrize(
    ("kind", "count"), [("images", 4), ("recordWithMedia", 2), ("external", 1), ("gallery", 20)]
)
def test_every_image_of_an_embed_is_found(kind: records.Embed, count: int) -> None:
    blobs = _blobs(count)

    found = images_in_record(records.POST, records.post("", "", records.embed_of(kind, blobs)))

    assert [image.blob_cid for image in found.images] == [blob["ref"]["$link"] for blob in blobs]
    assert found.anomalies == ()


@pytest.mark.parametrize(
    ("kind", "count"), [("images", 5), ("images", 0), ("external", 2), ("gallery", 21)]
)
def test_an_embed_carries_only_so_many(kind: records.Embed, count: int) -> None:
    with pytest.raises(ValueError, match=f"'{kind}' carries 1 to"):
        records.embed_of(kind, _blobs(count))


def test_a_video_has_a_blob_but_no_image() -> None:
    record = records.post("", "", records.embed_of("video", _blobs(1)))

    assert images_in_record(records.POST, record).images == ()
    assert records.blob_cids(record) == (blob_cid(b"\0"),)


def test_blobs_are_found_in_both_forms() -> None:
    record = {
        "new": [records.blob("bafkreia", None, 3)],
        "old": records.legacy_blob("bafkreib", "image/png"),
    }

    assert records.blob_cids(record) == ("bafkreia", "bafkreib")


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"<svg/>", "image/svg+xml"),
        (b"", "application/octet-stream"),
    ],
)
def test_the_declared_type_follows_the_first_bytes(data: bytes, mime_type: str) -> None:
    assert records.mime_type_of(data) == mime_type
