"""Waiting for what another process does in its own time."""

import time
from collections.abc import Callable

WAIT_SECONDS = 15.0
PAUSE_SECONDS = 0.05


def wait_until(condition: Callable[[], bool]) -> bool:
    """Ask until the condition holds; return whether it came to hold in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
