"""A long past for the pipeline, written through its own stores without fetching an image."""

import random
from datetime import datetime, timedelta

from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm, hasher_version
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.matching.backfill import SETTLED_AFTER
from phash_dagster.sandbox.identifiers import blob_cid, microseconds, plc_did, record_cid, tid
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.sandbox.records import POST
from phash_dagster.warehouse import ImagePost
from phash_dagster.warehouse.image_posts import hour_key

_SAVE_EVERY = 50_000
_AUTHORS = 500


def write_history(
    pipeline: LocalPipeline, hours: int, per_hour: int, seed: int, known_hash: int
) -> list[str]:
    """Fill hours of the past with posts of one hashed image each; return their keys.

    Hashes are random; the first image of each hour has the hash `known_hash`. There were no live
    runs, so the latest hour is one that is no longer left to them.
    """
    chance = random.Random(seed)
    now = utc_now()
    end = now.replace(minute=0, second=0, microsecond=0) - SETTLED_AFTER
    unsaved: list[ImageResult] = []
    for number in range(hours, 0, -1):
        rows = _posts(chance, end - timedelta(hours=number), per_hour)
        pipeline.posts.write_batch(rows, start=f"{rows[0].time_us}-0-0-0", now=now)
        values = [known_hash, *(chance.getrandbits(64) for _ in rows[1:])]
        unsaved += [_hashed(row, value) for row, value in zip(rows, values, strict=True)]
        if len(unsaved) >= _SAVE_EVERY or number == 1:
            with pipeline.warehouse.write() as connection:
                save_results(connection, unsaved, now=now)
            unsaved.clear()
    return [hour_key(end - timedelta(hours=number)) for number in range(hours, 0, -1)]


def _posts(chance: random.Random, hour: datetime, count: int) -> list[ImagePost]:
    start, step = microseconds(hour), 3_600_000_000 // count
    return [_post(chance, start + number * step) for number in range(count)]


def _post(chance: random.Random, time_us: int) -> ImagePost:
    did, rkey = plc_did(f"past {chance.randrange(_AUTHORS)}"), tid(time_us)
    return ImagePost(
        time_us=time_us,
        seq=None,
        host="history",
        did=did,
        collection=POST,
        rkey=rkey,
        uri=f"at://{did}/{POST}/{rkey}",
        cid=record_cid({"number": time_us}),
        operation="create",
        blob_cid=blob_cid(chance.randbytes(16)),
        mime_type="image/jpeg",
        size_bytes=100_000,
        position=0,
        embed_type="images",
    )


def _hashed(row: ImagePost, value: int) -> ImageResult:
    algorithm = get_algorithm("average")
    return ImageResult(
        ImageReference(str(row.blob_cid), row.did, row.mime_type),
        Outcome.hashed,
        source="cdn",
        width=1000,
        height=750,
        format="JPEG",
        hashes=(ImageHash("average", value, 100, hasher_version(algorithm)),),
    )
