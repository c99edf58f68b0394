"""Images per second: ours against imagehash, and two workers against one.

    python -m tests.benchmarks.hashing
    python -m tests.benchmarks.hashing --files 1000 --rounds 5

The files are JPEGs such as people post: 1 to 4 megapixels, 0.2 to 2 MB, colours halved. One core:
for each file ours (`decode` and the average hash, exact as the Rust library) and
`imagehash.average_hash(Image.open(file))` take turns, the first of them alternating. Workers: the
same files by one thread on one core, then by two threads on two, in turns. Medians over the rounds.

Fails unless one and two workers get the same hashes, and every eighth file has the hash that the
slow sequential arithmetic gives it. `--profile` shows instead where the time goes.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import imagehash
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from phash_dagster.hashing import AverageHash, average
from phash_dagster.hashing.lanczos import resize_exactly, resize_fast
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.sandbox import images as pictures

SIZES: Final = ((1000, 1333), (1600, 1200), (1200, 1200), (2000, 1500), (1080, 1920), (2000, 2000))
QUALITIES: Final = (76, 82, 88, 92)
GRAIN: Final = (6, 9, 13)
"""Standard deviation of the noise in grey levels; most of a JPEG's bytes encode it."""

ONE_CORE_GOAL: Final = 1.0
TWO_WORKERS_GOAL: Final = 1.8

ALGORITHM: Final = AverageHash()
LIMITS: Final = DecodeLimits()


def write_files(folder: Path, count: int) -> list[Path]:
    """JPEGs, each of its own content; they differ in size, quality and noise."""
    bases = [_base(number, size) for number, size in enumerate(SIZES)]
    paths = []
    for number in range(count):
        picture = bases[number % len(bases)]
        shift = number * 37 % picture.shape[1]
        image = Image.fromarray(np.roll(picture, shift, axis=(0, 1))[:: 1 - 2 * (number % 2)])
        path = folder / f"{number:04}.jpg"
        image.save(path, quality=QUALITIES[number // len(SIZES) % 4], subsampling="4:2:0")
        paths.append(path)
    return paths


def _base(number: int, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    noise = np.random.default_rng(number).normal(0, GRAIN[number % 3], (size[1], size[0], 1))
    pixels = np.asarray(pictures.photo(number, size)) + noise
    return np.clip(pixels, 0, 255).astype(np.uint8)


def ours(path: Path) -> int:
    """Decode and hash as the pipeline does."""
    return ALGORITHM.hash(decode(path.read_bytes(), LIMITS).image).value


def theirs(path: Path) -> str:
    """As people write it."""
    return str(imagehash.average_hash(Image.open(path)))


@dataclass
class Contest:
    """Seconds per round of two ways to do the same."""

    names: tuple[str, str]
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add(self, first: float, second: float) -> None:
        """The two ways' seconds of one round."""
        self.seconds[0].append(first)
        self.seconds[1].append(second)

    def medians(self) -> tuple[float, float]:
        """Median seconds of each."""
        return statistics.median(self.seconds[0]), statistics.median(self.seconds[1])

    @property
    def ratio(self) -> float:
        """How many times as fast the second is: the median over the rounds."""
        return statistics.median(a / b for a, b in zip(*self.seconds, strict=True))


def on_one_core(paths: Sequence[Path], rounds: int) -> Contest:
    """imagehash and ours, taking turns file by file."""
    contest = Contest(("imagehash", "ours"))
    for turn in range(rounds):
        seconds = [0.0, 0.0]
        for number, path in enumerate(paths):
            order = (0, 1) if (number + turn) % 2 else (1, 0)
            for which in order:
                seconds[which] += _timed((theirs, ours)[which], path)
        contest.add(*seconds)
    return contest


def _timed(work: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    work(path)
    return time.perf_counter() - start


def by_workers(paths: Sequence[Path], rounds: int, cores: Sequence[int]) -> Contest:
    """One worker on one core and two on two, taking turns."""
    contest = Contest(("one worker", "two workers"))
    for turn in range(rounds):
        found: dict[int, tuple[float, list[int]]] = {}
        for workers in (1, 2) if turn % 2 else (2, 1):
            os.sched_setaffinity(0, cores[:workers])
            start = time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                hashes = list(pool.map(ours, paths))
            found[workers] = time.perf_counter() - start, hashes
        if found[1][1] != found[2][1]:
            raise SystemExit("two workers got other hashes than one")
        contest.add(found[1][0], found[2][0])
    return contest


def check_exactness(paths: Sequence[Path]) -> None:
    """The hash must be that of the sequential arithmetic."""
    for path in paths:
        image = decode(path.read_bytes(), LIMITS).image
        levels = average._round(resize_exactly(average._luma(image, "float")))
        packed = np.packbits(average._bits(levels, levels), bitorder="little").tobytes()
        if ours(path) != int.from_bytes(packed, "big"):
            raise SystemExit(f"{path.name}: the fast hash is not the exact one")


def profile(paths: Sequence[Path]) -> None:
    """Milliseconds per image of each step."""
    steps: dict[str, float] = dict.fromkeys(("read", "decode", "luma", "resize", "all"), 0.0)
    for path in paths:
        times = [time.perf_counter()]
        data = path.read_bytes()
        times.append(time.perf_counter())
        image = decode(data, LIMITS).image
        times.append(time.perf_counter())
        grey = average._luma(image, "float")
        times.append(time.perf_counter())
        resize_fast(grey)
        times.append(time.perf_counter())
        ours(path)
        times.append(time.perf_counter())
        for step, start, end in zip(steps, times, times[1:], strict=False):
            steps[step] += end - start
    for step, seconds in steps.items():
        print(f"{step:8} {1000 * seconds / len(paths):6.2f} ms")


def show(contests: Sequence[Contest], files: int) -> None:
    """Print the table."""
    table = Table("", "ms per image", "images/s", "times as fast")
    for contest in contests:
        for name, seconds in zip(contest.names, contest.medians(), strict=True):
            last = f"{contest.ratio:.2f}" if name == contest.names[1] else ""
            table.add_row(name, f"{1000 * seconds / files:.2f}", f"{files / seconds:.0f}", last)
    Console().print(table)
    for contest, goal in zip(contests, (ONE_CORE_GOAL, TWO_WORKERS_GOAL), strict=False):
        reached = "reached" if contest.ratio >= goal else "not reached"
        print(f"goal for {contest.names[1]} of {goal:g} times: {reached}")


def main() -> None:
    """Make the files, run the contests and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=200, help="number of JPEGs")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contest")
    parser.add_argument("--profile", action="store_true", help="show the time of each step instead")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), options.files)
        sizes = [path.stat().st_size / 1000 for path in paths]
        pixels = statistics.mean(width * height for width, height in SIZES) / 1e6
        print(
            f"{len(paths)} JPEGs, {pixels:.1f} megapixels and {statistics.mean(sizes):.0f} kB on "
            f"average ({min(sizes):.0f} to {max(sizes):.0f}); {len(cores)} cores with a load of "
            f"{os.getloadavg()[0]:.1f}"
        )
        os.sched_setaffinity(0, cores[:1])
        check_exactness(paths[::8])
        if options.profile:
            profile(paths)
            return
        contests = [on_one_core(paths, options.rounds)]
        if len(cores) > 1:
            contests.append(by_workers(paths, options.rounds, cores))
        show(contests, len(paths))


if __name__ == "__main__":
    main()
