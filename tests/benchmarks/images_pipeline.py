"""Images per second from Parquet reference to committed DuckDB row, and the memory it takes.

    python -m tests.benchmarks.images_pipeline
    python -m tests.benchmarks.images_pipeline --images 50000 --only latency

The images are fetched from a CDN in a process of its own, on loopback. Cases, on the same images:

- `decode`: decoding and hashing alone, in as many threads as there are processors. No pipeline
  can be faster.
- `no latency`, `latency`: the pipeline, with a CDN that answers at once and one that waits. That
  the second is hardly slower shows that concurrency hides latency.
- `stalled PDS`: as `latency`, but the CDN lacks every tenth image, and the PDS that should have
  these never answers. The rate is that of the other images.

Fails unless every image ends in the outcome it must end in, with one hash row each.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.hash_images import hash_hours
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.identifiers import blob_cid, microseconds, plc_did, record_cid, tid
from phash_dagster.settings import settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse

GOAL_PER_SECOND: Final = 150.0
"""Ten times the images of Bluesky."""

POST: Final = "app.bsky.feed.post"
PICTURES: Final = 40
SIZES: Final = ((1080, 1350), (1500, 1125), (2000, 1500), (1200, 900))
AUTHORS: Final = 100
STALLED_EVERY: Final = 10
CASES: Final = ("decode", "no latency", "latency", "stalled PDS")


def write_pictures(folder: Path) -> None:
    """JPEGs of about the pixels and bytes of images on Bluesky."""
    for number in range(PICTURES):
        size = SIZES[number % len(SIZES)]
        grain = np.random.default_rng(number).normal(0, 2 + number % 4, (size[1], size[0], 1))
        pixels = np.asarray(pictures.photo(number, size)) + grain
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        (folder / f"{number:03}.jpg").write_bytes(pictures.encode(image, quality=85))


@dataclass
class Memory:
    """The resident set of this process while it works, in MB."""

    samples: list[float] = field(default_factory=list)

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample twice a second."""
        stop = threading.Event()

        def sample() -> None:
            process = psutil.Process()
            while not stop.wait(0.5):
                self.samples.append(process.memory_info().rss / 1e6)

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def at(self, share: float) -> str:
        """The resident set when that share of the time had passed."""
        if not self.samples:
            return ""
        return f"{self.samples[min(int(share * len(self.samples)), len(self.samples) - 1)]:.0f}"


@dataclass(frozen=True)
class Figures:
    """What a case came to."""

    case: str
    images: int
    seconds: float
    processor_seconds: float
    memory: Memory

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds


@contextmanager
def image_host(folder: Path, latency_ms: float) -> Iterator[int]:
    """The CDN's port."""
    module = "tests.benchmarks.image_host"
    command = [sys.executable, "-m", module, str(folder), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def posts_of(count: int, authors: Sequence[str]) -> list[ImagePost]:
    """So many posts of one image each, all within this hour."""
    chance = random.Random(count)
    start = microseconds(utc_now().replace(minute=0, second=0, microsecond=0))
    return [_post(chance, start + number, authors[number % AUTHORS]) for number in range(count)]


def _post(chance: random.Random, time_us: int, did: str) -> ImagePost:
    rkey = tid(time_us)
    return ImagePost(
        time_us=time_us,
        seq=None,
        host="benchmark",
        did=did,
        collection=POST,
        rkey=rkey,
        uri=f"at://{did}/{POST}/{rkey}",
        cid=record_cid({"number": time_us}),
        operation="create",
        blob_cid=blob_cid(chance.randbytes(16)),
        mime_type="image/jpeg",
        size_bytes=100_000,
        position=0,
        embed_type="images",
    )


def decode_case(folder: Path, count: int) -> Figures:
    """Decoding and hashing alone."""
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    algorithm, limits = get_algorithm("average"), DecodeLimits()

    def hash_one(number: int) -> int:
        return algorithm.hash(decode(files[number % PICTURES], limits).image).value

    start, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(hash_one, range(count)):
            pass
    seconds, used = time.perf_counter() - start, time.process_time() - processor
    return Figures("decode", count, seconds, used, Memory())


def pipeline_case(case: str, folder: Path, count: int, latency_ms: float, stall: bool) -> Figures:
    """The pipeline from the Parquet file to the committed rows."""
    authors = [plc_did(f"author {number}") for number in range(AUTHORS)]
    stalled = authors[::STALLED_EVERY] if stall else []
    (folder / "stalled.txt").write_text("\n".join(stalled))
    rows, memory = posts_of(count, authors), Memory()
    with (
        tempfile.TemporaryDirectory() as data,
        image_host(folder, latency_ms) as port,
        memory.sampled(),
    ):
        base = f"http://127.0.0.1:{port}"
        settings = settings_from(
            {
                "DATA_DIR": data,
                "CDN_ENDPOINT": base,
                "PLC_ENDPOINT": f"{base}/plc",
                "PDS_ENDPOINT": f"{base}/none",
                "ALLOW_PRIVATE_NETWORK": "true",
            }
        )
        warehouse, posts = Warehouse(settings.warehouse_path), ImagePosts(settings.image_posts_dir)
        posts.write_batch(rows, start="1", now=utc_now() + timedelta(hours=1))
        with warehouse.write():
            pass  # the schema is there in every run but the first
        began, processor = utc_now(), time.process_time()
        hash_hours(
            posts.partition_keys(),
            [get_algorithm("average")],
            settings=settings,
            warehouse=warehouse,
            posts=posts,
            clock=utc_now,
        )
        used = time.process_time() - processor
        with warehouse.read() as connection:
            [(hashed, last)] = connection.execute(
                "FROM image_hashes SELECT count(*), max(hashed_at)"
            ).fetchall()
            outcomes = dict(
                connection.execute(
                    "FROM image_outcomes SELECT outcome, count(*) GROUP BY ALL"
                ).fetchall()
            )
    lost = sum(row.did in stalled for row in rows)
    wanted = {"hashed": count - lost, **({"waiting": lost} if lost else {})}
    if outcomes != wanted or hashed != count - lost:
        raise SystemExit(f"{case}: {hashed} hashes and {outcomes} instead of {wanted}")
    return Figures(case, hashed, (last - began).total_seconds(), used, memory)


def show(figures: Sequence[Figures]) -> None:
    """Print the table."""
    table = Table("case", "images", "seconds", "images/s", "CPU ms/image", title="Images")
    for column in ("MB at 10 %", "at 50 %", "at the end"):
        table.add_column(column)
    for each in figures:
        table.add_row(
            each.case,
            str(each.images),
            f"{each.seconds:.1f}",
            f"{each.rate:.0f}",
            f"{1000 * each.processor_seconds / each.images:.1f}",
            *(each.memory.at(share) for share in (0.1, 0.5, 1.0)),
        )
    Console(width=100).print(table)
    rates = {each.case: each.rate for each in figures}
    for first, second in (("latency", "no latency"), ("stalled PDS", "latency")):
        if first in rates and second in rates:
            print(f"{first} / {second}: {rates[first] / rates[second]:.2f}")
    if rate := rates.get("latency"):
        reached = "reached" if rate >= GOAL_PER_SECOND else "not reached"
        print(f"goal of {GOAL_PER_SECOND:g} images/s: {reached}")


def main() -> None:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1500, help="images per case")
    parser.add_argument("--latency-ms", type=float, default=100, help="latency of the CDN")
    parser.add_argument("--only", choices=CASES, help="run one case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder)
        sizes = [path.stat().st_size for path in folder.glob("*.jpg")]
        pixels = sum(width * height for width, height in SIZES) / len(SIZES) / 1e6
        print(
            f"{len(sizes)} JPEGs, {pixels:.1f} MP on average, "
            f"{min(sizes) // 1000} to {max(sizes) // 1000} kB, "
            f"{sum(sizes) // len(sizes) // 1000} kB on average"
        )
        figures = []
        for case in (options.only,) if options.only else CASES:
            if case == "decode":
                figures.append(decode_case(folder, min(options.images, 1000)))
                continue
            latency = 0.0 if case == "no latency" else options.latency_ms
            figures.append(
                pipeline_case(case, folder, options.images, latency, case == "stalled PDS")
            )
        show(figures)


if __name__ == "__main__":
    main()
