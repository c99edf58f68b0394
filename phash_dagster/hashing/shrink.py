"""What the hashes of the package imagehash have in common."""

from functools import cache
from importlib.metadata import version

import numpy as np
from PIL.Image import Image, Resampling

from phash_dagster.hashing.pixels import plain_pixels, require_pixels
from phash_dagster.hashing.quality import Bits


def shrunk(image: Image, size: tuple[int, int]) -> Image:
    """As imagehash begins: grey by Pillow's own weights (Rec. 601), then Lanczos.

    What imagehash is given afterwards it neither converts nor resizes again.

    Raises:
        ValueError: The image has no pixels, or a mode that `plain_pixels` does not take.
    """
    require_pixels(image)
    return plain_pixels(image).convert("L").resize(size, Resampling.LANCZOS)


def packed(bits: Bits) -> int:
    """Row by row, the first bit the most significant: as imagehash spells its hashes."""
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@cache
def library_versions(*packages: str) -> str:
    """For `HashAlgorithm.version`, e.g. `imagehash-4.3.2/scipy-1.17.1`."""
    return "/".join(f"{package}-{version(package)}" for package in packages)
