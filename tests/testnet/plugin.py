"""The `testnet` fixture, for every test directory whose conftest registers this plugin."""

import os
from collections.abc import Iterator

import pytest

from tests.testnet.postgres import Postgres, throwaway_postgres
from tests.testnet.testnet import Testnet, running_testnet

SETUP_TIMEOUT_SECONDS = 900
"""The first test of a fresh clone also waits for `npm ci`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the real servers unless TESTNET=1; else keep it on one xdist worker."""
    for item in items:
        if item.get_closest_marker("testnet") is None:
            continue
        if os.environ.get("TESTNET") != "1":
            reason = "needs the real PLC, PDS and Ozone: set TESTNET=1 (npm and PostgreSQL needed)"
            item.add_marker(pytest.mark.skip(reason=reason))
        item.add_marker(pytest.mark.xdist_group("testnet"))
        item.add_marker(pytest.mark.timeout(SETUP_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def testnet() -> Iterator[Testnet]:
    """The real servers, started once per session; a server that does not start is an error."""
    with running_testnet() as network:
        yield network


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A throw-away PostgreSQL of its own, for what else needs one."""
    with throwaway_postgres() as cluster:
        yield cluster
