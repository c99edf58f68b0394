"""Replaces a DuckDB file by a copy, and kills itself at the n-th step."""

import sys
from pathlib import Path

import phash_dagster.maintenance.reclaim as module
from phash_dagster.warehouse import Warehouse
from tests.steps import Steps, watch_the_disk

if __name__ == "__main__":
    steps = Steps(int(sys.argv[2]))
    watch_the_disk(steps)
    module._copy = steps.before(module._copy)
    module._content = steps.before(module._content)
    module.replace_by_copy(Warehouse(Path(sys.argv[1])))
