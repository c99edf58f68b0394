"""Past images near a hash: where they were posted, and what was done about them."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa
import stamina

from phash_dagster.preview.sources import arrow, require_current, set_files
from phash_dagster.preview.values import hex_of, rfc3339
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

_WORDS: Final = 4
_WORD_DIGITS: Final = 16
"""Hexadecimal digits of 64 bits."""


@dataclass(frozen=True)
class TakenActions:
    """Actions because of an image that have the same state."""

    event: str
    value: str
    state: str
    actions: int


@dataclass(frozen=True)
class SimilarImage:
    """A past image near the hash in question.

    Attributes:
        blob_cid: The image.
        hash: Its hash, hexadecimal.
        distance: To the hash in question, in bits.
        posts: Posts that had it, deleted ones too.
        accounts: Their authors.
        first_seen: When Jetstream told of the first of them.
        last_seen: And of the last.
        latest_post: AT URI of the last.
        actions: What the ledger holds because of it, as last copied into the warehouse.
    """

    blob_cid: str
    hash: str
    distance: int
    posts: int
    accounts: int
    first_seen: datetime
    last_seen: datetime
    latest_post: str
    actions: tuple[TakenActions, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is looked for.

    Attributes:
        hash: A hash, hexadecimal.
        algorithm: That made it.
        distance: Bits in which others may differ.
        since: Beginning of the period; None: all there is.
    """

    hash: str
    algorithm: str
    distance: int
    since: datetime | None = None


def find_similar(wanted: Wanted, settings: Settings) -> list[SimilarImage]:
    """Images that were posted in the period, nearest first, then those seen last.

    Nothing is written. The DuckDB file is open for a moment.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
        OldWarehouseError: The DuckDB file is of an earlier release.
    """
    warehouse = Warehouse(settings.warehouse_path)
    if not warehouse.path.exists():
        return []
    with warehouse.read() as connection, require_current(warehouse):
        connection.execute(statement("preview/similar_images"), _parameters(wanted))
        images = arrow(connection, "preview/similar_list")
        actions = connection.execute(statement("preview/similar_actions")).fetchall()
    taken: defaultdict[str, list[TakenActions]] = defaultdict(list)
    for blob_cid, *rest in actions:
        taken[blob_cid].append(TakenActions(*rest))
    return _seen(ImagePosts(settings.image_posts_dir), images, wanted.since, taken)


def as_json(wanted: Wanted, images: list[SimilarImage], found: int) -> str:
    """The images as JSON; `found` is how many there are without a limit."""
    fields = {**asdict(wanted), "found": found, "images": [asdict(image) for image in images]}
    return json.dumps(fields, indent=2, ensure_ascii=False, default=rfc3339)


def _parameters(wanted: Wanted) -> dict[str, object]:
    starts = range(0, _WORDS * _WORD_DIGITS, _WORD_DIGITS)
    words = [wanted.hash[start : start + _WORD_DIGITS] or None for start in starts]
    return {
        **{f"word_{number}": word for number, word in enumerate(words, start=1)},
        "algorithm": wanted.algorithm,
        "distance": wanted.distance,
    }


# Files may go while we read: their hour was compacted. Then look again.
@stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.05)
def _seen(
    posts: ImagePosts,
    images: pa.Table,
    since: datetime | None,
    taken: Mapping[str, list[TakenActions]],
) -> list[SimilarImage]:
    first = hour_key(since) if since else ""
    files = posts.files([key for key in posts.partition_keys() if key >= first])
    if not files:
        return []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("similar_images", images)
        set_files(connection, files)
        rows = connection.execute(statement("preview/similar_seen")).fetchall()
    return [_image(row, taken) for row in rows]


def _image(row: tuple[Any, ...], taken: Mapping[str, list[TakenActions]]) -> SimilarImage:
    blob_cid, words, *rest = row
    found = SimilarImage(blob_cid, hex_of(words), *rest)
    return replace(found, actions=tuple(taken.get(blob_cid, ())))
