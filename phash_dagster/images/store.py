"""Which images still need work, and what became of them, in the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from phash_dagster.hashing.words import to_words
from phash_dagster.images.model import ImageReference, ImageResult, Outcome, preset_of
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


def pending_images(
    connection: Connection,
    *,
    algorithms: Sequence[str],
    now: datetime,
    retry_given_up: bool = False,
) -> list[ImageReference]:
    """The images of the attached hours that lack a hash by one of the algorithms, oldest first.

    Each image comes with the algorithms that it lacks and one author to ask for it. Those who
    remain come with the next call, once the result of this one is saved. `retry_given_up` adds
    the images that were given up.
    """
    rows = connection.execute(
        statement("images/pending_images"),
        {"algorithms": list(algorithms), "now": now, "retry_given_up": retry_given_up},
    ).fetchall()
    return [
        ImageReference(blob_cid, did, mime_type, preset_of(embed_type), tuple(missing), is_new)
        for blob_cid, did, mime_type, embed_type, missing, is_new in rows
    ]


def rule_algorithms(connection: Connection) -> list[str]:
    """The algorithms that the rules in force need."""
    return [name for (name,) in connection.execute(statement("images/rule_algorithms")).fetchall()]


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
_WORD_COLUMNS = ("hash", "hash_2", "hash_3", "hash_4")
_HASH_SCHEMA = pa.schema(
    {
        "blob_cid": pa.string(),
        "algorithm": pa.string(),
        **dict.fromkeys(_WORD_COLUMNS, pa.uint64()),
        "quality": pa.uint8(),
        "width": pa.int32(),
        "height": pa.int32(),
        "format": pa.string(),
        "source": pa.string(),
        "rendition": pa.string(),
        "hasher_version": pa.string(),
        "hashed_at": _TIME,
    }
)


def _result_row(result: ImageResult, earlier: Wait | None, now: datetime) -> dict[str, object]:
    outcome, wait = settle(result, earlier, now=now)
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
            **dict(zip(_WORD_COLUMNS, to_words(image_hash.value, image_hash.bits), strict=True)),
            "quality": image_hash.quality,
            "width": result.width,
            "height": result.height,
            "format": result.format,
            "source": result.source,
            "rendition": result.rendition,
            "hasher_version": image_hash.hasher_version,
            "hashed_at": now,
        }
        for image_hash in result.hashes
    ]


def settle(
    result: ImageResult, earlier: Wait | None, *, now: datetime
) -> tuple[Outcome, Wait | None]:
    """The outcome of a try with one author, and the wait that follows it.

    Waits double from a minute to six hours, then the image is given up, unless its last wait is
    excused: then it goes on waiting. They count time, not tries: other authors have waits of their
    own, and a try before the end of the `earlier` wait, since its author posted the image again,
    leaves that wait as it is. No wait ends before `result.not_before`.
    """
    if result.outcome is not Outcome.waiting:
        return result.outcome, None
    if earlier and earlier.until > now:
        return Outcome.waiting, _not_before(result.not_before, earlier)
    number = earlier.number + 1 if earlier else 1
    if result.excused:
        number = min(number, MAX_WAITS - 1)
    if number >= MAX_WAITS:
        return Outcome.gave_up, None
    until = now + min(FIRST_RETRY * 2 ** (number - 1), LONGEST_RETRY)
    return Outcome.waiting, _not_before(result.not_before, Wait(number, until))


def _not_before(earliest: datetime | None, wait: Wait) -> Wait:
    return wait if earliest is None else Wait(wait.number, max(earliest, wait.until))


def unfinished_hours(
    connection: Connection, *, due_by: datetime, untried: bool = True
) -> dict[str, int]:
    """The attached hours with images whose attempt was due by then, and how many.

    `untried` counts those that nobody tried yet, too.
    """
    rows = connection.execute(
        statement("images/unfinished_hours"), {"due_by": due_by, "untried": untried}
    )
    return dict(rows.fetchall())


def given_up_preview(connection: Connection) -> list[tuple[object, ...]]:
    """Images of the attached hours that were given up last: blob CID, DID, attempts, when, why."""
    return connection.execute(statement("images/given_up")).fetchall()


def hash_preview(connection: Connection) -> list[tuple[object, ...]]:
    """The latest hashes of the attached hours: blob CID, hash, quality, size, source."""
    return connection.execute(statement("images/hash_preview")).fetchall()


def _waits(connection: Connection, results: Sequence[ImageResult]) -> dict[tuple[str, str], Wait]:
    cids = [result.reference.blob_cid for result in results]
    rows = connection.execute(statement("images/waits"), {"blob_cids": cids}).fetchall()
    return {(blob_cid, did): Wait(number, until) for blob_cid, did, number, until in rows}
