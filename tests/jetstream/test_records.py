"""Finding images in records."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream import images_in_record
from tests.jetstream.frames import CID, blob, images_embed, post_record

POST = "app.bsky.feed.post"


def test_images_come_in_the_order_of_the_record() -> None:
    found = images_in_record(POST, post_record(images_embed(blob("a"), blob("b"))))
    assert [(image.blob_cid, image.position) for image in found.images] == [("a", 0), ("b", 1)]
    assert found.images[0].embed_type == "app.bsky.embed.images"
    assert found.images[0].mime_type == "image/jpeg"
    assert found.images[0].size_bytes == 1000


@pytest.mark.parametrize(
    "embed",
    [
        {"$type": "app.bsky.embed.gallery", "items": [{"image": blob()}]},
        {"$type": "app.bsky.embed.external", "external": {"uri": "https://x", "thumb": blob()}},
        {"$type": "app.bsky.embed.recordWithMedia", "media": images_embed(blob()), "record": {}},
        {
            "$type": "app.bsky.embed.recordWithMedia",
            "media": {"$type": "app.bsky.embed.external", "external": {"thumb": blob()}},
        },
    ],
    ids=["gallery", "external", "recordWithMedia", "recordWithMedia of external"],
)
def test_every_kind_of_embed_that_shows_an_image_is_read(embed: dict[str, Any]) -> None:
    found = images_in_record(POST, post_record(embed))
    assert [image.blob_cid for image in found.images] == [CID]
    assert found.anomalies == ()


@pytest.mark.parametrize(
    "embed",
    [
        None,
        {"$type": "app.bsky.embed.record", "record": {}},
        {"$type": "app.bsky.embed.video", "video": blob()},
        {"$type": "app.bsky.embed.external", "external": {"uri": "https://x"}},
        images_embed(),
    ],
    ids=["none", "record", "video", "external without thumb", "no images"],
)
def test_an_embed_without_images_is_no_anomaly(embed: dict[str, Any] | None) -> None:
    assert images_in_record(POST, post_record(embed)) == images_in_record(POST, {})


def test_an_unknown_embed_is_counted_by_its_type() -> None:
    found = images_in_record(POST, post_record({"$type": "app.example.embed.hologram"}))
    assert found.anomalies == ("unknown_embed:app.example.embed.hologram",)


def test_record_with_media_inside_itself_is_not_followed() -> None:
    nested: dict[str, Any] = {"$type": "app.bsky.embed.recordWithMedia"}
    nested["media"] = {"$type": "app.bsky.embed.recordWithMedia", "media": images_embed(blob())}
    found = images_in_record(POST, post_record(nested))
    assert found.images == ()
    assert found.anomalies == ("unknown_embed:app.bsky.embed.recordWithMedia",)


def test_a_blob_without_a_mime_type_is_legal() -> None:
    bare = {"$type": "blob", "ref": {"$link": CID}}
    [image] = images_in_record(POST, post_record(images_embed(bare))).images
    assert (image.mime_type, image.size_bytes) == (None, None)


def test_a_legacy_blob_names_its_cid_directly() -> None:
    legacy = {"cid": CID, "mimeType": "image/png"}
    [image] = images_in_record(POST, post_record(images_embed(legacy))).images
    assert (image.blob_cid, image.mime_type) == (CID, "image/png")


@pytest.mark.parametrize("bad", [None, "text", 3, {}, {"ref": {}}, {"ref": {"$link": 7}}])
def test_a_malformed_blob_is_counted_and_the_others_are_kept(bad: object) -> None:
    found = images_in_record(POST, post_record(images_embed(bad, blob())))
    assert [image.blob_cid for image in found.images] == [CID]
    assert found.anomalies == ("malformed_blob",)


def test_a_profile_shows_avatar_and_banner() -> None:
    profile = {"avatar": blob("a"), "banner": blob("b")}
    found = images_in_record("app.bsky.actor.profile", profile)
    assert [(i.blob_cid, i.embed_type) for i in found.images] == [("a", "avatar"), ("b", "banner")]


@pytest.mark.parametrize("record", [None, [], "x", 1])
def test_a_record_that_is_no_object_is_an_anomaly(record: object) -> None:
    assert images_in_record(POST, record).anomalies == ("malformed_record",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["embed", "$type", "images", "items", "image", "external", "thumb", "media", "ref"]
            )
            | st.text(max_size=3),
            inner
            | st.sampled_from(["app.bsky.embed.images", "app.bsky.embed.recordWithMedia", "blob"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(record=json_values)
def test_no_record_makes_the_search_fail(record: object) -> None:
    for image in images_in_record(POST, record).images:
        assert image.blob_cid


@pytest.mark.parametrize("cid", ["", "a\0b", "a\nb", "a b", "é", "x" * 257])
def test_a_blob_whose_cid_cannot_be_one_is_malformed(cid: str) -> None:
    found = images_in_record(POST, post_record(images_embed(blob(cid), blob())))
    assert [image.blob_cid for image in found.images] == [CID]
    assert found.anomalies == ("malformed_blob",)


def test_of_thousands_of_images_the_first_hundred_are_kept_and_the_rest_counted() -> None:
    blobs = [blob(f"cid{number}") for number in range(2000)]
    found = images_in_record(POST, post_record(images_embed(*blobs)))
    assert [image.blob_cid for image in found.images] == [f"cid{n}" for n in range(100)]
    assert Counter(found.anomalies) == {"too_many_images": 1900}
