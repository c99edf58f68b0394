"""Where data is kept: the DuckDB working file and the hourly Parquet files of `image_posts`."""

from phash_dagster.warehouse.database import Connection, Warehouse, WarehouseBusyError
from phash_dagster.warehouse.image_posts import BatchFile, ImagePost, ImagePosts, PostKind

__all__ = [
    "BatchFile",
    "Connection",
    "ImagePost",
    "ImagePosts",
    "PostKind",
    "Warehouse",
    "WarehouseBusyError",
]
