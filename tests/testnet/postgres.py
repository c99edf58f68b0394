"""A throw-away PostgreSQL cluster: Unix socket only, made in a second, gone with its user."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testnet.errors import TestnetError

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30
MAX_SOCKET_PATH_BYTES = 107
"""Linux: `sun_path` holds 108 bytes with the final NUL."""

_WATCHDOG = """
root=$1; shift
"$@" >>"$root/postgres.log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
rm -rf "$root" || { sleep 1; rm -rf "$root"; }
"""
"""Runs the server until standard input ends, then stops it and removes the cluster.

The test process holds the other end of that pipe: the kernel closes it however the process ends,
kill -9 included, which no trap in the process itself could promise.
"""

_SPEED_NOT_DURABILITY = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=100",
)


@dataclass(frozen=True)
class Postgres:
    """A running cluster with the superuser `postgres`, reached without a password."""

    binaries: Path
    socket_dir: Path
    """Goes with the cluster, whatever else was put there."""

    def url(self, database: str = "postgres", scheme: str = "postgresql") -> str:
        """Return a connection URL. SQLAlchemy wants `scheme="postgresql+psycopg2"`."""
        return f"{scheme}://postgres@/{database}?host={self.socket_dir}"

    def create_database(self, name: str) -> None:
        """Create an empty database.

        Raises:
            TestnetError: It exists, or the name is not one.
        """
        command = [f"{self.binaries}/createdb", "-h", f"{self.socket_dir}", "-U", "postgres", name]
        _run(command, f"creating the database {name!r}")


@contextmanager
def throwaway_postgres() -> Iterator[Postgres]:
    """Start a cluster of its own under the temporary directory; stop and remove it at the end.

    Raises:
        TestnetError: PostgreSQL is not installed, or the cluster did not start.
    """
    binaries = _find_binaries()
    root = Path(tempfile.mkdtemp(prefix="phash-postgres-"))
    try:
        _check_socket_path(root)
        as_owner = _run_as_owner(root)
        _init_cluster(binaries, root, as_owner)
    except BaseException:
        shutil.rmtree(root)
        raise
    watchdog = _start_server(binaries, root, as_owner)
    try:
        _wait_until_ready(binaries, root)
        yield Postgres(binaries, root)
    finally:
        watchdog.communicate(timeout=STOP_TIMEOUT_SECONDS)


def _find_binaries() -> Path:
    """Debian keeps the server's binaries off PATH, a directory per major version."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parents[1].name),
    )
    if debian:
        return debian[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        raise TestnetError(
            "PostgreSQL was not found: install it (apt-get install postgresql) for the testnet"
        )
    return Path(on_path).resolve().parent


def _check_socket_path(root: Path) -> None:
    socket = root / ".s.PGSQL.5432"
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        raise TestnetError(
            f"{socket} is longer than the {MAX_SOCKET_PATH_BYTES} bytes of a Unix socket's path: "
            "set TMPDIR to a shorter directory"
        )


def _run_as_owner(root: Path) -> list[str]:
    """Return a command prefix: PostgreSQL refuses to run as root, so root becomes `postgres`."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise TestnetError("running as root needs the user `postgres`, which is missing") from None
    os.chown(root, user.pw_uid, user.pw_gid)
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--inh-caps=-all",
    ]


def _init_cluster(binaries: Path, root: Path, as_owner: list[str]) -> None:
    settings = ["-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "--encoding=UTF8"]
    command = [*as_owner, f"{binaries}/initdb", *settings, "-D", f"{root}/data"]
    _run(command, "initdb", cwd=root)


def _start_server(binaries: Path, root: Path, as_owner: list[str]) -> "subprocess.Popen[bytes]":
    server = [f"{binaries}/postgres", "-D", f"{root}/data", "-k", f"{root}"]
    server += ["-c", "listen_addresses="]
    for setting in _SPEED_NOT_DURABILITY:
        server += ["-c", setting]
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", f"{root}", *as_owner, *server],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt from the keyboard must not reach the watchdog
    )


def _wait_until_ready(binaries: Path, root: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        probe = [f"{binaries}/pg_isready", "-q", "-h", f"{root}", "-U", "postgres"]
        if subprocess.run(probe, check=False).returncode == 0:
            return
        time.sleep(0.05)
    log = (root / "postgres.log").read_text(errors="replace")
    raise TestnetError(f"PostgreSQL did not start within {START_TIMEOUT_SECONDS} s:\n{log[-2000:]}")


def _run(command: list[str], what: str, cwd: Path | None = None) -> None:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise TestnetError(f"{what} failed ({result.returncode}):\n{result.stderr[-2000:]}")
