"""What the samples of a soak say: tables, and whether each bound was kept.

**Memory is flat** if, for each kind of process, the largest memory in the last third of the time is
at most `MEMORY_GROWTH` above that in the middle third; the first third is for warming up. Of
processes that live shortly (runs, and the code server, which the daemon replaces every few minutes)
the largest counts. Open files likewise, of those that live long: at most `MORE_FILES` more. Of
these the median counts: files that are open for a moment, more at once on a busy machine, are none
that are left open.

**A growth is explained** if the store does not grow from the middle third to the last by more than
`STORE_GROWTH`, or if it grows with something that is meant to be kept, at most in proportion to it:
megabytes for each unit in the second half of the time are at most `UNIT_GROWTH` times those of the
whole. Both are taken at their highest so far, since a database keeps the space of what is deleted
and uses it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks.journeys import percentile
from tests.benchmarks.soak_samples import DAGSTER, Sample

MEMORY_GROWTH = 0.05
MORE_FILES = 5
LIVE_SHORTLY = frozenset({"run", "code server", "other"})
STORE_GROWTH = 0.10
UNIT_GROWTH = 1.5
SMALL_MB = 1.0
"""Below that a store is not judged: file systems count in blocks, databases in pages."""

GROWS_WITH = {
    "image_posts (Parquet)": "images",
    "ingest records (Parquet)": "runs so far",
    "warehouse (DuckDB)": "images",
    "ledger (SQLite)": "actions",
    f"{DAGSTER}ticks and cursors": "ticks",
    f"{DAGSTER}runs": "runs",
    f"{DAGSTER}events of assets": "events of assets",
    f"{DAGSTER}events of runs": "runs",
    f"{DAGSTER}logs and outputs": "runs so far",
    "log of the daemon": "runs so far",
}
"""What each store is meant to grow with."""


@dataclass(frozen=True)
class Result:
    """What a soak found.

    Attributes:
        samples: The looks, in order.
        latencies: When a matching post was published, our seconds since the beginning, and our
            seconds until its label was at Ozone.
        troubles: What must not happen and did.
        posts: How many posts were published.
        jobs: How many jobs were launched by the network's clock.
    """

    samples: Sequence[Sample]
    latencies: Sequence[tuple[float, float]] = ()
    troubles: Sequence[str] = ()
    posts: int = 0
    jobs: int = 0


@dataclass
class Verdicts:
    """Collects what broke a bound."""

    broken: list[str] = field(default_factory=list)

    def mark(self, *, holds: bool, what: str) -> str:
        """A word for a table."""
        if not holds:
            self.broken.append(what)
        return "yes" if holds else "[bold red]NO[/]"


def thirds(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """The samples by the third of the time that they lie in."""
    end = samples[-1].seconds
    return (
        [one for one in samples if one.seconds < end / 3],
        [one for one in samples if end / 3 <= one.seconds < end * 2 / 3],
        [one for one in samples if one.seconds >= end * 2 / 3],
    )


def report(result: Result, console: Console) -> int:
    """Print everything; 1 if a bound was broken, else 0."""
    verdicts = Verdicts()
    last = result.samples[-1]
    console.print(
        f"{last.seconds / 60:.0f} minutes, in which {last.hours:.0f} hours of the network passed; "
        f"{result.posts} posts, {result.jobs} scheduled jobs"
    )
    console.print(processes(result.samples, verdicts))
    console.print(stores(result.samples, verdicts))
    console.print(counts(result.samples))
    if result.latencies:
        console.print(latency(result))
    verdicts.broken += result.troubles
    for one in verdicts.broken:
        console.print(f"[bold red]broken:[/] {one}")
    console.print("all bounds were kept" if not verdicts.broken else "bounds were broken")
    return 1 if verdicts.broken else 0


def processes(samples: Sequence[Sample], verdicts: Verdicts) -> Table:
    """Memory and open files by kind of process."""
    table = _table("Processes: memory in MB of the largest, open files", "process")
    for name in ("first third", "middle", "last", "slope MB/h", "files", "files last", "flat"):
        table.add_column(name, justify="right")
    first, middle, last = thirds(samples)
    for name in sorted({name for sample in samples for name in sample.groups}):
        rss = [_largest(some, name, lambda group: group.rss) for some in (first, middle, last)]
        files = [_usual_files(some, name) for some in (middle, last)]
        few = name in LIVE_SHORTLY or files[1] <= files[0] + MORE_FILES
        flat = few and rss[2] <= rss[1] * (1 + MEMORY_GROWTH)
        table.add_row(
            name,
            *(f"{value:.1f}" for value in rss),
            f"{slope([*middle, *last], name):+.1f}",
            *(f"{value:.0f}" for value in files),
            verdicts.mark(holds=flat or name == "other", what=f"{name} grew: {rss}, {files}"),
        )
    return table


def _largest(samples: Sequence[Sample], name: str, value: Callable[..., float]) -> float:
    return max((value(one.groups[name]) for one in samples if name in one.groups), default=0.0)


def _usual_files(samples: Sequence[Sample], name: str) -> float:
    return median([one.groups[name].files for one in samples if name in one.groups] or [0])


def slope(samples: Sequence[Sample], name: str) -> float:
    """Megabytes an hour by which the memory of a kind of process changes: Theil and Sen's median
    of the slopes of all pairs, which a few outliers do not move."""
    points = [(one.seconds, one.groups[name].rss) for one in samples if name in one.groups]
    points = points[:: max(1, len(points) // 200)]
    slopes = [
        (y2 - y1) / (x2 - x1)
        for index, (x1, y1) in enumerate(points)
        for x2, y2 in points[index + 1 :]
    ]
    return median(slopes) * 3600 if slopes else 0.0


def stores(samples: Sequence[Sample], verdicts: Verdicts) -> Table:
    """Sizes, and what they grow with."""
    whole = [sample for sample in samples if sample.sizes]
    table = _table("Stores: MB; largest of each third of the time", "store")
    for column in ("first", "middle", "last", "at the end", "grows with", "kB each", "explained"):
        table.add_column(column, justify="left" if column == "grows with" else "right")
    parts = thirds(whole)
    for name in sorted({name for sample in whole for name in sample.sizes}):
        largest = [max((one.sizes.get(name, 0.0) for one in some), default=0) for some in parts]
        unit = GROWS_WITH.get(name, "")
        steady = largest[2] <= largest[1] * (1 + STORE_GROWTH) or largest[2] < SMALL_MB
        each, holds = _per_unit(whole, name, unit)
        table.add_row(
            name,
            *(f"{value:.1f}" for value in largest),
            f"{whole[-1].sizes.get(name, 0.0):.1f}",
            unit or "nothing",
            f"{each * 1000:.2f}" if unit else "",
            verdicts.mark(holds=steady or holds, what=f"{name} grew: {largest} MB"),
        )
    totals = [max((one.dagster for one in some), default=0.0) for some in parts]
    table.add_row(
        "all of Dagster", *(f"{value:.1f}" for value in totals), f"{whole[-1].dagster:.1f}"
    )
    return table


def _per_unit(samples: Sequence[Sample], name: str, unit: str) -> tuple[float, bool]:
    """Megabytes for each unit, and whether the second half needed no more than the whole."""
    if not unit or len(samples) < 4:
        return 0.0, False

    highest = list(accumulate((one.sizes.get(name, 0.0) for one in samples), max))
    units = list(accumulate((one.counts[unit] for one in samples), max))

    def each(start: int) -> float:
        grown, more = highest[-1] - highest[start], units[-1] - units[start]
        return grown / more if more > 0 else inf if grown > 0 else 0.0

    whole, second = each(len(samples) // 8), each(len(samples) // 2)
    return whole, second < inf and second <= UNIT_GROWTH * whole


def counts(samples: Sequence[Sample]) -> Table:
    """How many there were of what stores grow with."""
    whole = [sample for sample in samples if sample.counts]
    table = _table("How many; largest of each third of the time", "what")
    for column in ("first", "middle", "last", "at the end"):
        table.add_column(column, justify="right")
    parts = thirds(whole)
    for name in whole[-1].counts:
        largest = [max((one.counts[name] for one in some), default=0) for some in parts]
        table.add_row(
            name,
            *(f"{value:,.0f}" for value in largest),
            f"{whole[-1].counts[name]:,.0f}",
        )
    return table


def latency(result: Result) -> Table:
    """Seconds from a post to its label at Ozone, by thirds of the time."""
    table = _table("From a post to its label at Ozone, in our seconds", "third")
    for column in ("posts", "median", "p95", "max"):
        table.add_column(column, justify="right")
    end = result.samples[-1].seconds
    for number, name in enumerate(("first", "middle", "last")):
        some = [
            seconds
            for at, seconds in result.latencies
            if number * end / 3 <= at < (number + 1) * end / 3
        ]
        if some:
            figures = (percentile(some, 0.5), percentile(some, 0.95), max(some))
            table.add_row(name, str(len(some)), *(f"{value:.1f}" for value in figures))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    return table
