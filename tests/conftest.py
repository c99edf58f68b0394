"""Fixtures that every test may use."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import stamina
from hypothesis import settings

from phash_dagster.warehouse import Connection, Warehouse
from tests.programs import missing
from tests.testnet.errors import TestnetError
from tests.testnet.postgres import Postgres, throwaway_postgres

# Machines are slow at times and failures must be reproducible: no deadlines, no random seeds.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

ROOT = Path(__file__).parent
SHARED = ROOT.parents[1] / "shared"


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
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of this release with nothing in it."""
    path = tmp_path_factory.mktemp("empty") / "warehouse.duckdb"
    with Warehouse(path).write():
        pass
    return path


@pytest.fixture(autouse=True)
def quick_warehouses(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, empty_warehouse: Path
) -> None:
    """New warehouses are copies of an empty one: to migrate hundreds would take minutes.

    The warehouse's own tests make theirs from nothing.
    """
    if "warehouse" in request.path.relative_to(ROOT).parts:
        return
    connect = Warehouse._connect

    def connect_to_copy(warehouse: Warehouse, *, read_only: bool) -> Connection:
        if not read_only and not warehouse.path.exists():
            copy = warehouse.path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            shutil.copyfile(empty_warehouse, copy)
            with suppress(FileExistsError):
                os.link(copy, warehouse.path)  # whole or not at all, like DuckDB's own
            copy.unlink()
        return connect(warehouse, read_only=read_only)

    monkeypatch.setattr(Warehouse, "_connect", connect_to_copy)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of our own; tests that need it are skipped where it is not installed."""
    try:
        cluster = throwaway_postgres()
        server = cluster.__enter__()
    except TestnetError as error:
        if os.environ.get("TESTNET") == "1":
            raise
        missing(str(error))
    yield server
    cluster.__exit__(None, None, None)
