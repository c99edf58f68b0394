"""The average hash, bit for bit as the Rust crates `image` and `image_hasher` compute it.

Arithmetic: image_hasher 3.0.0 (`HashAlg::Mean`, 8x8, Lanczos3, least significant bit first) on
image 0.25.8. Two hashes of the same pixels are equal; `imagehash.average_hash` is another function
(other luma, other mean) and its values must never be mixed with these.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from phash_dagster.hashing.interface import HashValue
from phash_dagster.hashing.lanczos import (
    FAST_ERROR,
    FAST_MAX_SIDE,
    SIDE,
    Floats,
    Grey,
    resize_exactly,
    resize_fast,
)
from phash_dagster.hashing.pixels import plain_pixels, require_pixels
from phash_dagster.hashing.quality import Bits, structure

LumaVariant = Literal["float", "integer"]
"""How colours become grey.

`float`: image 0.25.7 and later, in 32-bit floats, rounded half away from zero.
`integer`: before, or an `RgbImage` handed over: (2126 R + 7152 G + 722 B) // 10000.
"""

_LUMA: Final[dict[LumaVariant, tuple[float, float, float, float]]] = {
    # The red, green and blue weights are the library's 32-bit ones: 0x3e59c05b, 0x3f3715fc and
    # 0x3d93cf75. Pillow adds in another order: of all 2**24 colours, 143 end one level off.
    "float": (0.21264784, 0.7151792, 0.07217304, 0.0),
    # Pillow adds 0.5 and truncates; this offset makes it truncate alone. Exact for all colours.
    "integer": (0.2126, 0.7152, 0.0722, -0.49999),
}

Levels = NDArray[np.int64]
"""The 8x8 resized grey values, 0 to 255."""


@dataclass(frozen=True)
class AverageHash:
    """64 bits, one per cell of an 8x8 grid: is the cell at least as light as the mean?

    Row by row; bit k of a row's byte is column k; the first row is the most significant byte.
    The hash of a single colour, whichever, has all bits set.
    """

    variant: LumaVariant = "float"

    @property
    def name(self) -> str:
        """`average`, or `average-integer` for the older luma."""
        return "average" if self.variant == "float" else f"average-{self.variant}"

    @property
    def bits(self) -> int:
        """64."""
        return SIDE * SIDE

    @property
    def version(self) -> str:
        """Version of this arithmetic, the luma included."""
        return "1"

    def hash(self, image: Image) -> HashValue:
        """The hash of an image and its quality; safe to call from several threads.

        Raises:
            ValueError: The image has no pixels, or a mode that `plain_pixels` does not take.
        """
        require_pixels(image)
        levels, bits = _levels_and_bits(_luma(plain_pixels(image), self.variant))
        packed = np.packbits(bits, bitorder="little").tobytes()
        return HashValue(int.from_bytes(packed, "big"), _quality(levels, bits))


def _luma(image: Image, variant: LumaVariant) -> Grey:
    grey = image if image.mode == "L" else image.convert("L", _LUMA[variant])
    return np.asarray(grey)


def _levels_and_bits(grey: Grey) -> tuple[Levels, Bits]:
    """Resize fast where the outcome is certain (99 % of images), else exactly."""
    if grey.shape == (SIDE, SIDE):
        levels = grey.astype(np.int64)
        return levels, _bits(levels, levels)
    if max(grey.shape) <= FAST_MAX_SIDE:
        fast = resize_fast(grey)
        darkest, lightest = _round(fast - FAST_ERROR), _round(fast + FAST_ERROR)
        # A lower mean and lighter cells only ever set bits: whatever the exact values are, their
        # bits lie between these two.
        fewest, most = _bits(darkest, mean_of=lightest), _bits(lightest, mean_of=darkest)
        if np.array_equal(fewest, most):
            return _round(fast), most
    levels = _round(resize_exactly(grey))
    return levels, _bits(levels, levels)


def _round(values: Floats) -> Levels:
    """Clamp to 0..255 and round, halves away from zero."""
    clamped = np.clip(values, 0, 255)
    # Not floor(v + 0.5): that sum rounds up by itself just below a half.
    whole = np.floor(clamped)
    return whole.astype(np.int64) + (clamped - whole >= 0.5)


def _bits(levels: Levels, mean_of: Levels) -> Bits:
    bits: Bits = levels >= mean_of.sum() // mean_of.size
    return bits


_FULL_CONTRAST = 10.0


def _quality(levels: Levels, bits: Bits) -> int:
    """How much the hash says about the image: 100 * contrast * structure, rounded.

    *contrast* is the mean absolute deviation of the 64 levels from their mean, over 10 grey
    levels, at most 1: below, noise and re-encoding move cells across the mean. *structure* is that
    of the bits, see `quality.structure`: stripes, splits and gradients share their hash with many
    unrelated images.
    """
    deviation = float(np.abs(levels - levels.mean()).mean())
    return round(100 * min(1.0, deviation / _FULL_CONTRAST) * structure(bits))
