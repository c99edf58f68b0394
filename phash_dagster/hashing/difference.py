"""The gradient hash of the package imagehash (`dhash`), spelled as it spells it."""

from dataclasses import dataclass
from typing import Final

import imagehash
import numpy as np
from PIL.Image import Image

from phash_dagster.hashing.interface import HashValue
from phash_dagster.hashing.quality import SIDE, Bits, structure
from phash_dagster.hashing.shrink import library_versions, packed, shrunk

_FULL_CONTRAST: Final = 6.0


@dataclass(frozen=True)
class DifferenceHash:
    """64 bits of horizontal differences: `imagehash.dhash`.

    The grey image is resized to 9 by 8; a bit tells whether a cell is lighter than the one to its
    left. Row by row, the first bit is the most significant, so that the hexadecimal text is
    `str(imagehash.dhash(image))`. Differs from imagehash where `PerceptualHash` does.
    """

    @property
    def name(self) -> str:
        """`difference`."""
        return "difference"

    @property
    def bits(self) -> int:
        """64."""
        return SIDE * SIDE

    @property
    def version(self) -> str:
        """Ours, and that of the package."""
        return f"1/{library_versions('imagehash')}"

    def hash(self, image: Image) -> HashValue:
        """The hash of an image and its quality; safe to call from several threads.

        Raises:
            ValueError: The image has no pixels, or a mode that `plain_pixels` does not take.
        """
        grey = shrunk(image, (SIDE + 1, SIDE))
        bits: Bits = imagehash.dhash(grey).hash
        return HashValue(packed(bits), _quality(grey, bits))


def _quality(grey: Image, bits: Bits) -> int:
    """100 * contrast * structure, rounded.

    *contrast* is the mean difference of neighbours in a row, over 6 grey levels, at most 1; below,
    noise turns bits. *structure* is that of the bits, see `quality.structure`.
    """
    contrast = np.abs(np.diff(np.asarray(grey, np.int64), axis=1)).mean() / _FULL_CONTRAST
    return round(100 * min(1.0, float(contrast)) * structure(bits))
