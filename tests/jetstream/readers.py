"""Reads from servers on loopback, as the sensor does."""

from pathlib import Path
from typing import Any

from phash_dagster.jetstream import Batch, BatchLimits, Cursor, read_batch
from tests.jetstream.frames import POSTS, TIME_US, blob, commit, encode, images_embed, post_record

LIMITS = BatchLimits(seconds=0.4, max_rows=1000)
NOBODY = "ws://127.0.0.1:9/subscribe"


def posts(count: int, *, numbered: bool = False, first: int = 0) -> list[dict[str, Any]]:
    record = post_record(images_embed(blob()))
    return [
        commit(record, rkey=f"r{number}", time_us=TIME_US + number)
        | ({"cursor": 1000 + number} if numbered else {})
        for number in range(first, first + count)
    ]


def post_frames(count: int) -> list[bytes]:
    return [encode(event) for event in posts(count)]


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        *urls: str,
        cursor: Cursor = Cursor(TIME_US),  # noqa: B008 - frozen
        limits: BatchLimits = LIMITS,
        **options: Any,
    ) -> Batch:
        return read_batch(
            urls, cursor, wanted=POSTS, limits=limits, dictionaries=self.folder, **options
        )


def rkeys(batch: Batch) -> list[str | None]:
    return [row.rkey for row in batch.rows]
