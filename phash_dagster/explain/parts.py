"""The parts of explanations: events, images, matches, rules. Plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class SeenEvent:
    """One event of the stream, about a record or an account.

    Attributes:
        time: When the Jetstream host witnessed it.
        host: That host.
        operation: `create`, `update`, `delete`, or `account_…` with the account's new status.
        cid: CID of the record that it wrote.
        file: The file of `image_posts` that has it, by its name in DATA_DIR.
        created_at: What the author claims.
    """

    time: datetime
    host: str
    operation: str
    cid: str | None
    file: str
    created_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageHashing:
    """A hash of an image.

    Attributes:
        algorithm: That made it.
        hash: In hexadecimal.
        quality: 0, the hash says nothing, to 100.
        hashed_at: When.
        hasher_version: What made it, with its version.
        matched_with: Rules version that it was compared with last; None: with none yet.
    """

    algorithm: str
    hash: str
    quality: int
    hashed_at: datetime
    hasher_version: str
    matched_with: str | None


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """What became of asking for an image with one author.

    Attributes:
        did: The author.
        outcome: How it ended, or `waiting`.
        reason: Why.
        next_retry_at: When it is tried again.
        tried_at: When it was tried last.
    """

    did: str
    outcome: str
    reason: str | None
    next_retry_at: datetime | None
    tried_at: datetime


@dataclass(frozen=True, kw_only=True)
class FoundMatch:
    """A rule hash near an image, and what the rules in force make of it.

    Attributes:
        rule_id: The rule.
        rule_hash: Its hash.
        algorithm: By which both were made.
        distance: In bits.
        threshold: Of the rule as it is now; None if it is gone.
        decides: Whether the rule decides about the image by this match.
        why_not: Why it does not; None if it does.
        first_version: Rules version with which the match was found.
        matched_at: When.
    """

    rule_id: str
    rule_hash: str
    algorithm: str
    distance: int
    threshold: int | None
    decides: bool
    why_not: str | None
    first_version: str
    matched_at: datetime


@dataclass(frozen=True, kw_only=True)
class NearestHash:
    """The rule hash in force that is nearest to an image, however far."""

    rule_id: str
    rule_hash: str
    algorithm: str
    distance: int
    threshold: int


@dataclass(frozen=True, kw_only=True)
class ImageStory:
    """What is known of an image.

    Attributes:
        blob_cid: The image.
        position: Its place in the post, from 0; None where no post is meant.
        mime_type: What the record claims, as does `size_bytes`.
        size_bytes: In bytes.
        embed_type: How the record carries it.
        outcome: How fetching and hashing it ended, or `waiting`; None: not tried yet.
        reason: Why, if not `hashed`.
        attempts: How often it was tried.
        next_retry_at: When it is tried again.
        updated_at: When it was tried last.
        source: `cdn` or `pds`, if hashed, and `rendition` what of it.
        rendition: `original`, or what the CDN made of it.
        format: Of the decoded image, as are `width` and `height` in pixels.
        width: In pixels.
        height: In pixels.
        hashes: By algorithm.
        asked_with: Per author, while it has no hash.
        matches: Nearest first.
        nearest: However far, if no rule hash in force is stored as near.
    """

    blob_cid: str
    position: int | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    embed_type: str | None = None
    outcome: str | None = None
    reason: str | None = None
    attempts: int = 0
    next_retry_at: datetime | None = None
    updated_at: datetime | None = None
    source: str | None = None
    rendition: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    hashes: Sequence[ImageHashing] = ()
    asked_with: Sequence[Fetching] = ()
    matches: Sequence[FoundMatch] = ()
    nearest: NearestHash | None = None


@dataclass(frozen=True, kw_only=True)
class RulesState:
    """Which rules count.

    Attributes:
        version: In force; None before any were loaded.
        loaded_at: When it came into force last.
        hour: The hour of the post.
        hour_matched_with: Version that the hour was matched with last.
        hour_matched_at: When.
    """

    version: str | None = None
    loaded_at: datetime | None = None
    hour: str | None = None
    hour_matched_with: str | None = None
    hour_matched_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Searched:
    """Where was looked, for what was not found.

    Attributes:
        hours: How many hours of `image_posts` there are.
        first_hour: The first of them.
        last_hour: The last.
        reasons: The causes.
        certain: Whether the causes are known; else they are what may be one.
    """

    hours: int
    first_hour: str | None
    last_hour: str | None
    reasons: Sequence[str] = ()
    certain: bool = False
