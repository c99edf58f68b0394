"""Every scrape is answered in bounded time, whatever a store does."""

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.exposition import start_http_server

from phash_dagster import __version__
from phash_dagster.clock import utc_now
from phash_dagster.metrics.collector import PipelineCollector, registry_of
from phash_dagster.metrics.samples import Samples
from phash_dagster.metrics.sources import Source, read_warehouse
from phash_dagster.warehouse import Warehouse
from tests.metrics.scraped import Scraped, scrape
from tests.warehouse.held import held_by_another_process


def rules(number: int) -> Samples:
    samples = Samples()
    samples.add("rules", number)
    return samples


def broken() -> Samples:
    raise OSError("no such thing")


def test_stores_are_read_anew_for_each_scrape() -> None:
    numbers = iter(range(1, 9))
    collector = PipelineCollector([Source("warehouse", lambda: rules(next(numbers)))])
    assert [scrape(collector).value("rules") for _ in range(2)] == [1, 2]


def test_a_store_that_cannot_be_read_is_named_and_the_others_are_told_of() -> None:
    problems: list[tuple[str, str]] = []
    collector = PipelineCollector(
        [Source("ledger", broken), Source("warehouse", lambda: rules(2))],
        on_problem=lambda name, why: problems.append((name, why)),
    )
    found = scrape(collector)
    assert found.with_labels("source_up", "source") == {"warehouse": 1}
    assert found.value("source_up", source="ledger") == 0
    assert found.value("rules") == 2
    assert found.value("build_info", version=__version__) == 1
    assert problems == [("ledger", "no such thing")]


def test_values_of_one_metric_from_two_stores_are_one_family() -> None:
    def circuits(service: str) -> Callable[[], Samples]:
        samples = Samples()
        samples.add("circuits_open", 1, service=service)
        return lambda: samples

    sources = [Source("ledger", circuits("ozone")), Source("warehouse", circuits("other_host"))]
    found = scrape(PipelineCollector(sources))
    names = [family.name for family in found.families]
    assert names.count("phash_dagster_circuits_open") == 1
    assert found.with_labels("circuits_open", "service") == {"ozone": 1, "other_host": 1}


def test_a_store_that_hangs_is_given_up_and_not_read_again_meanwhile() -> None:
    ended, begun = threading.Event(), []

    def hang() -> Samples:
        begun.append(1)
        ended.wait(60)
        return rules(3)

    collector = PipelineCollector([Source("warehouse", hang)], seconds=0.05)
    for _ in range(3):
        assert scrape(collector).value("source_up", source="warehouse") == 0
    assert len(begun) == 1
    ended.set()
    deadline = time.monotonic() + 30
    while not (found := scrape(collector)).value("source_up", source="warehouse"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found.value("rules") == 3


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The scrape endpoint of a warehouse that is waited for 0.1 s."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", lock_wait_seconds=0.1)
    with warehouse.write():
        pass
    source = Source("warehouse", lambda: read_warehouse(warehouse, utc_now()))
    server, thread = start_http_server(
        0, addr="127.0.0.1", registry=registry_of(PipelineCollector([source]))
    )
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def get(url: str) -> Scraped:
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200
        return Scraped(answer.read().decode())


@pytest.mark.slow
def test_a_scrape_is_answered_while_another_process_holds_the_warehouse(
    url: str, tmp_path: Path
) -> None:
    assert get(url).value("rules") == 0
    with held_by_another_process(tmp_path / "warehouse.duckdb"):
        found = get(url)
        assert found.value("source_up", source="warehouse") == 0
        assert found.value("rules") is None
    assert get(url).value("source_up", source="warehouse") == 1
