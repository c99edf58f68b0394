"""The Jetstream side: connect, decode events, remember the position, find images in records."""

from phash_dagster.jetstream.batch import Batch, BatchLimits, StreamGap
from phash_dagster.jetstream.client import read_batch
from phash_dagster.jetstream.cursor import Cursor, CursorError
from phash_dagster.jetstream.events import Event, MalformedFrameError
from phash_dagster.jetstream.hosts import HostFailure
from phash_dagster.jetstream.records import ImageInRecord, RecordImages, images_in_record
from phash_dagster.jetstream.wire_v1 import decode_event

__all__ = [
    "Batch",
    "BatchLimits",
    "Cursor",
    "CursorError",
    "Event",
    "HostFailure",
    "ImageInRecord",
    "MalformedFrameError",
    "RecordImages",
    "StreamGap",
    "decode_event",
    "images_in_record",
    "read_batch",
]
