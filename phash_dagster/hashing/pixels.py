"""Brings decoded images to the two modes that hashes are computed from."""

import numpy as np
from PIL import Image

_TO_GREY = frozenset({"1", "LA"})
_TO_GREY_FROM_16_BITS = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_TO_RGB = frozenset({"RGBA", "RGBX", "CMYK", "YCbCr"})
_PALETTE = frozenset({"P", "PA"})


def plain_pixels(image: Image.Image) -> Image.Image:
    """The image in 8-bit grey (`L`) or 8-bit `RGB`, as the Rust `image` library sees its colours.

    Alpha is dropped without compositing, so a transparent pixel counts with the colour stored
    under it; a palette is looked up; 16-bit grey becomes (v + 128) // 257. Orientation and colour
    profile are ignored. An image already in one of the two modes is returned itself.

    Raises:
        ValueError: The mode has no such reading (floating point, Lab, HSV, premultiplied alpha).
    """
    mode = image.mode
    if mode in {"L", "RGB"}:
        return image
    if mode in _TO_GREY:
        return image.convert("L")
    if mode in _TO_RGB:
        return image.convert("RGB")
    if mode in _PALETTE:
        # By way of RGBA: a direct conversion would translate the transparency entry as well,
        # which fails or warns on entries that make no sense.
        return image.convert("RGBA").convert("RGB")
    if mode in _TO_GREY_FROM_16_BITS:
        return _high_bytes(image)
    raise ValueError(f"images of mode {mode} cannot be hashed; convert to L or RGB first")


def require_pixels(image: Image.Image) -> None:
    """Refuse what has no hash.

    Raises:
        ValueError: The image has no pixels.
    """
    if not image.width or not image.height:
        raise ValueError(f"an image of {image.width} x {image.height} pixels has no hash")


def _high_bytes(image: Image.Image) -> Image.Image:
    values = np.asarray(image).clip(0, 65_535).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
