"""How much the bits of a hash tell: the part of `quality` that several algorithms share."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]
"""The bits of a hash as a grid of 8 by 8."""

SIDE: Final = 8

_STEPS: Final = ((0, 1), (1, 0), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2))
"""Rows and columns from a cell to its neighbour, for eight directions about 23 degrees apart."""

_FULL_CHANGES: Final = 1 / 7
"""Share of unequal neighbours that counts as rich: 8 of the 56 along rows."""

_FREE_CELLS: Final = 2
"""Cells on the wrong side of a straight line that are put down to the coarse grid."""

_FULL_CELLS: Final = 8


def _neighbours(rows: int, columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    grid = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    right, left = max(columns, 0), max(-columns, 0)
    first = grid[: SIDE - rows, left : SIDE - right]
    second = grid[rows:, right : SIDE - left]
    return first.ravel(), second.ravel()


_PAIRS = [_neighbours(*step) for step in _STEPS]
_FIRST = np.concatenate([first for first, _ in _PAIRS])
_SECOND = np.concatenate([second for _, second in _PAIRS])
_STARTS = np.cumsum([0, *(len(first) for first, _ in _PAIRS[:-1])])
_COUNTS = np.array([len(first) for first, _ in _PAIRS])

_Y, _X = (axis.ravel() - (SIDE - 1) / 2 for axis in np.mgrid[:SIDE, :SIDE])


def structure(bits: Bits) -> float:
    """How unlike stripes, splits and gradients a pattern of bits is, from 0 to 1.

    The lesser of two measures. *Changes*: the share of neighbouring cells that differ, times 7, in
    the one of eight directions where they differ least; along stripes nothing changes. *Crossings*:
    how many cells, less 2, lie on the wrong side of the straight line that separates ones and zeros
    best, over 8; a split or a gradient has none, whatever its angle.

    Patterns near 0 are shared by many unrelated images.
    """
    flat = bits.ravel()
    changes = np.add.reduceat(flat[_FIRST] != flat[_SECOND], _STARTS, dtype=np.intp) / _COUNTS
    crossings = _crossings(flat) - _FREE_CELLS
    return float(min(1.0, changes.min() / _FULL_CHANGES, max(0, crossings) / _FULL_CELLS))


def _crossings(flat: Bits) -> int:
    """Cells whose bit is not what the best straight line through the grid says.

    The line is at right angles to the way from the centre of the zeros to that of the ones, and
    has as many cells on its side as there are ones.
    """
    ones = np.count_nonzero(flat)
    position = _X[flat].sum() * _X + _Y[flat].sum() * _Y
    beyond = np.argsort(-position, kind="stable")[:ones]
    return 2 * int(ones - np.count_nonzero(flat[beyond]))
