"""Text from strangers inside Markdown."""

import re


def escape_cell(value: object) -> str:
    """A value as one table cell: on one line, its Markdown and HTML characters escaped."""
    text = "" if value is None else str(value).replace("\n", " ")
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", text)
