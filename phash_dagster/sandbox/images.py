"""Images made by procedure: photos, memes, and the ways in which people alter them.

Everything is decided by a seed, so that tests and the demo need no image files. Photos differ in
their coarsest structure, which is what perceptual hashes see; alterations leave that structure
alone.
"""

import io
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

Format = Literal["JPEG", "PNG", "WEBP"]
Size = tuple[int, int]
"""Width and height in pixels."""

DEFAULT_SIZE: Size = (640, 480)
_OCTAVES = ((24, 0.16), (64, 0.07))
"""Cells across the picture and strength of each finer layer of a photo's texture."""

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)

Grey = npt.NDArray[np.float32]


def photo(seed: int, size: Size = DEFAULT_SIZE) -> Image.Image:
    """A picture that looks somewhat like a blurred photo: patches of light, texture and colour."""
    random = np.random.default_rng([seed, 1])
    light = _patches(random, size)
    for cells, strength in _OCTAVES:
        light = light + strength * _noise(random, size, cells)
    tint = np.dstack([0.5 * _noise(random, size, 5) for _ in range(3)])
    tint -= (tint @ _LUMA)[..., np.newaxis]  # colour without brightness
    colours = (light[..., np.newaxis] + tint) * 80 + 122
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    _draw_shapes(image, random)
    return image


def meme(seed: int, text: str, size: Size = DEFAULT_SIZE) -> Image.Image:
    """A photo with a bar of text above and below."""
    image = photo(seed, size)
    draw = ImageDraw.Draw(image)
    width, height = size
    bar = height // 8
    font = ImageFont.load_default(bar * 0.6)
    first, _, second = text.partition("\n")
    for top, line in ((0, first), (height - bar, second or first)):
        draw.rectangle((0, top, width, top + bar), fill="white")
        draw.text((width / 2, top + bar / 2), line, fill="black", font=font, anchor="mm")
    return image


def encode(image: Image.Image, format: Format = "JPEG", quality: int = 85) -> bytes:  # noqa: A002
    """The image as a file; `quality` is 1 to 100 and means nothing to PNG."""
    data = io.BytesIO()
    image.save(data, format=format, quality=quality)
    return data.getvalue()


def reencoded(image: Image.Image, quality: int = 40) -> Image.Image:
    """What is left after a trip through a JPEG of that quality."""
    with Image.open(io.BytesIO(encode(image, quality=quality))) as opened:
        return opened.convert("RGB")


def resized(image: Image.Image, scale: float = 0.6) -> Image.Image:
    """The image at another size."""
    return image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
    )


def cropped(image: Image.Image, fraction: float = 0.005) -> Image.Image:
    """The image without this fraction of each side."""
    dx, dy = round(image.width * fraction), round(image.height * fraction)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def brightened(image: Image.Image, factor: float = 1.05) -> Image.Image:
    """The image lighter, or darker for a factor below 1."""
    return ImageEnhance.Brightness(image).enhance(factor)


def watermarked(image: Image.Image, text: str = "@reposter") -> Image.Image:
    """The image with a small text in its corner."""
    copy = image.copy()
    font = ImageFont.load_default(image.height / 24)
    position = (image.width * 0.98, image.height * 0.98)
    ImageDraw.Draw(copy).text(position, text, fill="white", font=font, anchor="rb")
    return copy


ALTERATIONS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "reencoded": reencoded,
    "resized": resized,
    "enlarged": lambda image: resized(image, 1.3),
    "cropped": cropped,
    "brightened": brightened,
    "darkened": lambda image: brightened(image, 0.9),
    "watermarked": watermarked,
}
"""Alterations after which a known image must still be recognised."""


def truncated(data: bytes, fraction: float = 0.5) -> bytes:
    """The beginning of a file, as a broken upload leaves it."""
    return data[: int(len(data) * fraction)]


def svg(seed: int) -> bytes:
    """An image that is not made of pixels."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<circle cx="50" cy="50" r="{10 + seed % 40}"/><!-- {seed} --></svg>'
    ).encode()


def _patches(random: np.random.Generator, size: Size) -> Grey:
    """Light and dark patches on a coarse grid, kept away from the mean so that hashes are stable.

    An average hash compares the mean brightness of each cell of an 8 by 8 grid with the mean of
    the whole; a cell near it would flip with the slightest change.
    """
    cells = np.where(random.permutation(64).reshape(8, 8) % 2 == 0, 1.0, -1.0)
    cells *= random.uniform(0.8, 1.2, (8, 8))
    return _enlarged(cells.astype(np.float32), size, Image.Resampling.BICUBIC)


def _noise(random: np.random.Generator, size: Size, cells: int) -> Grey:
    rows = max(2, cells * size[1] // size[0])
    grid = random.uniform(-1, 1, (rows, cells)).astype(np.float32)
    return _enlarged(grid, size, Image.Resampling.BILINEAR)


def _enlarged(grid: Grey, size: Size, method: Image.Resampling) -> Grey:
    return np.asarray(Image.fromarray(grid).resize(size, method), dtype=np.float32)


def _draw_shapes(image: Image.Image, random: np.random.Generator) -> None:
    """A few thin outlines: detail that compression has to work on and hashes do not see."""
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = random.uniform(0, image.width), random.uniform(0, image.height)
        radius = random.uniform(0.03, 0.12) * image.height
        colour = tuple(int(value) for value in random.integers(0, 255, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=2)
