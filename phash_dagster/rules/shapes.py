"""Hashes that say too little about an image: flat and striped ones. Pure.

Measured by `tests/benchmarks/weak_hashes.py` with average hashes of 421 photographs and drawings
and of generated pictures. Two unrelated images are within 3 bits of each other in 0.05 % of cases.

* Hashes with at most 4 of 64 bits set, or not set (1 to 4 % of images, most of them of one
  colour): 3 % of unrelated photographs are within 3 bits; of 1,500 one-coloured grounds with some
  words on them 11 % are within 3 bits of one with 3 such bits, 1.2 % of one with 4, 0.6 % of one
  with 8, 0.4 % of one with 12.
* Hashes whose rows, or columns, are all the same but for one cell: 1.7 % of unrelated photographs,
  4.5 % of 1,500 generated stripes and light/dark splits are within 3 bits.
"""

from itertools import pairwise
from typing import Final

GRID: Final = frozenset({"average", "average-integer"})
"""Algorithms whose 64 bits are the cells of an 8x8 grid, a byte per row."""

_SIDE: Final = 8
_MOST_CHANGES: Final = 2
"""Bit changes that one odd cell makes along its row, or along its column."""


def fewest_set_bits(bits: int) -> int:
    """A hash of so many bits is flat with this many bits set, or not set, or fewer: 4 of 64."""
    return bits // 16


def is_flat(value: int, bits: int) -> bool:
    """Whether nearly all bits of a hash are equal."""
    count = value.bit_count()
    return min(count, bits - count) <= fewest_set_bits(bits)


def is_striped(value: int) -> bool:
    """Whether the rows of an 8x8 hash, or its columns, are all the same but for one cell."""
    return bit_changes(value) <= _MOST_CHANGES


def bit_changes(value: int) -> int:
    """Bit changes between neighbouring cells of an 8x8 hash: along the rows, or along the columns,
    whichever has fewer."""
    rows = value.to_bytes(_SIDE, "big")
    along_columns = sum((above ^ below).bit_count() for above, below in pairwise(rows))
    along_rows = sum(((row ^ (row >> 1)) & 0x7F).bit_count() for row in rows)
    return min(along_columns, along_rows)
