"""An image on its way through the pipeline: its reference, its bytes, its one outcome.

Plain values without I/O, shared by fetching, decoding, hashing and the warehouse.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, final

Source = Literal["cdn", "pds"]
"""Where bytes came from: a rendition re-encoded by the CDN, or the original blob from a PDS."""


class Outcome(StrEnum):
    """How an image ended, or that it has not ended yet. Every image seen has exactly one.

    Only `hashed` is for good: any other may be due to the author the image was asked for with, and
    is tried again with another one, or when the image is posted again.
    """

    hashed = "hashed"
    unsupported = "unsupported"
    too_large = "too_large"
    not_found = "not_found"
    corrupt = "corrupt"
    blocked = "blocked"
    cid_mismatch = "cid_mismatch"
    gave_up = "gave_up"
    waiting = "waiting"


@dataclass(frozen=True)
class ImageReference:
    """An image as a record names it; `blob_cid` and `did` are unchecked text of strangers.

    `mime_type` is what the record claims; it is never trusted, and legal records omit it.
    `preset` is the CDN rendition to fetch: feed_fullsize, feed_thumbnail, avatar or banner.
    """

    blob_cid: str
    did: str
    mime_type: str | None
    preset: str = "feed_fullsize"


@dataclass(frozen=True)
class FetchedImage:
    """The bytes of an image and where they came from."""

    data: bytes
    source: Source


@final
class ImageRejected(Exception):  # noqa: N818 - not an error of ours: an outcome of the image
    """The image ended without a hash; trying again with its author would end the same way."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(outcome, reason)
        self.outcome = outcome
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}"


@final
class ImageUnavailable(Exception):  # noqa: N818 - as above
    """The image could not be had now; it waits and is tried again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ImageHash:
    """One perceptual hash of an image.

    `value` is unsigned; `quality` runs from 0 (flat image, the hash says nothing) to 100.
    """

    algorithm: str
    value: int
    quality: int
    hasher_version: str


@dataclass(frozen=True)
class ImageResult:
    """What became of one reference.

    `reason` is set unless the outcome is `hashed`. `source` is set once bytes were fetched, to
    that of the last; `width`, `height` (pixels) and `format` once they were decoded.
    """

    reference: ImageReference
    outcome: Outcome
    reason: str | None = None
    source: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    hashes: tuple[ImageHash, ...] = ()


def excerpt(text: str, limit: int = 80) -> str:
    """Text of a stranger for a reason or a log line: quoted, escaped, cut to `limit` characters."""
    return repr(text if len(text) <= limit else f"{text[: limit - 3]}...")
