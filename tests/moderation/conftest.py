"""The databases that the ledger runs on."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from phash_dagster.moderation.ledger import Ledger
from tests.moderation.bench import Bench, a_rule
from tests.moderation.builders import ManualClock
from tests.testnet.postgres import Postgres

_names = (f"ledger_{number}" for number in itertools.count())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty database on PostgreSQL."""
    name = next(_names)
    postgres.create_database(name)
    return postgres.url(name, scheme="postgresql+psycopg2")


def lose_every_lock(ledger: Ledger) -> None:
    """End every connection to the ledger's PostgreSQL but this one, as a restart of it does.

    Comes back once they are ended, within 30 s.
    """
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(ledger_url: str, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger(ledger_url, clock) as ledger:
        yield ledger


@pytest.fixture
def sqlite_ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    """For tests of what does not depend on the database."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock) as ledger:
        yield ledger


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Real stores with a rule in force and an image that it matches."""
    found = Bench(tmp_path)
    found.load(a_rule())
    found.match()
    return found
