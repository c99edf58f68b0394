"""A report over a past in which there is something of everything, and one over nothing."""

from datetime import timedelta
from typing import Final

import pytest

from phash_dagster.reports.charts import Chart, draw
from phash_dagster.reports.costs import DiskUse, JobRuns, Machine, RunCosts
from phash_dagster.reports.data import MatchReport, make_report
from tests.analysis.conftest import Snapped
from tests.analysis.world import World, build
from tests.preview.past import NOW

SINCE: Final = NOW - timedelta(days=7)

MACHINE: Final = Machine(
    disk=(DiskUse("image_posts", 1_500_000, 12), DiskUse("ledger.sqlite", 40_000, 1)),
    dagster_storage_bytes=77_000_000,
    runs=RunCosts((JobRuns("moderate_hour", 4, 1, 10.0),), oldest=SINCE + timedelta(days=1)),
)


def made(past: Snapped, **changes: timedelta) -> MatchReport:
    """The report over a past, as it stands at NOW."""
    since = NOW - changes.get("back", timedelta(days=7))
    return make_report(past.sources, past.path, lambda: NOW, since=since, machine=MACHINE)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def report(world: World) -> MatchReport:
    return made(world)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> MatchReport:
    past = Snapped(tmp_path_factory.mktemp("nothing"))
    return make_report(past.sources, past.path, lambda: NOW, since=SINCE, machine=Machine())


@pytest.fixture(scope="session")
def charts(report: MatchReport) -> dict[str, Chart]:
    return draw(report)
