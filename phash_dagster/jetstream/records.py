"""Which images a record carries. Records are written by strangers: every shape must be survived.

Embed types and blob shapes: the lexicons `app.bsky.embed.*`, `app.bsky.actor.profile`, and the
atproto data model's blob, with its legacy form `{"cid", "mimeType"}`.
"""

from typing import Any, NamedTuple

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


MAX_MIME_TYPE = 255
"""Characters of a MIME type that is kept. RFC 6838 allows 127 on each side of the slash."""


class ImageInRecord(NamedTuple):
    """One image blob of a record, as the record describes it.

    `blob_cid` has the characters and length of a CID; nothing else is checked.
    """

    blob_cid: str
    mime_type: str | None
    size_bytes: int | None
    position: int
    embed_type: str


class RecordImages(NamedTuple):
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
    return images_in(collection, record.get("embed"), record.get("avatar"), record.get("banner"))


def images_in(collection: str, embed: object, avatar: object, banner: object) -> RecordImages:
    """The same for a record of which only these fields were read."""
    blobs: list[_Found] = []
    anomalies: list[str] = []
    if collection == PROFILE_COLLECTION:
        shown = (("avatar", avatar), ("banner", banner))
        blobs = [(field, blob) for field, blob in shown if blob is not None]
    elif embed is not None:
        _find_blobs(embed, blobs, anomalies)
    images: list[ImageInRecord] = []
    for embed_type, blob in blobs:
        image = _image(blob, len(images), embed_type, anomalies)
        if image is None:
            anomalies.append("malformed_blob")
        elif len(images) == MAX_IMAGES:
            anomalies.append("too_many_images")
        else:
            images.append(image)
    return RecordImages(tuple(images), tuple(anomalies))


_Found = tuple[str, Any]


def _find_blobs(
    embed: object, blobs: list[_Found], anomalies: list[str], *, nested: bool = False
) -> None:
    if not isinstance(embed, dict):
        anomalies.append("malformed_embed")
        return
    kind = embed.get("$type")
    if kind in (EMBED_IMAGES, EMBED_GALLERY):
        items = embed.get("images" if kind == EMBED_IMAGES else "items")
        if not isinstance(items, list):
            anomalies.append("malformed_embed")
            return
        blobs += [(kind, one.get("image") if isinstance(one, dict) else None) for one in items]
    elif kind == EMBED_EXTERNAL:
        external = embed.get("external")
        if not isinstance(external, dict):
            anomalies.append("malformed_embed")
        elif external.get("thumb") is not None:
            blobs.append((kind, external["thumb"]))
    elif kind == EMBED_RECORD_WITH_MEDIA and not nested:
        media = embed.get("media")
        if media is not None:
            _find_blobs(media, blobs, anomalies, nested=True)
    elif not isinstance(kind, str) or kind not in EMBEDS_WITHOUT_IMAGES:
        anomalies.append(f"unknown_embed:{str(kind)[:100]}")


def _image(
    blob: object, position: int, embed_type: str, anomalies: list[str]
) -> ImageInRecord | None:
    if not isinstance(blob, dict):
        return None
    reference = blob.get("ref")
    # Records from before 2023 name the blob by `cid` alone.
    cid = reference.get("$link") if isinstance(reference, dict) else blob.get("cid")
    if not isinstance(cid, str) or not may_be_cid(cid):
        return None
    mime_type, size = blob.get("mimeType"), blob.get("size")
    if not isinstance(mime_type, str):
        mime_type = None
    elif len(mime_type) > MAX_MIME_TYPE:
        mime_type = None
        anomalies.append("overlong_mime_type")
    return ImageInRecord(cid, mime_type, size if _fits_bigint(size) else None, position, embed_type)


def _fits_bigint(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63
