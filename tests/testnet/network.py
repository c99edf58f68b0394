"""Starts `network.mjs`: a real PLC directory, PDS and Ozone in one Node process on loopback."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.testnet.errors import TestnetError
from tests.testnet.install import HERE, ensure_node
from tests.testnet.postgres import Postgres, throwaway_postgres

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 15


class TeamAccount(msgspec.Struct, frozen=True):
    """An account on the PDS with a role in Ozone; `password` is an app password."""

    name: str
    role: str
    did: str
    handle: str
    password: str


class PdsSecrets(msgspec.Struct, frozen=True, rename="camel"):
    """What the operator of the PDS knows."""

    admin_password: str
    jwt_secret: str


class Network(msgspec.Struct, frozen=True, rename="camel"):
    """What `network.mjs` prints once all servers answer."""

    plc_url: str
    pds_url: str
    ozone_url: str
    labeler_did: str
    unreachable_labeler_did: str
    """A labeler whose Ozone is at an address where nothing listens."""
    pds_secrets: PdsSecrets
    accounts: tuple[TeamAccount, ...]
    postgres_url: str = ""
    """Of the cluster with Ozone's database; its own is the one that the URL names."""


@contextmanager
def running_network() -> Iterator[Network]:
    """Start PostgreSQL and the servers, stop and remove them at the end.

    Raises:
        TestnetError: A server could not be installed or started; the text carries its last words.
    """
    node = ensure_node()
    with throwaway_postgres() as postgres:
        log = postgres.socket_dir / "network.log"
        process = _start(node, postgres, log)
        try:
            url = postgres.url(scheme="postgresql+psycopg2")
            yield msgspec.structs.replace(_wait_until_ready(process, log), postgres_url=url)
        finally:
            _stop(process)


def _start(node: Path, postgres: Postgres, log: Path) -> "subprocess.Popen[bytes]":
    data_dir = postgres.socket_dir / "pds"
    data_dir.mkdir()
    arguments = ["--postgres-url", postgres.url(), "--data-dir", str(data_dir)]
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [node, HERE / "network.mjs", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> Network:
    if process.stdout is None:
        raise TypeError("the process must be started with its standard output as a pipe")
    deadline = threading.Timer(START_TIMEOUT_SECONDS, process.kill)
    deadline.start()
    try:
        line = process.stdout.readline()
    finally:
        deadline.cancel()
    if not line:
        raise TestnetError(
            f"network.mjs was not ready within {START_TIMEOUT_SECONDS} s:\n"
            f"{log.read_text(errors='replace')[-4000:]}"
        )
    return msgspec.json.decode(line, type=Network)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, on which it exits by itself; kill it if it does not."""
    try:
        process.communicate(timeout=STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise TestnetError("network.mjs did not exit after its standard input ended") from None
