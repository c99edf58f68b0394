"""What the assets and sensors are given: settings, the stores, the clock. No logic."""

from collections.abc import Mapping

import dagster as dg

from phash_dagster.clock import Clock, utc_now
from phash_dagster.ingest import IngestRecords
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse

SettingsParam = dg.ResourceParam[Settings]
WarehouseParam = dg.ResourceParam[Warehouse]
ImagePostsParam = dg.ResourceParam[ImagePosts]
IngestRecordsParam = dg.ResourceParam[IngestRecords]
ClockParam = dg.ResourceParam[Clock]


def resources(settings: Settings) -> Mapping[str, object]:
    """The resources by the parameter names that assets and sensors use for them."""
    return {
        "settings": settings,
        "warehouse": Warehouse(settings.warehouse_path),
        "posts": ImagePosts(settings.image_posts_dir),
        "ingest": IngestRecords.under(settings.data_dir),
        "clock": utc_now,
    }
