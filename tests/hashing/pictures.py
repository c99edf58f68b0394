"""Pictures made by integer arithmetic alone: the same bytes on every machine and NumPy version."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.int64]

SIZES = (
    (1, 1),
    (1, 37),
    (37, 1),
    (5, 7),
    (8, 8),
    (8, 9),
    (9, 8),
    (17, 13),
    (64, 48),
    (101, 33),
    (257, 129),
    (640, 480),
)
"""Width and height: smaller than the 8x8 grid, exactly it, odd, and ordinary."""


def noise(x: Plane, y: Plane) -> Plane:
    mixed = (x * 73_856_093) ^ (y * 19_349_663) ^ ((x + 3) * (y + 7) * 83_492_791)
    return (mixed >> 7) & 255


def gradient(x: Plane, y: Plane) -> Plane:
    return (x * 3 + y * 2) * 255 // max(1, int(x.max() * 3 + y.max() * 2))


def stripes(x: Plane, y: Plane) -> Plane:
    return (x * 8 // (int(x.max()) + 1)) % 2 * 120 + 60 + y * 0


def rings(x: Plane, y: Plane) -> Plane:
    dx, dy = x - int(x.max()) // 3, y - int(y.max()) // 2
    return (dx * dx + dy * dy) // 11 % 256


def near_flat(x: Plane, y: Plane) -> Plane:
    return 182 + noise(x, y) % 3 - 1


def blocks(x: Plane, y: Plane) -> Plane:
    return noise(x * 6 // (int(x.max()) + 1), y * 5 // (int(y.max()) + 1))


_KINDS: dict[str, Callable[[Plane, Plane], Plane]] = {
    kind.__name__: kind for kind in (noise, gradient, stripes, rings, near_flat, blocks)
}


def picture(name: str) -> Image.Image:
    """The picture of a name such as `rings-101x33-rgb` (or `-grey`)."""
    kind, size, colour = name.split("-")
    width, height = map(int, size.split("x"))
    y, x = np.mgrid[:height, :width].astype(np.int64)
    pattern = _KINDS[kind]
    red = pattern(x, y)
    if colour == "grey":
        return Image.fromarray(red.astype(np.uint8))
    planes = (red, (pattern(x[:, ::-1], y) * 5 + 40) // 6, (pattern(x, y[::-1]) * 3 + 255) // 4)
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def names() -> Iterator[str]:
    for kind in _KINDS:
        for width, height in SIZES:
            for colour in ("grey", "rgb"):
                yield f"{kind}-{width}x{height}-{colour}"
