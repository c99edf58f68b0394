"""What a hash algorithm is, and what is done with its values."""

import re
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import __version__ as pillow_version
from PIL.Image import Image


class AlgorithmUnavailableError(ValueError):
    """A known algorithm cannot be used here; says what to install."""


@dataclass(frozen=True)
class HashValue:
    """The perceptual hash of one image.

    `value` is unsigned and as wide as the algorithm's `bits`; its hexadecimal text is the hash as
    rule files spell it. `quality` runs from 0, where the hash says nothing about the image (a
    single colour, stripes), to 100.
    """

    value: int
    quality: int


@runtime_checkable
class HashAlgorithm(Protocol):
    """A perceptual hash: similar images get values at a small Hamming distance.

    Implementations are called from several threads at once. `version` changes whenever the same
    pixels could give another value: it names the version of the arithmetic, and those of the
    packages that do it.
    """

    @property
    def name(self) -> str:
        """The name in settings, rules and the `algorithm` column."""

    @property
    def bits(self) -> int:
        """Width of the values: a multiple of 4 up to 64, or 128, 192 or 256."""

    @property
    def version(self) -> str:
        """Version of the arithmetic and of the packages behind it, e.g. `1/imagehash-4.3.2`."""

    def hash(self, image: Image) -> HashValue:
        """The hash of a decoded image, in any mode that `plain_pixels` takes."""


def hasher_version(algorithm: HashAlgorithm) -> str:
    """What decides a hash besides the file, e.g. `perceptual-1/imagehash-4.3.2/pillow-13.0.0`.

    The decoder counts: two versions of it may round the pixels of the same JPEG differently. The
    libraries within Pillow are not named; the golden images tell if one of them moves a hash.
    """
    return f"{algorithm.name}-{algorithm.version}/pillow-{pillow_version}"


def to_hex(value: int, bits: int) -> str:
    """Lower-case hexadecimal text of a hash, `bits` / 4 digits long.

    Raises:
        ValueError: The value does not fit into so many bits.
    """
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is not a hash of {bits} bits; allowed are 0 to 2**{bits} - 1")
    return f"{value:0{bits // 4}x}"


def parse_hex(text: str, bits: int) -> int:
    """The value of a hash written in hexadecimal; capitals are allowed.

    Raises:
        ValueError: The text is anything but `bits` / 4 hexadecimal digits.
    """
    digits = bits // 4
    if stray := re.search("[^0-9a-fA-F]", text):
        raise ValueError(
            f"{text!r} is not a hash: {stray[0]!r} at position {stray.start()} is not a "
            f"hexadecimal digit; write {digits} of 0-9 and a-f"
        )
    if len(text) != digits:
        raise ValueError(
            f"{text!r} has {len(text)} hexadecimal digits; a hash of {bits} bits has {digits}"
        )
    return int(text, 16)


def hamming_distance(a: int, b: int) -> int:
    """The number of bits in which two hashes of the same algorithm differ.

    Raises:
        ValueError: A value is negative; a hash that a database returned as signed must be
            made unsigned first.
    """
    if a < 0 or b < 0:
        raise ValueError(f"hashes are unsigned: {min(a, b)} is negative; add 2**bits to it")
    return (a ^ b).bit_count()
