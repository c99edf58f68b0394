"""How long does it take to check rule files, and to compare their hashes by comparing all?

Writes rules with random hashes, half of them near 200 others, loads them as the pipeline does, and
compares the hashes once in bands and once all with all (a sample, extrapolated linearly). Both must
find the same collisions for the sample. Takes about half a minute.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phash_dagster.clock import utc_now
from phash_dagster.rules import load_folder
from phash_dagster.rules.near import HashList, first_collisions

_LABELS = 50


def skewed_hashes(chance: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Random hashes, every second within 6 bits of one of 200."""
    values = chance.integers(0, 2**64, count, dtype=np.uint64)
    near = chance.choice(values[:200], len(values[::2]))
    for bits in chance.integers(0, 64, (6, len(near)), dtype=np.uint64):
        near ^= np.uint64(1) << bits
    values[::2] = near
    return values


def _write_rules(folder: Path, values: NDArray[np.uint64]) -> None:
    rules: list[dict[str, Any]] = [
        {
            "id": f"rule-{number}",
            "label": f"label-{number % _LABELS}",
            "phashes": [f"{value:016x}" for value in part.tolist()],
            "comment": "x",
            **dict.fromkeys(("reportAcct", "labelAcct", "reportPost", "toLabel"), False),
        }
        for number, part in enumerate(np.array_split(values, 500))
    ]
    (folder / "rules.json").write_text(json.dumps(rules))


def _compare_all(hashes: HashList, sample: int) -> list[int]:
    """The first collision of each of the last hashes, by comparing it with all before it."""
    found = []
    values = hashes.words[:, 0]
    for place in range(len(values) - sample, len(values)):
        near = np.bitwise_count(values[:place] ^ values[place]) <= hashes.reach[place]
        first = np.flatnonzero(near & (hashes.kinds[:place] != hashes.kinds[place]))
        found.append(int(first[0]) if len(first) else -1)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hashes", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=1_000, help="hashes compared with all")
    given = parser.parse_args()
    values = skewed_hashes(np.random.default_rng(1), given.hashes)
    with tempfile.TemporaryDirectory() as folder:
        _write_rules(Path(folder), values)
        start = time.perf_counter()
        loaded = load_folder(Path(folder), 3, utc_now())
        print(f"load and lint {loaded.summary}: {time.perf_counter() - start:.2f} s")
    print("threshold   in bands   all with all   ratio")
    for threshold in (0, 3, 5, 8):
        kinds = np.arange(given.hashes) % _LABELS
        hashes = HashList(values[:, None], np.full(given.hashes, threshold), kinds)
        start = time.perf_counter()
        found = first_collisions(hashes)
        banded = time.perf_counter() - start
        start = time.perf_counter()
        expected = _compare_all(hashes, given.sample)
        # Each pair is compared once: half of the square.
        brute = (time.perf_counter() - start) * given.hashes / given.sample / 2
        if expected != found[-given.sample :].tolist():
            raise SystemExit("the two ways differ")
        print(f"{threshold:9}  {banded:7.2f} s  {brute:11.1f} s  {brute / banded:6.1f}")


if __name__ == "__main__":
    main()
