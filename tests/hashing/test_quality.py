import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from phash_dagster.hashing import AverageHash
from phash_dagster.hashing.quality import structure

Y, X = (axis - 149.5 for axis in np.mgrid[:300, :300])
ANGLES = range(0, 180, 9)


def across(degrees: int) -> NDArray[np.float64]:
    """Pixels from a line through the middle, at that angle."""
    angle = np.radians(degrees)
    distance: NDArray[np.float64] = X * np.cos(angle) + Y * np.sin(angle)
    return distance


def quality(pixels: NDArray[np.float64]) -> int:
    grain = np.random.default_rng(1).normal(0, 5, pixels.shape)
    grey = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return AverageHash().hash(Image.fromarray(grey)).quality


def structure_by_loops(bits: list[list[bool]]) -> float:
    """The definition, cell by cell."""
    shares: list[float] = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2)):
        pairs = [
            bits[y][x] != bits[y + down][x + right]
            for y in range(8)
            for x in range(8)
            if y + down < 8 and 0 <= x + right < 8
        ]
        shares.append(sum(pairs) / len(pairs))
    ones = [(y, x) for y in range(8) for x in range(8) if bits[y][x]]
    lean = sum(y - 3.5 for y, _ in ones), sum(x - 3.5 for _, x in ones)
    order = sorted(
        ((y, x) for y in range(8) for x in range(8)),
        key=lambda cell: -((cell[0] - 3.5) * lean[0] + (cell[1] - 3.5) * lean[1]),
    )
    wrong = 2 * sum(not bits[y][x] for y, x in order[: len(ones)])
    return min(1.0, 7 * min(shares), max(0, wrong - 2) / 8)


@given(st.integers(0, 2**64 - 1))
def test_structure_is_what_its_definition_says(value: int) -> None:
    bits = [[bool(value >> (8 * y + x) & 1) for x in range(8)] for y in range(8)]
    assert structure(np.array(bits)) == pytest.approx(structure_by_loops(bits))


@pytest.mark.parametrize("offset", [-70, 0, 50])
def test_a_split_has_no_quality_whatever_its_angle(offset: int) -> None:
    splits = [128 + 100 * np.sign(across(angle) - offset) for angle in ANGLES]
    assert max(map(quality, splits)) < 10


def test_a_gradient_has_no_quality_whatever_its_angle() -> None:
    assert max(quality(128 + 0.4 * across(angle)) for angle in ANGLES) < 10


@pytest.mark.parametrize("angle", [0, 45, 90, 135])
def test_stripes_have_no_quality(angle: int) -> None:
    stripes = np.sin(2 * np.pi * (across(angle) + 11) / 120)
    assert quality(128 + 100 * np.sign(stripes)) < 10


def test_a_light_spot_in_the_middle_has_quality() -> None:
    assert quality(np.where(np.hypot(X, Y) < 80, 220.0, 60.0)) > 50
