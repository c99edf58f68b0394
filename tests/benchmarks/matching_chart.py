"""Draws how the time of matching grows, from what `matching --growth` wrote.

uv run --with matplotlib python -m tests.benchmarks.matching_chart growth.csv growth.svg
"""

import argparse
import csv
import importlib
from collections import defaultdict
from pathlib import Path
from typing import Any


def draw(rows: list[dict[str, str]], target: Path) -> None:
    """One line per number of images, both axes logarithmic."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "font.size": 11})
    plots: Any = importlib.import_module("matplotlib.pyplot")
    lines: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        lines[int(row["images"])].append((int(row["rule_hashes"]), float(row["seconds"])))
    figure, axes = plots.subplots(figsize=(8, 4.5))
    for images, points in sorted(lines.items(), reverse=True):
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{images:,} images")
    axes.set(xscale="log", yscale="log", xlabel="rule hashes", ylabel="seconds")
    axes.set_title("Matching all stored images, distance 3, two cores", loc="left")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Read the figures and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, help="CSV")
    parser.add_argument("target", type=Path, help="SVG")
    options = parser.parse_args()
    with options.figures.open(newline="") as file:
        draw(list(csv.DictReader(file)), options.target)


if __name__ == "__main__":
    main()
