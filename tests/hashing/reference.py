"""The average hash written out as its definition reads: slow, sequential, without tricks."""

import math

import numpy as np
from numpy.typing import NDArray

from phash_dagster.hashing.sine import sine

F = np.float32
Grid = list[list[np.float32]]


def average_hash(grey: NDArray[np.uint8]) -> str:
    levels = resized(grey)
    mean = sum(levels) // 64
    digits = ""
    for row in range(8):
        cells = levels[row * 8 : row * 8 + 8]
        digits += f"{sum((cell >= mean) << column for column, cell in enumerate(cells)):02x}"
    return digits


def resized(grey: NDArray[np.uint8]) -> list[int]:
    """The 64 grey levels, row by row."""
    if grey.shape == (8, 8):
        return [int(level) for level in grey.ravel()]
    return [_level(value) for row in resample(grey) for value in row]


def resample(grey: NDArray[np.uint8]) -> Grid:
    """The 8x8 values before rounding: down the columns first, then along the rows."""
    columns = [_sample([F(v) for v in column]) for column in grey.T]
    return [_sample([column[row] for column in columns]) for row in range(8)]


def _sample(values: list[np.float32]) -> list[np.float32]:
    return [_output(values, index) for index in range(8)]


def _output(values: list[np.float32], index: int) -> np.float32:
    ratio = F(len(values)) / F(8)
    scale = max(F(1), ratio)
    centre = (F(index) + F(0.5)) * ratio
    left = min(max(math.floor(centre - F(3) * scale), 0), len(values) - 1)
    right = min(max(math.ceil(centre + F(3) * scale), left + 1), len(values))
    weights = [_lanczos3((F(i) - (centre - F(0.5))) / scale) for i in range(left, right)]
    norm = F(0)
    for weight in weights:
        norm = norm + weight
    total = F(0)
    for value, weight in zip(values[left:right], weights, strict=True):
        total = total + value * (weight / norm)
    return total


def _lanczos3(x: np.float32) -> np.float32:
    return _sinc(x) * _sinc(x / F(3)) if abs(x) < F(3) else F(0)


def _sinc(x: np.float32) -> np.float32:
    angle = x * F(math.pi)
    return F(1) if angle == 0 else F(sine(np.array([angle], F))[0] / angle)


def _level(value: np.float32) -> int:
    return math.floor(min(max(float(value), 0.0), 255.0) + 0.5)
