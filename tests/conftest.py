"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from hypothesis import settings

from tests.testnet.errors import TestnetError
from tests.testnet.postgres import Postgres, throwaway_postgres

# Machines are slow at times and failures must be reproducible: no deadlines, no random seeds.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of captured events and hash vectors; a clone without it skips these tests."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared: captured events and vectors of the Rust library")
    return SHARED


@pytest.fixture(autouse=True, scope="session")
def quiet_retries() -> None:
    """Retries are tested by what they do; their log lines are noise."""
    stamina.instrumentation.set_on_retry_hooks([])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of our own; tests that need it are skipped where it is not installed."""
    try:
        cluster = throwaway_postgres()
        server = cluster.__enter__()
    except TestnetError as error:
        if os.environ.get("TESTNET") == "1":
            raise
        pytest.skip(str(error))
    yield server
    cluster.__exit__(None, None, None)
