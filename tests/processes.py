"""Real processes by the hundred: forked from one that has imported everything, not started anew."""

import multiprocessing
from typing import Final

FORKS: Final = multiprocessing.get_context("forkserver")

# Python has one such server for all, and what is named after its start is imported by each process
# again, for a second or more. So whatever anybody forks is named here.
FORKS.set_forkserver_preload(
    [
        "tests.analysis.test_snapshot_processes",
        "tests.matching.dying",
        "tests.moderation.killed_emitter",
        "tests.pipeline.tick",
    ]
)
