"""The DCT hash of the package imagehash (`phash`), spelled as it spells it."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from phash_dagster.hashing.interface import HashValue
from phash_dagster.hashing.quality import SIDE, Bits
from phash_dagster.hashing.shrink import library_versions, packed, shrunk

_DCT_SIDE: Final = 32

_CERTAIN: Final = 1e-6
"""Grey levels by which our cosine transform could be off, many times over: both add 64-bit floats,
in different orders."""

_SURE: Final = 0.5
"""Grey levels within which noise and re-encoding move an amplitude."""

_Amplitudes = NDArray[np.float64]
"""Amplitudes of the 64 lowest frequencies, in grey levels; rows are vertical frequencies."""


@dataclass(frozen=True)
class PerceptualHash:
    """64 bits of the discrete cosine transform: `imagehash.phash`.

    The grey image is resized to 32 by 32 and transformed; each of the 64 lowest frequencies gives a
    bit: is it above their median? Row by row, the first bit is the most significant, so that the
    hexadecimal text is `str(imagehash.phash(image))`.

    Differs from imagehash where that reads pixels in another way: for 16-bit grey (Pillow clips it)
    and for a GIF whose first frame does not fill the canvas.
    """

    @property
    def name(self) -> str:
        """`perceptual`."""
        return "perceptual"

    @property
    def bits(self) -> int:
        """64."""
        return SIDE * SIDE

    @property
    def version(self) -> str:
        """Ours, and those of the packages that decide in doubt."""
        return f"1/{library_versions('imagehash', 'scipy')}"

    def hash(self, image: Image) -> HashValue:
        """The hash of an image and its quality; safe to call from several threads.

        Raises:
            ValueError: The image has no pixels, or a mode that `plain_pixels` does not take.
        """
        grey = shrunk(image, (_DCT_SIDE, _DCT_SIDE))
        above = _above_median(grey)
        certain = bool(np.abs(above).min() > _CERTAIN)
        return HashValue(packed(above > 0 if certain else _by_imagehash(grey)), _quality(above))


def _above_median(grey: Image) -> _Amplitudes:
    """How far each amplitude is above the median of all."""
    cosines = _cosines()
    amplitudes: _Amplitudes = cosines @ np.asarray(grey, np.float64) @ cosines.T
    return amplitudes - np.median(amplitudes)


@cache
def _cosines() -> NDArray[np.float64]:
    """The 8 lowest rows of the type II transform of 32 values, scaled to amplitudes."""
    samples = (np.arange(_DCT_SIDE) + 0.5) / _DCT_SIDE
    rows = np.cos(np.pi * np.arange(SIDE)[:, np.newaxis] * samples) * (2 / _DCT_SIDE)
    rows.setflags(write=False)  # threads share it
    return rows


def _by_imagehash(grey: Image) -> Bits:
    """The bits of an image whose amplitudes are equal but for rounding: flat, or symmetrical.

    Imported here, since SciPy takes half a second and few images need it.
    """
    import imagehash

    bits: Bits = imagehash.phash(grey).hash
    return bits


def _quality(above: _Amplitudes) -> int:
    """How many bits are decided by more than noise: 100 * sure / 49, rounded.

    A bit is sure if its amplitude is over half a grey level from the median. The 15 frequencies
    that run along one axis only do not count: upright stripes, splits and gradients have no others.
    """
    return round(100 * float((np.abs(above[1:, 1:]) > _SURE).mean()))
