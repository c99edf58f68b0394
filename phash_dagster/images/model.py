"""An image on its way through the pipeline: its reference, its bytes, its one outcome.

Plain values without I/O, shared by fetching, decoding, hashing and the warehouse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
    `missing` names the algorithms whose hash the image lacks; None: nothing is known of it.
    `is_new` says that it has no hash at all and was never asked for with this author.
    """

    blob_cid: str
    did: str
    mime_type: str | None
    preset: str = "feed_fullsize"
    missing: tuple[str, ...] | None = None
    is_new: bool = field(default=False, compare=False)


_PRESETS = {"avatar": "avatar", "banner": "banner"}


def preset_of(embed_type: str | None) -> str:
    """The CDN preset for an image by where it stands in its record; most are full size."""
    return _PRESETS.get(embed_type or "", "feed_fullsize")


@dataclass(frozen=True)
class FetchedImage:
    """The bytes of an image and where they came from.

    `rendition` is `original` for the blob itself, or what the CDN made of it: preset and format,
    e.g. `feed_fullsize@jpeg`.
    """

    data: bytes
    source: Source
    rendition: str


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
    """The image could not be had now; it waits and is tried again later.

    `not_before` is set if trying sooner is of no use: all who may have the image are left alone
    until then. `excused` says that a host of the operator, the CDN for one, is down: a wait for
    that reason is not the image's fault, and never makes it be given up.
    """

    def __init__(
        self, reason: str, *, not_before: datetime | None = None, excused: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.not_before = not_before
        self.excused = excused

    @classmethod
    def of(cls, failures: Sequence["ImageUnavailable"], reason: str) -> "ImageUnavailable":
        """What several sources that failed come to: worth a try as soon as one of them is."""
        times = [failure.not_before for failure in failures]
        known = [time for time in times if time is not None]
        return cls(
            reason,
            not_before=min(known) if known and len(known) == len(times) else None,
            excused=any(failure.excused for failure in failures),
        )


@dataclass(frozen=True)
class ImageHash:
    """One perceptual hash of an image.

    `value` is unsigned and `bits` wide; `quality` runs from 0 (flat image, the hash says nothing)
    to 100.
    """

    algorithm: str
    value: int
    quality: int
    hasher_version: str
    bits: int = 64


@dataclass(frozen=True)
class ImageResult:
    """What became of one reference.

    `reason` is set unless the outcome is `hashed`. `source` and `rendition` are set once bytes
    were fetched, to those of the last; `width`, `height` (pixels) and `format` once they were
    decoded. `not_before` and `excused` are those of `ImageUnavailable`. An image that waits has
    `hashes` if only some of the algorithms failed.
    """

    reference: ImageReference
    outcome: Outcome
    reason: str | None = None
    source: str | None = None
    rendition: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    hashes: tuple[ImageHash, ...] = ()
    not_before: datetime | None = None
    excused: bool = False


def excerpt(text: str, limit: int = 80) -> str:
    """Text of a stranger for a reason or a log line: quoted, escaped, cut to `limit` characters."""
    return repr(text if len(text) <= limit else f"{text[: limit - 3]}...")
