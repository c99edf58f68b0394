"""What a check found: plain data, whatever was checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Number = int | float

MAX_ROWS: Final = 100
"""Rows of details, and what makes up a verdict's state."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: Whether all is well.
        description: What is wrong and what to do about it, or what is well.
        numbers: Figures to plot.
        columns: Headings of a table with details.
        rows: Its rows. Their text comes from strangers.
        state: What makes one verdict differ from another in kind; figures alone do not.
    """

    passed: bool
    description: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    state: str = ""
