"""Matching, against brute force and faiss: time, memory, and how they grow.

    python -m tests.benchmarks.matching
    python -m tests.benchmarks.matching --images 100000000 --folder /data/benchmark
    python -m tests.benchmarks.matching --growth growth.csv
    uv run --with faiss-cpu python -m tests.benchmarks.matching

Our figures are of whole calls of `match_partition`, from the first statement until the matches are
committed, on a database file with 59-character CIDs, 2 threads and 1.2 GB for DuckDB. The others
find the same pairs, in memory, and store nothing. Where they are measured with fewer images than
ours (column "of"), their time is multiplied: brute force takes time in proportion.

Each way is measured three times in turn, and the table shows the median and the range of that:
on a machine that does other work, single figures mean little. It says how busy the machine was.

Fails unless all ways find the same number of pairs on the same images.
"""

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.matching_data import write_images
from tests.benchmarks.matching_ways import (
    Result,
    Task,
    duckdb_brute_force,
    faiss_flat,
    faiss_multi_hash,
    measure,
    numpy_brute_force,
    ours,
)

SAMPLE: Final = 1_000_000
REPEATS: Final = 3
PARTS: Final = ("threshold 3", "thresholds", "256 bits")
GROWTH_IMAGES: Final = (1_000_000, 10_000_000, 100_000_000)
GROWTH_RULES: Final = (10, 100, 1_000, 10_000, 100_000)

Way = Callable[[Task], Result]


@dataclass(frozen=True)
class Databases:
    """Databases of made-up images, each written when it is first asked for."""

    folder: Path

    def of(self, images: int, bits: int) -> Path:
        path = self.folder / f"images_{images}_{bits}.duckdb"
        if not path.exists():
            write_images(path, images, bits)
        return path

    def task(self, images: int, rules: int, threshold: int, bits: int = 64) -> Task:
        return Task(self.of(images, bits), images, rules, threshold, bits)


@dataclass(frozen=True)
class Runs:
    """A way measured several times: wall time of each, what it found, most memory it took."""

    seconds: Sequence[float]
    pairs: int
    megabytes: int

    @property
    def median(self) -> float:
        return median(self.seconds)


class Report:
    """A table that grows as measurements are made."""

    def __init__(self, title: str) -> None:
        self._table = Table(
            "way", "images", "rules", "distance", "seconds", "range", "of", "pairs", "MB", "ratio",
            title=title,
        )  # fmt: skip

    def add(self, name: str, task: Task, runs: Runs, *, measured: int, ratio: float) -> None:
        factor = task.images / measured
        full = measured == task.images
        self._table.add_row(
            name,
            f"{task.images:,}",
            f"{task.rules:,}",
            str(task.threshold),
            f"{runs.median * factor:,.2f}",
            f"{min(runs.seconds) * factor:,.2f} to {max(runs.seconds) * factor:,.2f}",
            "" if full else f"{measured:,}",
            f"{runs.pairs:,}" if full else "",
            f"{runs.megabytes:,}" if full else "",
            f"{ratio:,.1f}",
        )

    def show(self) -> None:
        Console(width=132).print(self._table)


def compare(report: Report, databases: Databases, task: Task, ways: Sequence[Way]) -> None:
    """Ours in full; the others on a sample, where ours must find as many pairs as they do.

    In turn, so that what else the machine does meets all of them alike.
    """
    size = min(SAMPLE, task.images)
    sample = databases.task(size, task.rules, task.threshold, task.bits)
    pairs = needed(ours, sample).pairs
    mine: list[Result] = []
    others: dict[str, list[Result]] = {way.__name__: [] for way in ways}
    for _ in range(REPEATS):
        mine.append(needed(ours, task))
        for way in ways:
            result = measure(way, sample)
            if result is None:
                continue
            if result.pairs != pairs:
                sys.exit(f"{way.__name__} found {result.pairs} pairs, ours {pairs}, at {sample}")
            others[way.__name__].append(result)
    total = runs_of(mine)
    report.add("ours", task, total, measured=task.images, ratio=1)
    for name, results in others.items():
        for label, with_index in ((name, False), (f"{name} and its index", True)):
            if not results or (with_index and results[0].building < 0.01 * results[0].seconds):
                continue
            runs = runs_of(results, with_index=with_index)
            ratio = runs.median * task.images / size / total.median
            report.add(label, task, runs, measured=size, ratio=ratio)


def runs_of(results: Sequence[Result], *, with_index: bool = False) -> Runs:
    """Several measurements of one way as one."""
    return Runs(
        [each.seconds + (each.building if with_index else 0) for each in results],
        results[0].pairs,
        max(each.megabytes for each in results),
    )


def needed(way: Way, task: Task) -> Result:
    """What a way took that needs no other library."""
    result = measure(way, task)
    if result is None:
        raise RuntimeError(f"{way.__name__} needs a library that is not installed")
    return result


def at_threshold_3(databases: Databases, images: int) -> Report:
    """The usual case, against everything."""
    report = Report("64 bits, distance 3")
    for rules in (1_000, 10_000):
        task = databases.task(images, rules, 3)
        ways = [duckdb_brute_force, numpy_brute_force, faiss_flat, faiss_multi_hash]
        compare(report, databases, task, ways)
    return report


def at_thresholds(databases: Databases, images: int) -> Report:
    """Further distances; 5 is what a threshold of 3 takes with the margin."""
    report = Report("64 bits, other distances")
    for threshold in (0, 5, 8, 10):
        compare(report, databases, databases.task(images, 1_000, threshold), [faiss_flat])
    compare(report, databases, databases.task(images, 10_000, 5), [])
    return report


def at_256_bits(databases: Databases, images: int) -> Report:
    """PDQ, where brute force in C++ is strong."""
    report = Report("256 bits, distance 31")
    for count in sorted({SAMPLE, min(images, 10_000_000)}):
        compare(report, databases, databases.task(count, 1_000, 31, 256), [faiss_flat])
    return report


def growth(databases: Databases, images: int, path: Path) -> None:
    """Ours by number of images and of rule hashes, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["images", "rule_hashes", "seconds", "pairs", "megabytes"])
        for count in (count for count in GROWTH_IMAGES if count <= images):
            for rules in GROWTH_RULES:
                result = needed(ours, databases.task(count, rules, 3))
                row = [count, rules, f"{result.seconds:.2f}", result.pairs, result.megabytes]
                writer.writerow(row)
                file.flush()
                print(*row)


@contextmanager
def folder_for(path: Path | None) -> Iterator[Path]:
    """This folder, or one that goes at the end."""
    if path:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    else:
        with tempfile.TemporaryDirectory(prefix="matching-") as folder:
            yield Path(folder)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000_000, help="stored hashes")
    parser.add_argument("--folder", type=Path, help="keep the databases here, 80 bytes an image")
    parser.add_argument("--only", choices=PARTS, help="one part of the measurements")
    parser.add_argument("--growth", type=Path, help="instead: write how time grows to this CSV")
    options = parser.parse_args()
    with folder_for(options.folder) as folder:
        databases = Databases(folder)
        if options.growth:
            growth(databases, options.images, options.growth)
            return
        print("load average at the start:", *(f"{load:.1f}" for load in os.getloadavg()))
        for name, part in zip(PARTS, (at_threshold_3, at_thresholds, at_256_bits), strict=True):
            if options.only in (None, name):
                part(databases, options.images).show()
        print("load average at the end:", *(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
