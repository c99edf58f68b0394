"""Which images a record carries. Records are written by strangers: every shape must be survived.

Embed types and blob shapes: the lexicons `app.bsky.embed.*`, `app.bsky.actor.profile`, and the
atproto data model's blob, with its legacy form `{"cid", "mimeType"}`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from phash_dagster.jetstream.syntax import may_be_cid

EMBED_IMAGES = "app.bsky.embed.images"
EMBED_GALLERY = "app.bsky.embed.gallery"
EMBED_EXTERNAL = "app.bsky.embed.external"
EMBED_RECORD_WITH_MEDIA = "app.bsky.embed.recordWithMedia"
EMBEDS_WITHOUT_IMAGES = frozenset({"app.bsky.embed.record", "app.bsky.embed.video"})
PROFILE_COLLECTION = "app.bsky.actor.profile"

MAX_IMAGES = 100
"""Images taken of one record. The lexicons allow 4 and 20, but nobody enforces them, and a record
of 1 MiB has room for thousands."""


@dataclass(frozen=True, slots=True)
class ImageInRecord:
    """One image blob of a record, as the record describes it.

    `blob_cid` has the characters and length of a CID; nothing else is checked.
    """

    blob_cid: str
    mime_type: str | None
    size_bytes: int | None
    position: int
    embed_type: str


@dataclass(frozen=True, slots=True)
class RecordImages:
    """The images of a record, and what in it could not be understood.

    `anomalies` are short names such as `unknown_embed:app.example.embed` or `malformed_blob`;
    `too_many_images` stands once for each image left out.
    """

    images: tuple[ImageInRecord, ...]
    anomalies: tuple[str, ...] = ()


def images_in_record(collection: str, record: object) -> RecordImages:
    """Find the image blobs of a record, the first `MAX_IMAGES`, in the order people see them."""
    if not isinstance(record, dict):
        return RecordImages((), ("malformed_record",))
    if collection == PROFILE_COLLECTION:
        found = list(_profile_blobs(record))
    else:
        found = list(_embed_blobs(record.get("embed")))
    images: list[ImageInRecord] = []
    anomalies: list[str] = []
    for embed_type, blob in found:
        if isinstance(blob, _Anomaly):
            anomalies.append(blob.name)
            continue
        image = _image(blob, position=len(images), embed_type=embed_type)
        if image is None:
            anomalies.append("malformed_blob")
        elif len(images) == MAX_IMAGES:
            anomalies.append("too_many_images")
        else:
            images.append(image)
    return RecordImages(tuple(images), tuple(anomalies))


@dataclass(frozen=True, slots=True)
class _Anomaly:
    name: str


_Found = tuple[str, Any]


def _profile_blobs(record: dict[str, Any]) -> Iterator[_Found]:
    for field in ("avatar", "banner"):
        if record.get(field) is not None:
            yield field, record[field]


def _embed_blobs(embed: object, *, nested: bool = False) -> Iterator[_Found]:
    if embed is None:
        return
    if not isinstance(embed, dict):
        yield "", _Anomaly("malformed_embed")
        return
    kind = embed.get("$type")
    if kind == EMBED_IMAGES:
        yield from _listed_blobs(kind, embed.get("images"))
    elif kind == EMBED_GALLERY:
        yield from _listed_blobs(kind, embed.get("items"))
    elif kind == EMBED_EXTERNAL:
        external = embed.get("external")
        if not isinstance(external, dict):
            yield kind, _Anomaly("malformed_embed")
        elif external.get("thumb") is not None:
            yield kind, external["thumb"]
    elif kind == EMBED_RECORD_WITH_MEDIA and not nested:
        yield from _embed_blobs(embed.get("media"), nested=True)
    elif kind not in EMBEDS_WITHOUT_IMAGES:
        yield "", _Anomaly(f"unknown_embed:{str(kind)[:100]}")


def _listed_blobs(kind: str, items: object) -> Iterator[_Found]:
    if not isinstance(items, list):
        yield kind, _Anomaly("malformed_embed")
        return
    for item in items:
        yield kind, item.get("image") if isinstance(item, dict) else None


def _image(blob: object, *, position: int, embed_type: str) -> ImageInRecord | None:
    if not isinstance(blob, dict):
        return None
    reference = blob.get("ref")
    # Records from before 2023 name the blob by `cid` alone.
    cid = reference.get("$link") if isinstance(reference, dict) else blob.get("cid")
    if not isinstance(cid, str) or not may_be_cid(cid):
        return None
    mime_type, size = blob.get("mimeType"), blob.get("size")
    return ImageInRecord(
        blob_cid=cid,
        mime_type=mime_type if isinstance(mime_type, str) else None,
        size_bytes=size if _fits_bigint(size) else None,
        position=position,
        embed_type=embed_type,
    )


def _fits_bigint(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
