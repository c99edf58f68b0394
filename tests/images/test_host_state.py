"""What is known of hosts and accounts outlives a run."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from phash_dagster.images.breaker import CircuitBreakers, CircuitOpenError
from phash_dagster.images.host_state import (
    FAILURES_KEPT,
    RememberedEndpoints,
    load_breakers,
    load_endpoints,
    save_circuits,
    save_endpoints,
)
from phash_dagster.images.hosts import operators_host
from phash_dagster.warehouse import Warehouse
from tests.images.hosts import NOW

HOST = operators_host("https://pds.example")
LIFETIME = timedelta(hours=24)


class Bench:
    """Runs, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.now = NOW

    def clock(self) -> datetime:
        return self.now

    def breakers(self) -> CircuitBreakers:
        with self.warehouse.read() as connection:
            return load_breakers(connection, self.clock)

    def save(self, breakers: CircuitBreakers) -> None:
        with self.warehouse.write() as connection:
            save_circuits(connection, breakers.take_changes(), self.now)

    def fail(self, times: int) -> None:
        breakers = self.breakers()
        for _ in range(times):
            breakers.failed(HOST)
        self.save(breakers)

    def rows(self, table: str) -> int:
        with self.warehouse.read() as connection:
            [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)

    def find(self, *dids: str) -> None:
        """A run that resolves these DIDs."""
        endpoints = RememberedEndpoints(self.clock, LIFETIME)
        for did in dids:
            endpoints.put(did, f"https://{did}.example")
        with self.warehouse.write() as connection:
            found = endpoints.take_found()
            save_endpoints(connection, found, lifetime=LIFETIME, now=self.now)

    def known(self, *dids: str, lifetime: timedelta = LIFETIME) -> list[str | None]:
        endpoints = RememberedEndpoints(self.clock, lifetime)
        with self.warehouse.read() as connection:
            load_endpoints(connection, endpoints, dids, self.now)
        return [endpoints.get(did) for did in dids]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_failures_are_counted_over_several_runs(bench: Bench) -> None:
    for _ in range(3):
        bench.fail(1)
    with pytest.raises(CircuitOpenError) as caught:
        bench.breakers().admit(HOST)
    assert caught.value.until == NOW + timedelta(seconds=300)


def test_a_host_that_answers_again_is_forgotten(bench: Bench) -> None:
    bench.fail(3)
    breakers = bench.breakers()
    breakers.succeeded(HOST)
    bench.save(breakers)
    assert bench.rows("host_circuits") == 0
    assert bench.breakers().admit(HOST) is False


def test_a_failure_of_long_ago_is_not_one_in_a_row(bench: Bench) -> None:
    bench.fail(2)
    bench.now += FAILURES_KEPT + timedelta(seconds=1)
    bench.fail(1)
    assert bench.breakers().admit(HOST) is False


def test_hosts_that_nobody_asks_any_more_are_forgotten_in_the_end(bench: Bench) -> None:
    bench.fail(3)
    bench.now += FAILURES_KEPT + timedelta(seconds=1)
    other = bench.breakers()
    other.failed(operators_host("https://other.example"))
    bench.save(other)
    assert bench.rows("host_circuits") == 1


def test_a_run_without_failures_writes_nothing(bench: Bench) -> None:
    bench.save(bench.breakers())
    assert bench.rows("host_circuits") == 0


def test_an_endpoint_is_known_to_later_runs_for_its_lifetime(bench: Bench) -> None:
    bench.find("a")
    bench.now += LIFETIME - timedelta(seconds=1)
    assert bench.known("a", "b") == ["https://a.example", None]
    bench.now += timedelta(seconds=1)
    assert bench.known("a") == [None]


def test_a_lifetime_of_zero_remembers_nothing(bench: Bench) -> None:
    bench.find("a")
    assert bench.known("a", lifetime=timedelta(0)) == [None]


def test_endpoints_that_are_too_old_are_removed(bench: Bench) -> None:
    bench.find("a")
    bench.now += LIFETIME
    bench.find("b")
    assert bench.rows("account_endpoints") == 1


def test_what_was_found_in_a_run_counts_more_than_what_was_stored() -> None:
    endpoints = RememberedEndpoints(lambda: NOW, LIFETIME)
    endpoints.put("a", "https://new.example")
    endpoints.add_stored([("a", "https://old.example")])
    assert endpoints.get("a") == "https://new.example"
    assert endpoints.take_found() == [("a", "https://new.example", NOW)]
    assert endpoints.take_found() == []
