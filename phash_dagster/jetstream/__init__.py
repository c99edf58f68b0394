"""The Jetstream side: connect, decode events, remember the position, find images in records."""

from phash_dagster.jetstream.client import Batch, BatchLimits, JetstreamUnavailableError, read_batch
from phash_dagster.jetstream.cursor import Cursor, CursorError
from phash_dagster.jetstream.events import Event, MalformedFrameError, decode_event
from phash_dagster.jetstream.records import ImageInRecord, RecordImages, images_in_record

__all__ = [
    "Batch",
    "BatchLimits",
    "Cursor",
    "CursorError",
    "Event",
    "ImageInRecord",
    "JetstreamUnavailableError",
    "MalformedFrameError",
    "RecordImages",
    "decode_event",
    "images_in_record",
    "read_batch",
]
