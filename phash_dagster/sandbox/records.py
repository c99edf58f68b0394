"""Records as clients write them: posts with the embeds that carry images, and the other kinds."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Embed = Literal["images", "recordWithMedia", "external", "gallery", "video"]
"""How a post carries its blobs; the names of the lexicons `app.bsky.embed.*`."""

Json = dict[str, Any]

POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"

MAX_BLOBS: Mapping[Embed, int] = {
    "images": 4,
    "recordWithMedia": 4,
    "external": 1,
    "gallery": 20,
    "video": 1,
}
_ASPECT_RATIO = {"width": 4, "height": 3}
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


def mime_type_of(data: bytes) -> str:
    """The MIME type that a client would declare, from the first bytes."""
    return next(
        (mime for magic, mime in _MAGIC if data.startswith(magic)), "application/octet-stream"
    )


def blob(cid: str, mime_type: str | None, size: int) -> Json:
    """A reference to a blob. Without a MIME type the field is left out, which is legal."""
    mime = {} if mime_type is None else {"mimeType": mime_type}
    return {"$type": "blob", "ref": {"$link": cid}, **mime, "size": size}


def legacy_blob(cid: str, mime_type: str) -> Json:
    """A reference to a blob as records wrote it before 2023."""
    return {"cid": cid, "mimeType": mime_type}


def embed_of(kind: Embed, blobs: Sequence[Json]) -> Json:
    """The embed that carries the blobs.

    Raises:
        ValueError: The embed cannot carry so many.
    """
    if not 1 <= len(blobs) <= MAX_BLOBS[kind]:
        raise ValueError(f"embed {kind!r} carries 1 to {MAX_BLOBS[kind]} blobs, not {len(blobs)}")
    match kind:
        case "images":
            return {"$type": "app.bsky.embed.images", "images": _pictures(blobs)}
        case "gallery":
            return {"$type": "app.bsky.embed.gallery", "items": _pictures(blobs)}
        case "external":
            return {"$type": "app.bsky.embed.external", "external": _external(blobs[0])}
        case "video":
            return {"$type": "app.bsky.embed.video", "video": blobs[0]}
        case "recordWithMedia":
            return {
                "$type": "app.bsky.embed.recordWithMedia",
                "record": {"$type": "app.bsky.embed.record", "record": _quoted()},
                "media": embed_of("images", blobs),
            }


def _pictures(blobs: Sequence[Json]) -> list[Json]:
    return [{"alt": "", "aspectRatio": _ASPECT_RATIO, "image": image} for image in blobs]


def _external(thumb: Json) -> Json:
    return {"uri": "https://example.com/", "title": "A page", "description": "", "thumb": thumb}


def _quoted() -> Json:
    return {
        "uri": f"at://did:plc:{'q' * 24}/{POST}/3jzfcijpj2z2a",
        "cid": "bafyreibnoelefnzgwbcacyt4vh52ymxvzbjq7mmqhtcnwarfq4lzegsiqe",
    }


def post(text: str, created_at: str, embed: Json | None = None) -> Json:
    """A post; `created_at` is what its client claims."""
    record: Json = {"$type": POST, "createdAt": created_at, "langs": ["en"], "text": text}
    return record if embed is None else {**record, "embed": embed}


def like(uri: str, cid: str, created_at: str) -> Json:
    """A like of a record."""
    return {"$type": LIKE, "subject": {"uri": uri, "cid": cid}, "createdAt": created_at}


def blob_cids(value: object) -> tuple[str, ...]:
    """Every blob that a record refers to, in order, in the current or the legacy form."""
    if isinstance(value, Mapping):
        if value.get("$type") == "blob":
            return (str(value["ref"]["$link"]),)
        if set(value) == {"cid", "mimeType"}:
            return (str(value["cid"]),)
        return tuple(cid for item in value.values() for cid in blob_cids(item))
    if isinstance(value, list):
        return tuple(cid for item in value for cid in blob_cids(item))
    return ()
