"""Removes hours, and kills itself at the n-th step."""

import sys
from pathlib import Path

import phash_dagster.maintenance.forget as module
from phash_dagster.warehouse import ImagePosts, Warehouse
from tests.steps import Steps, watch_the_disk

if __name__ == "__main__":
    folder, step, *hours = sys.argv[1:]
    steps = Steps(int(step))
    watch_the_disk(steps)
    # Inside the transaction that forgets the images, and before it.
    module._forget_some = steps.before(module._forget_some)
    module._keep_posted = steps.before(module._keep_posted)
    Warehouse.write = steps.before(Warehouse.write)  # type: ignore[method-assign]
    module.forget_hours(
        ImagePosts(Path(folder) / "image_posts"),
        Warehouse(Path(folder) / "warehouse.duckdb"),
        hours,
    )
