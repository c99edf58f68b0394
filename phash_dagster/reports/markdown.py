"""Text from strangers inside Markdown."""

import re


def escape_cell(value: object) -> str:
    """A value as one table cell: on one line, its Markdown and HTML characters escaped."""
    text = "" if value is None else str(value).replace("\n", " ")
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", text)


def escape_code(command: str) -> str:
    """A command as one table cell: as code, unless something in it could end the code or cell."""
    is_plain = re.fullmatch(r"[\w .:/='-]+", command)
    return f"`{command}`" if is_plain else escape_cell(command)
