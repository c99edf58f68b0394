"""Kills the own process at the n-th step that changes something on disk.

For tests that ask of every step: what if the power went out here?
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Steps:
    """Counts steps, and kills the process with SIGKILL at one of them."""

    def __init__(self, kill_at: int) -> None:
        self._left = kill_at

    def pass_one(self) -> None:
        """Come to the next step."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a step before each call."""

        def stepping(*arguments: Any, **options: Any) -> Any:
            self.pass_one()
            return function(*arguments, **options)

        return stepping


def watch_the_disk(steps: Steps) -> None:
    """Make a step of every making, syncing, renaming and removing of a file by this process."""
    import pyarrow.parquet as pq

    pq.write_table = steps.before(pq.write_table)
    pq.ParquetWriter.write_table = steps.before(pq.ParquetWriter.write_table)
    os.fsync = steps.before(os.fsync)
    Path.replace = steps.before(Path.replace)  # type: ignore[method-assign]
    Path.unlink = steps.before(Path.unlink)  # type: ignore[method-assign]
