"""PDQ, the 256-bit hash of Meta's ThreatExchange, by the optional package pdqhash."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import numpy as np
from PIL.Image import Image

from phash_dagster.hashing.interface import AlgorithmUnavailableError, HashValue
from phash_dagster.hashing.pixels import plain_pixels, require_pixels
from phash_dagster.hashing.shrink import library_versions

_BITS: Final = 256


@dataclass(frozen=True)
class PdqHash:
    """256 bits of a cosine transform, as `threatexchange` computes them.

    The first bit that pdqhash returns is the most significant, so that the hexadecimal text is the
    usual one of 64 digits. The image is hashed at its full size, which is what PDQ's Python tools
    do; its C++ tool shrinks large images to 512 by 512 first and may get other bits.

    `quality` is PDQ's own, from 0 to 100: it sums gradients. Its authors take two hashes within 31
    bits for the same image, and advise against hashes of quality 49 or less (facebook/
    ThreatExchange, pdq/README.md). Images with a side below 5 pixels have quality and hash 0.

    Raises:
        AlgorithmUnavailableError: pdqhash is not installed.
    """

    def __post_init__(self) -> None:
        if find_spec("pdqhash") is None:
            raise AlgorithmUnavailableError(
                "the hash algorithm pdq needs the package pdqhash; install it with "
                "`uv sync --extra pdq`, which needs g++ and the Python headers"
            )

    @property
    def name(self) -> str:
        """`pdq`."""
        return "pdq"

    @property
    def bits(self) -> int:
        """256."""
        return _BITS

    @property
    def version(self) -> str:
        """Ours, and that of the package."""
        return f"1/{library_versions('pdqhash')}"

    def hash(self, image: Image) -> HashValue:
        """The hash of an image and its quality; safe to call from several threads.

        Raises:
            ValueError: The image has no pixels, or a mode that `plain_pixels` does not take.
        """
        require_pixels(image)
        pixels = np.asarray(plain_pixels(image).convert("RGB"))
        bits, quality = import_module("pdqhash").compute(pixels)
        value = int.from_bytes(np.packbits(bits.astype(np.bool_)).tobytes(), "big")
        return HashValue(value, int(quality))
