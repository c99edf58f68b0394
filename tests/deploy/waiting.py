"""Waits for what an installed pipeline does."""

import time
from collections.abc import Callable
from typing import Final

WAIT_SECONDS: Final = 300.0


def wait_for(condition: Callable[[], bool], what: str, log: Callable[[], str]) -> None:
    """Wait until a condition holds, which the words name.

    Raises:
        AssertionError: It did not in time; the log is printed before.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            print(log())
            raise AssertionError(f"{what}: not in time")
        time.sleep(1)
