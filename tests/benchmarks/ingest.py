"""How fast ingestion catches up, and whether its memory stays flat.

A Jetstream on loopback, in a process of its own on its own core, sends events as fast as they are
taken. One core reads them: ours decodes them, finds the images and writes them to durable Parquet;
the loop it is compared with (`websockets` and `json`, on the same wire) does nothing but count.

    python -m tests.benchmarks.ingest
    python -m tests.benchmarks.ingest --events 1000000

Fails unless both sides counted every post, and every row is in Parquet.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import zstandard
from rich.console import Console
from rich.table import Table
from websockets.sync.client import connect

from phash_dagster.jetstream import BatchLimits, Cursor, read_batch
from phash_dagster.jetstream.dictionaries import DICTIONARY_PATH
from phash_dagster.jetstream.wire_v2 import PATH
from phash_dagster.warehouse import ImagePosts
from tests.benchmarks.jetstream_events import FIRST_US, Expected, Stream, serving

LIVE_POSTS_PER_SECOND = 50
RATE_EVENTS = 90_000
"""What one batch of the default 50,000 rows holds, about."""

BATCH_ROWS = 50_000
BATCH_SECONDS = 120.0
MEMORY_POOL = 60_000
WANTED = frozenset({"app.bsky.feed.post"})


@dataclass(frozen=True)
class Wire:
    """One way to get the events."""

    name: str
    path: str
    deflate: bool
    zstd: bool


WIRES = (
    Wire("v1, plain", "/subscribe", deflate=False, zstd=False),
    Wire("v1, deflate", "/subscribe", deflate=True, zstd=False),
    Wire("v2, zstd", PATH, deflate=False, zstd=True),
)


@dataclass(frozen=True)
class Took:
    """What one run took: seconds on the clock, and of the core."""

    wall: float
    core: float


@dataclass
class Rates:
    """What both sides took on a wire, one entry a repetition."""

    wire: Wire
    ours: list[Took]
    plain: list[Took]


def main() -> int:
    """Measure, print, and say by the exit code whether the counts were right."""
    arguments = _arguments()
    console = Console()
    reader, server = _cores()
    os.sched_setaffinity(0, {reader})
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rates, posts = _measure_rates(Path(folder), server, arguments.repeat)
        console.print(_rates_table(rates, posts))
        samples = _measure_memory(Path(folder), server, arguments.events)
    console.print(_memory_table(samples, arguments.events))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events", type=int, default=400_000, help="events read for the memory figures"
    )
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of each rate")
    parser.add_argument("--folder", type=Path, default=None, help="where Parquet is written")
    return parser.parse_args()


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def _measure_rates(folder: Path, server: int, repeat: int) -> tuple[list[Rates], int]:
    """What both sides took, and of how many posts."""
    rates = [Rates(wire, [], []) for wire in WIRES]
    with serving(Stream(RATE_EVENTS, RATE_EVENTS), {server}) as (port, expected):
        for round_number in range(repeat):
            for rate in rates:
                target = folder / f"{rate.wire.path.rpartition('/')[2]}-{round_number}"
                ours = _took(lambda: _ours(port, rate.wire, expected, target))  # noqa: B023
                plain = _took(lambda: _plain(port, rate.wire, expected))  # noqa: B023
                rate.ours.append(ours)
                rate.plain.append(plain)
    return rates, expected.posts


def _took(run: Callable[[], None]) -> Took:
    wall, core = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - wall, time.process_time() - core)


def _start(port: int) -> Cursor:
    """A reader that was away since the first event."""
    return Cursor(FIRST_US, f"127.0.0.1:{port}", 0, taken_us=FIRST_US)


def _ours(port: int, wire: Wire, expected: Expected, folder: Path) -> None:
    batch = read_batch(
        [f"ws://127.0.0.1:{port}{wire.path}{'' if wire.deflate or wire.zstd else '?plain=1'}"],
        _start(port),
        wanted=WANTED,
        limits=BatchLimits(BATCH_SECONDS, expected.rows),
        dictionaries=folder.parent / "dictionaries",
    )
    files = ImagePosts(folder).write_batch(
        batch.rows, start=batch.start.name, now=datetime.now(UTC)
    )
    written = sum(pq.read_metadata(file.path).num_rows for file in files)
    found = Expected(batch.events, batch.posts, written)
    if found != expected:
        sys.exit(f"{wire.name}: expected {expected}, found {found}, {batch.failures}")


def _plain(port: int, wire: Wire, expected: Expected) -> None:
    query = "cursor=0" if wire.deflate or wire.zstd else "plain=1&cursor=0"
    decompress = None
    if wire.zstd:
        import httpx

        data = httpx.get(f"http://127.0.0.1:{port}{DICTIONARY_PATH}").content
        dictionary = zstandard.ZstdCompressionDict(data)
        decompress = zstandard.ZstdDecompressor(dict_data=dictionary).decompress
        query = f"zstdDictionary={dictionary.dict_id()}&cursor=0"
    events = posts = 0
    with connect(
        f"ws://127.0.0.1:{port}{wire.path}?{query}",
        compression="deflate" if wire.deflate else None,
        max_size=None,
        proxy=None,
        close_timeout=0,
    ) as connection:
        for message in connection:
            event = json.loads(decompress(message) if decompress else message)  # type: ignore[arg-type]
            events += 1
            payload = event.get("payload", event)
            posts += "commit" in payload or payload.get("$type", "").endswith("#commit")
            if events == expected.events:
                break
    if posts != expected.posts:
        sys.exit(f"{wire.name}: the plain loop counted {posts} posts of {expected.posts}")


def _measure_memory(folder: Path, server: int, events: int) -> list[tuple[int, float]]:
    """Resident MiB after each batch, with the count of events read by then."""
    stream = Stream(events, min(events, MEMORY_POOL))
    posts = ImagePosts(folder / "image_posts")
    process, samples = psutil.Process(), [(0, psutil.Process().memory_info().rss / 2**20)]
    read = rows = 0
    with serving(stream, {server}) as (port, expected):
        cursor = _start(port)
        url = f"ws://127.0.0.1:{port}/subscribe?plain=1"
        while rows < expected.rows:
            # Batches of a full pool would fold its repetitions.
            limits = BatchLimits(BATCH_SECONDS, min(BATCH_ROWS // 2, expected.rows - rows))
            batch = read_batch(
                [url], cursor, wanted=WANTED, limits=limits, dictionaries=folder / "dictionaries"
            )
            if not batch.rows:
                sys.exit(f"reading ended after {read} of {events} events: {batch.failures}")
            files = posts.write_batch(batch.rows, start=batch.start.name, now=datetime.now(UTC))
            rows += sum(pq.read_metadata(file.path).num_rows for file in files)
            read, cursor = read + batch.events, batch.cursor
            samples.append((read, process.memory_info().rss / 2**20))
    if (read, rows) != (expected.events, expected.rows):
        sys.exit(f"expected {expected}, found {read} events and {rows} rows")
    return samples


def _rates_table(rates: list[Rates], posts: int) -> Table:
    table = Table(
        title=f"Catching up: post events per second, one core, {RATE_EVENTS:,} events",
        caption="By the clock other work on the machine counts too, by core seconds it does not.",
    )
    headings = ("by", "ours, into Parquet", "plain loop", "ratio", "times live rate")
    for heading in ("wire", *headings):
        table.add_column(heading, justify="left" if heading in ("wire", "by") else "right")
    for rate in rates:
        for kind in ("wall", "core"):
            ours = [posts / getattr(took, kind) for took in rate.ours]
            plain = [posts / getattr(took, kind) for took in rate.plain]
            ratios = [one / other for one, other in zip(ours, plain, strict=True)]
            table.add_row(
                rate.wire.name if kind == "wall" else "",
                "clock" if kind == "wall" else "core seconds",
                f"{statistics.median(ours):,.0f}",
                f"{statistics.median(plain):,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{statistics.median(ours) / LIVE_POSTS_PER_SECOND:,.0f}",
            )
    return table


def _memory_table(samples: list[tuple[int, float]], events: int) -> Table:
    table = Table(title=f"Resident memory over {events:,} events, {len(samples) - 1} batches, MiB")
    for heading in ("before", "first batch", "quarter", "half", "end", "peak"):
        table.add_column(heading, justify="right")

    def at(share: float) -> float:
        return next(size for read, size in samples if read >= share * events)

    shown = [
        samples[0][1],
        samples[1][1],
        at(0.25),
        at(0.5),
        at(1),
        max(size for _, size in samples),
    ]
    table.add_row(*(f"{size:,.0f}" for size in shown))
    return table


if __name__ == "__main__":
    sys.exit(main())
