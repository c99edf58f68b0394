"""Programs of the distribution that some tests need, such as a browser or a proxy."""

import os
import shutil
from typing import Final, NoReturn

import pytest

PLACES: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))


def needed(name: str, *, package: str | None = None) -> str:
    """Where the program is. Without it the test ends here: see `missing`.

    Args:
        name: The program.
        package: Debian's package that brings it, if it is called otherwise.
    """
    found = shutil.which(name, path=PLACES)
    return found or missing(f"the package {package or name}")


def missing(what: str) -> NoReturn:
    """Skip a test for what this machine lacks. In CI, which installs it all, this is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing, and CI should have it: {what}")
    pytest.skip(f"missing: {what}")
