"""Resizing to 8x8 with a Lanczos3 filter, in the arithmetic of the Rust `image` library.

That library samples vertically, then horizontally, and adds up 32-bit floats one after the other.
`resize_exactly` does the same operations in the same order and so gets the same bits.
`resize_fast` multiplies matrices, which adds in another order: its values are off by less than
`FAST_ERROR`, at a fraction of the time.

Source: image 0.25.8, src/imageops/sample.rs, `vertical_sample` and `horizontal_sample`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phash_dagster.hashing.sine import sine

Grey = NDArray[np.uint8]
"""A grey image, rows by columns."""
Floats = NDArray[np.float32]

SIDE: Final = 8
"""Rows and columns of the result."""

FAST_MAX_SIDE: Final = 9_000
"""Longest side in pixels for which `resize_fast` was compared with `resize_exactly`."""

FAST_ERROR: Final = 3e-3
"""Bound on the difference of the two, in grey levels, up to that side: twice the largest seen."""

_LOBES = np.float32(3)
_BLOCK_ELEMENTS = 32_768
"""Pixels per block: as floats they fit the level 2 cache, and BLAS multiplies so few in the
calling thread instead of waking threads of its own beside our worker threads."""


@dataclass(frozen=True)
class _Window:
    """The input pixels that make one output pixel, along one axis, and their weights."""

    start: int
    weights: Floats


def resize_fast(grey: Grey) -> Floats:
    """The 64 grey values, unrounded and not clamped, within `FAST_ERROR` of the exact ones.

    Raises:
        ValueError: A side is longer than `FAST_MAX_SIDE`.
    """
    height, width = grey.shape
    if max(height, width) > FAST_MAX_SIDE:
        raise ValueError(f"{width} x {height} is too long a side for resize_fast")
    weights = _weight_matrix(height)
    rows = max(1, _BLOCK_ELEMENTS // width)
    block = np.empty((rows, width), np.float32)
    columns = np.zeros((SIDE, width), np.float32)
    for top in range(0, height, rows):
        pixels = grey[top : top + rows]
        floats = block[: len(pixels)]
        np.copyto(floats, pixels)
        columns += weights[:, top : top + rows] @ floats
    return columns @ _weight_matrix(width).T


def resize_exactly(grey: Grey) -> Floats:
    """The 64 grey values, unrounded and not clamped, bit for bit those of the Rust library."""
    height, width = grey.shape
    columns = _sample_rows(grey, _windows(height))
    return _sample_rows(np.ascontiguousarray(columns.T), _windows(width)).T


def _sample_rows(rows: NDArray[np.uint8 | np.float32], windows: tuple[_Window, ...]) -> Floats:
    """One weighted sum of rows per window."""
    return np.stack([_weighted_sum(rows, window) for window in windows])


def _weighted_sum(rows: NDArray[np.uint8 | np.float32], window: _Window) -> Floats:
    width = rows.shape[1]
    step = max(1, _BLOCK_ELEMENTS // width)
    total = np.zeros(width, np.float32)
    for offset in range(0, len(window.weights), step):
        weights = window.weights[offset : offset + step]
        first = window.start + offset
        terms = np.empty((len(weights) + 1, width), np.float32)
        terms[0] = total
        np.multiply(rows[first : first + len(weights)], weights[:, np.newaxis], out=terms[1:])
        total = _sum_in_order(terms)
    return total


def _sum_in_order(terms: Floats) -> Floats:
    """The sum over rows, added one row after the other.

    NumPy reduces the first axis of a C-ordered array in that order, but adds up a single column
    pairwise, which rounds differently; `accumulate` is sequential by definition, and slower.
    """
    total: Floats
    if terms.shape[1] == 1:
        total = np.add.accumulate(terms, axis=0)[-1]
    else:
        total = np.add.reduce(terms, axis=0)
    return total


@lru_cache(maxsize=256)
def _weight_matrix(length: int) -> Floats:
    """The windows of an axis as a matrix of 8 by `length`; read-only, as threads share it."""
    matrix = np.zeros((SIDE, length), np.float32)
    for row, window in zip(matrix, _windows(length), strict=True):
        row[window.start : window.start + len(window.weights)] = window.weights
    matrix.setflags(write=False)
    return matrix


def _windows(length: int) -> tuple[_Window, ...]:
    """The 8 windows along an axis of `length` pixels; every step rounds to 32 bits, as in Rust."""
    ratio = np.float32(length) / np.float32(SIDE)
    scale = max(ratio, np.float32(1))
    return tuple(_window(length, output, ratio, scale) for output in range(SIDE))


def _window(length: int, output: int, ratio: np.float32, scale: np.float32) -> _Window:
    support = _LOBES * scale
    centre = (np.float32(output) + np.float32(0.5)) * ratio
    start = min(max(int(np.floor(centre - support)), 0), length - 1)
    stop = min(max(int(np.ceil(centre + support)), start + 1), length)
    positions = np.arange(start, stop, dtype=np.int64).astype(np.float32)
    weights = _lanczos3((positions - (centre - np.float32(0.5))) / scale)
    return _Window(start, weights / np.add.accumulate(weights)[-1])


def _lanczos3(x: Floats) -> Floats:
    return np.where(np.abs(x) < _LOBES, _sinc(x) * _sinc(x / _LOBES), np.float32(0))


def _sinc(x: Floats) -> Floats:
    angle = x * np.float32(np.pi)
    quotient: Floats = np.divide(sine(angle), angle, out=np.ones_like(angle), where=angle != 0)
    return quotient
