"""How many unrelated images do flat and striped average hashes match?

Prints the figures behind the bounds of `phash_dagster/rules/shapes.py`: for generated pictures, and
for the hashes of photographs where a file of them is given (a CSV with the column `pixel_hash`).
Takes about a minute.
"""

import argparse
import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from phash_dagster.hashing import get_algorithm
from phash_dagster.rules.shapes import bit_changes

Measure = Callable[[int], int]

_SIZE = (600, 400)


def odd_bits(value: int) -> int:
    """Bits that differ from most others."""
    return min(value.bit_count(), 64 - value.bit_count())


def captions(chance: np.random.Generator, count: int) -> list[int]:
    """Hashes of one-coloured grounds with one to three lines of words."""
    return [_hash(_caption(chance, number)) for number in range(count)]


def _caption(chance: np.random.Generator, number: int) -> Image.Image:
    image = Image.new("RGB", _SIZE, _colour(chance))
    draw = ImageDraw.Draw(image)
    for _ in range(chance.integers(1, 4)):
        place = (int(chance.integers(0, 400)), int(chance.integers(0, 370)))
        size = int(chance.integers(14, 60))
        draw.text(place, f"Some caption {number}", fill=_colour(chance), font_size=size)
    return image


def splits(chance: np.random.Generator, count: int) -> list[int]:
    """Hashes of noisy light/dark splits and stripes, every second with a square in front."""
    return [_hash(_split(chance, number)) for number in range(count)]


def _split(chance: np.random.Generator, number: int) -> Image.Image:
    width, height = _SIZE
    down, across = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    along = across if number % 2 else down
    levels = chance.normal(0, chance.uniform(2, 25), (height, width))
    if number % 3:
        levels += np.where(along > chance.uniform(0.2, 0.8), 200, 60)
    else:
        wave = np.sin(2 * np.pi * chance.uniform(1, 4) * along + chance.uniform(0, 6))
        levels += 127 + 100 * np.sign(wave)
    if number % 4 > 1:
        side = int(chance.uniform(20, 90))
        top, left = chance.integers(0, height - side), chance.integers(0, width - side)
        levels[top : top + side, left : left + side] = chance.integers(0, 256)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def _colour(chance: np.random.Generator) -> tuple[int, ...]:
    return tuple(chance.integers(0, 256, 3).tolist())


def _hash(image: Image.Image) -> int:
    return get_algorithm("average").hash(image).value


def _print_shares(title: str, hashes: list[int], measure: Measure, name: str) -> None:
    """How many of the other hashes are within 3, 5 and 8 bits, by what `measure` says."""
    values: NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)
    distances = np.bitwise_count(values[:, None] ^ values[None, :])
    np.fill_diagonal(distances, 65)
    groups = np.array([measure(value) for value in hashes])
    print(f"\n{title}\n{name:>10}  images   % within 3        5        8")
    for group in range(int(groups.max()) + 1):
        mine = groups == group
        if not mine.any() or group > 16:
            continue
        shares = "".join(f"{100 * (distances[mine] <= bits).mean():9.3f}" for bits in (3, 5, 8))
        print(f"{group:10}  {mine.sum():6}   {shares}")


def _photographs(path: Path) -> list[int]:
    with path.open(newline="") as file:
        texts: Iterable[str] = [row["pixel_hash"] for row in csv.DictReader(file)]
    return [int(text, 16) for text in texts if len(text) == 16]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, help="CSV with a column pixel_hash")
    parser.add_argument("--count", type=int, default=1500, help="generated pictures of each kind")
    given = parser.parse_args()
    chance = np.random.default_rng(1)
    _print_shares("Captions on one colour", captions(chance, given.count), odd_bits, "odd bits")
    _print_shares("Splits and stripes", splits(chance, given.count), bit_changes, "changes")
    if given.photographs:
        hashes = _photographs(given.photographs)
        _print_shares("Photographs", hashes, odd_bits, "odd bits")
        _print_shares("Photographs", hashes, bit_changes, "changes")


if __name__ == "__main__":
    main()
