"""Compacts the hour of `test_image_posts`, and kills itself at the n-th step."""

import sys
from pathlib import Path

from phash_dagster.warehouse import ImagePosts
from phash_dagster.warehouse.compaction import compact_files
from phash_dagster.warehouse.image_posts import SCHEMA
from tests.steps import Steps, watch_the_disk
from tests.warehouse.test_image_posts import HOUR

if __name__ == "__main__":
    watch_the_disk(Steps(int(sys.argv[2])))
    compact_files(ImagePosts(Path(sys.argv[1])).files([HOUR]), SCHEMA)
