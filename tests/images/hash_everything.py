"""Hashes whatever there is under `DATA_DIR`, as a process that a test can kill."""

import os

from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.hash_images import hash_hours
from tests.images.small_network import Run

if __name__ == "__main__":
    run = Run(os.environ)
    hash_hours(
        run.posts.partition_keys(),
        [get_algorithm("average")],
        settings=run.settings,
        warehouse=run.warehouse,
        posts=run.posts,
        clock=utc_now,
    )
