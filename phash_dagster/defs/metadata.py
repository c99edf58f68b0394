"""How tables appear in the Dagster UI."""

from collections.abc import Iterable, Sequence

import dagster as dg

from phash_dagster.reports.markdown import escape_cell


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> dg.MarkdownMetadataValue:
    """A table as Markdown. Cells are escaped: some of their text comes from strangers."""
    lines = [_line(columns), "|---" * len(columns) + "|", *(_line(row) for row in rows)]
    return dg.MetadataValue.md("\n".join(lines))


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(escape_cell(cell) for cell in cells) + " |"
