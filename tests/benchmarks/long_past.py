"""A past of millions of images for the pipeline, written in bulk into its own stores.

What `history` does one post at a time, with the hashes of `matching_data`: as skewed as real ones.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm, hasher_version
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.image_posts import SCHEMA, hour_key
from phash_dagster.warehouse.parquet_files import write_table
from tests.benchmarks.matching_data import image_hashes

ALGORITHM: Final = "average"
_AUTHORS: Final = 100_000
_HOUR_US: Final = 3_600_000_000

_CID: Final = "'bafkrei' || md5('{0}' || number) || md5(number::VARCHAR)[1:20]"
"""As long as a real one, and like it hardly to be compressed."""

_SAVE_HASHES: Final = f"""
    INSERT INTO image_hashes BY NAME
    FROM part
    SELECT
        {_CID.format("blob")} AS blob_cid, $algorithm AS algorithm, hash, 100 AS quality,
        1000 AS width, 750 AS height, 'JPEG' AS format, 'cdn' AS source,
        $hasher_version AS hasher_version, $now AS hashed_at, number AS hash_number
"""
_SAVE_OUTCOMES: Final = f"""
    INSERT INTO image_outcomes BY NAME
    FROM part
    SELECT
        {_CID.format("blob")} AS blob_cid, 'hashed' AS outcome, 1 AS attempts,
        'did:plc:author' AS last_did, $now AS updated_at
"""
_POSTS: Final = f"""
    FROM part
    SELECT
        time_us, NULL AS seq, 'long past' AS host,
        'did:plc:' || md5((number % {_AUTHORS})::VARCHAR)[1:24] AS did,
        'app.bsky.feed.post' AS collection, md5('key' || number)[1:13] AS rkey,
        'at://' || did || '/' || collection || '/' || rkey AS uri,
        {_CID.format("record")} AS cid, 'create' AS operation,
        {_CID.format("blob")} AS blob_cid, 'image/jpeg' AS mime_type, 100000 AS size_bytes,
        0 AS position, 'images' AS embed_type, NULL AS created_at
    ORDER BY number
"""


def write_long_past(
    pipeline: LocalPipeline, *, hours: int, images: int, known: list[int]
) -> list[str]:
    """Fill the hours before this one with posts of one hashed image each; return their keys.

    Of each hour the first images have the hashes `known`, one each; the other hashes are those of
    `matching_data`. Each hour is one Parquet file, as compaction leaves it.
    """
    per_hour = images // hours
    now = utc_now()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
    for start, part in _parts(per_hour * hours, per_hour, known):
        begin = microseconds(first) + start // per_hour * _HOUR_US
        table = pa.table(
            {
                "number": pa.array(np.arange(start + 1, start + len(part) + 1)),
                "hash": pa.array(part),
                "time_us": pa.array(begin + np.arange(len(part)) * (_HOUR_US // per_hour)),
            }
        )
        with pipeline.warehouse.write() as connection:
            connection.register("part", table)
            _save(connection, now)
            posts = connection.sql(_POSTS).to_arrow_table().cast(SCHEMA)
        _write_posts(pipeline, posts, per_hour)
    with pipeline.warehouse.write() as connection:
        # Images that come later get larger numbers.
        connection.execute(
            "SELECT max(nextval('image_hash_numbers')) FROM range($1)", [per_hour * hours]
        )
    return [hour_key(first + timedelta(hours=number)) for number in range(hours)]


def _parts(
    images: int, per_hour: int, known: list[int]
) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Hashes of whole hours, about a million at once, and the number of the first."""
    start, rest = 0, np.empty(0, dtype=np.uint64)
    for words in image_hashes(images, 64):
        rest = np.concatenate([rest, words[:, 0]])
        size = len(rest) // per_hour * per_hour
        part, rest = rest[:size], rest[size:]
        for place, value in enumerate(known):
            part[place::per_hour] = value
        if size:
            yield start, part
        start += size


def _save(connection: Connection, now: datetime) -> None:
    connection.execute(
        _SAVE_HASHES,
        {
            "algorithm": ALGORITHM,
            "hasher_version": hasher_version(get_algorithm(ALGORITHM)),
            "now": now,
        },
    )
    connection.execute(_SAVE_OUTCOMES, {"now": now})


def _write_posts(pipeline: LocalPipeline, posts: pa.Table, per_hour: int) -> None:
    for start in range(0, len(posts), per_hour):
        rows = posts.slice(start, per_hour)
        time_us = rows.column("time_us")[0].as_py()
        hour = hour_key(datetime.fromtimestamp(time_us / 1e6, tz=utc_now().tzinfo))
        write_table(rows, pipeline.posts.folder(hour) / f"{time_us}-0-0-0.parquet")
