"""The table of metrics in docs/monitoring.md; `python -m tests.metrics.documented` writes it."""

import re
from pathlib import Path

from phash_dagster.metrics.catalogue import CATALOGUE, PREFIX

DOCUMENT = Path(__file__).parents[2] / "docs" / "monitoring.md"
HEAD = "| Metric | Labels | Meaning |\n|---|---|---|\n"
_TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")


def table() -> str:
    """Every metric, without the prefix that all have."""
    rows = []
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name.removeprefix(PREFIX)}` | {labels} | {metric.help} |\n")
    return HEAD + "".join(rows)


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_TABLE.sub(lambda _: table(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
