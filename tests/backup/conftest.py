"""Pipelines to back up, and empty places to restore to."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phash_dagster.sandbox import Sandbox
from tests.backup.pipelines import Stores
from tests.testnet.postgres import Postgres

_names = (f"backup_{number}" for number in itertools.count())

Databases = Callable[[], str]


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Databases:
    """Makes empty databases in PostgreSQL."""

    def make() -> str:
        server: Postgres = request.getfixturevalue("postgres")
        name = next(_names)
        server.create_database(name)
        return server.url(name, scheme="postgresql+psycopg2")

    return make


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        yield network


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str:
    """What Dagster and the ledger are in."""
    return str(request.param)


@pytest.fixture
def new_stores(storage: str, new_database: Databases, tmp_path: Path) -> Callable[[str], Stores]:
    """Makes places for pipelines, with nothing in them."""

    def make(name: str) -> Stores:
        variables = {}
        if storage == "postgresql":
            url = new_database()
            variables = {"DAGSTER_STORAGE_URL": url, "LEDGER_URL": url}
        return Stores(tmp_path / name, variables)

    return make


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """A pipeline on SQLite with something in every store, to be copied."""
    found = Stores(tmp_path_factory.mktemp("filled") / "one")
    found.fill()
    return found


@pytest.fixture
def stores(storage: str, new_stores: Callable[[str], Stores], filled: Stores) -> Stores:
    """A pipeline with something in every store."""
    found = new_stores("one")
    if storage == "sqlite":
        found.take_over(filled)
    else:
        found.fill()
    return found
