"""Which images still need work, and what became of them, in the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from phash_dagster.images.model import ImageReference, ImageResult, Outcome
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)
MAX_WAITS = 13
"""Tries of an image with one author, each after its wait, before it is given up: over a day."""


@dataclass(frozen=True)
class Wait:
    """An image waits with an author for the `number`th time in a row, until `until`."""

    number: int
    until: datetime


_PRESETS = {"avatar": "avatar", "banner": "banner"}
"""CDN renditions by where in a record the image stands; all other images are full size."""


def pending_images(
    connection: Connection, *, algorithm: str, now: datetime
) -> list[ImageReference]:
    """The images of the attached hours that need to be fetched and hashed, oldest first.

    Each image comes with one author to ask for it. Those who remain come with the next call, once
    the result of this one is saved.
    """
    rows = connection.execute(
        statement("images/pending_images"), {"algorithm": algorithm, "now": now}
    ).fetchall()
    return [
        ImageReference(blob_cid, did, mime_type, _PRESETS.get(embed_type, "feed_fullsize"))
        for blob_cid, did, mime_type, embed_type in rows
    ]


def save_results(connection: Connection, results: Sequence[ImageResult], *, now: datetime) -> None:
    """Record hashes, outcomes, and with which authors images were tried in vain.

    An image waits while it waits with any author, and `hashed` is never taken back.
    """
    waits = _waits(connection, results)
    rows = [
        _result_row(result, waits.get((result.reference.blob_cid, result.reference.did)), now)
        for result in results
    ]
    hashes = [row for result in results for row in _hash_rows(result, now)]
    for name, batch, schema in (
        ("batch_results", rows, _RESULT_SCHEMA),
        ("batch_hashes", hashes, _HASH_SCHEMA),
    ):
        connection.register(name, pa.Table.from_pylist(batch, schema=schema))
    for name in ("save_attempts", "forget_attempts", "save_outcomes", "save_hashes"):
        connection.execute(statement(f"images/{name}"))
    for name in ("batch_results", "batch_hashes"):
        connection.unregister(name)


_TIME = pa.timestamp("us", tz="UTC")
_RESULT_SCHEMA = pa.schema(
    {
        "blob_cid": pa.string(),
        "did": pa.string(),
        "outcome": pa.string(),
        "reason": pa.string(),
        "waits": pa.int32(),
        "next_retry_at": _TIME,
        "tried_at": _TIME,
    }
)
_HASH_SCHEMA = pa.schema(
    {
        "blob_cid": pa.string(),
        "algorithm": pa.string(),
        "hash": pa.uint64(),
        "quality": pa.uint8(),
        "width": pa.int32(),
        "height": pa.int32(),
        "format": pa.string(),
        "source": pa.string(),
        "hasher_version": pa.string(),
        "hashed_at": _TIME,
    }
)


def _result_row(result: ImageResult, earlier: Wait | None, now: datetime) -> dict[str, object]:
    outcome, wait = settle(result.outcome, earlier, now=now)
    return {
        "blob_cid": result.reference.blob_cid,
        "did": result.reference.did,
        "outcome": outcome.value,
        "reason": result.reason,
        "waits": wait.number if wait else 0,
        "next_retry_at": wait.until if wait else None,
        "tried_at": now,
    }


def _hash_rows(result: ImageResult, now: datetime) -> list[dict[str, object]]:
    return [
        {
            "blob_cid": result.reference.blob_cid,
            "algorithm": image_hash.algorithm,
            "hash": image_hash.value,
            "quality": image_hash.quality,
            "width": result.width,
            "height": result.height,
            "format": result.format,
            "source": result.source,
            "hasher_version": image_hash.hasher_version,
            "hashed_at": now,
        }
        for image_hash in result.hashes
    ]


def settle(outcome: Outcome, earlier: Wait | None, *, now: datetime) -> tuple[Outcome, Wait | None]:
    """The outcome of a try with one author, and the wait that follows it.

    Waits double from a minute to six hours, then the image is given up. They count time, not
    tries: other authors have waits of their own, and a try before the end of the `earlier` wait,
    since its author posted the image again, leaves that wait as it is.
    """
    if outcome is not Outcome.waiting:
        return outcome, None
    if earlier and earlier.until > now:
        return Outcome.waiting, earlier
    number = earlier.number + 1 if earlier else 1
    if number >= MAX_WAITS:
        return Outcome.gave_up, None
    return Outcome.waiting, Wait(number, now + min(FIRST_RETRY * 2 ** (number - 1), LONGEST_RETRY))


def outcome_counts(connection: Connection) -> dict[str, int]:
    """Images of the attached hours by outcome; `untried` for those without one."""
    return dict(connection.execute(statement("images/outcome_counts")).fetchall())


def unfinished_hours(connection: Connection, *, now: datetime) -> dict[str, int]:
    """The attached hours with images that nobody tried yet or whose time has come, and how many."""
    return dict(connection.execute(statement("images/unfinished_hours"), {"now": now}).fetchall())


def hash_preview(connection: Connection) -> list[tuple[object, ...]]:
    """The latest hashes of the attached hours: blob CID, hash, quality, size, source."""
    return connection.execute(statement("images/hash_preview")).fetchall()


def _waits(connection: Connection, results: Sequence[ImageResult]) -> dict[tuple[str, str], Wait]:
    cids = [result.reference.blob_cid for result in results]
    rows = connection.execute(statement("images/waits"), {"blob_cids": cids}).fetchall()
    return {(blob_cid, did): Wait(number, until) for blob_cid, did, number, until in rows}
