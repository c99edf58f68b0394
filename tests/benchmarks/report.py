"""How long a report takes over a long past, question by question, and how much memory.

Makes a past of random hashes at the rate of Bluesky, takes a snapshot, and asks it for a report of
the last day, week and month. Checks that each counts as many images as were made.
"""

import argparse
import resource
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from phash_dagster.analysis import make_snapshot
from phash_dagster.analysis.ask import Session, asking
from phash_dagster.analysis.questions import Question, Value
from phash_dagster.clock import utc_now
from phash_dagster.reports.charts import draw
from phash_dagster.reports.costs import Machine
from phash_dagster.reports.data import collect
from phash_dagster.reports.render import render_html
from tests.benchmarks.snapshot import PER_HOUR, Bench

SHOWN_SECONDS: Final = 1.0
"""Questions that take less are not listed."""


class Timed(Session):
    """A session that notes how long each question took."""

    def __init__(self, session: Session) -> None:
        super().__init__(session._connection, session.taken_at)
        self.seconds: dict[str, float] = {}

    def ask(self, question: Question, values: Mapping[str, Value]) -> pa.Table:
        """As the session does."""
        start = time.perf_counter()
        answer = super().ask(question, values)
        self.seconds[question.name] = time.perf_counter() - start
        return answer

    def run(self, name: str, **parameters: object) -> pa.Table:
        """As the session does."""
        start = time.perf_counter()
        answer = super().run(name, **parameters)
        self.seconds[name] = time.perf_counter() - start
        return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where; a temporary folder by default")
    parser.add_argument("--days", type=int, nargs="+", default=[1, 7, 30])
    arguments = parser.parse_args()
    with TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(Path(folder), arguments.images, arguments.matches)
        bench.fill()
        make_snapshot(bench.sources, bench.path, utc_now)
        for days in arguments.days:
            Console().print(_measured(bench, days))


def _measured(bench: Bench, days: int) -> Table:
    since = utc_now() - timedelta(days=days)
    table = Table("", "seconds", title=f"{bench.images:,} images, a report of {days} days")
    with asking(bench.path) as session:
        timed = Timed(session)
        start = time.perf_counter()
        report = collect(timed, since=since, machine=Machine())
        seconds = time.perf_counter() - start
    start = time.perf_counter()
    page = render_html(report, draw(report))
    drawing = time.perf_counter() - start
    images = report.reading.seen["distinct_images"]
    expected = min(bench.images, days * 24 * PER_HOUR)
    assert expected * 0.95 <= images <= expected * 1.05 + 2 * PER_HOUR, (images, expected)
    for name, taken in sorted(timed.seconds.items(), key=lambda item: -item[1]):
        if taken >= SHOWN_SECONDS:
            table.add_row(name, f"{taken:.1f}")
    table.add_section()
    table.add_row("all questions", f"{seconds:.1f}")
    table.add_row("the page", f"{drawing:.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table.caption = (
        f"{images:,} images seen; page {len(page) / 1000:.0f} kB; peak so far {peak:.1f} GB"
    )
    return table


if __name__ == "__main__":
    main()
