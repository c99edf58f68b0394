import numpy as np
import pytest
from PIL import Image

from phash_dagster.hashing import plain_pixels


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_plain_images_are_returned_themselves(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    assert plain_pixels(image) is image


@pytest.mark.parametrize(
    ("mode", "colour", "plain", "expected"),
    [
        ("1", 1, "L", 255),
        ("LA", (90, 0), "L", 90),
        ("RGBA", (10, 20, 30, 0), "RGB", (10, 20, 30)),
        ("CMYK", (0, 255, 0, 0), "RGB", (255, 0, 255)),
        ("YCbCr", (200, 128, 128), "RGB", (200, 200, 200)),
    ],
)
def test_other_modes_become_grey_or_colour(
    mode: str, colour: int | tuple[int, ...], plain: str, expected: int | tuple[int, ...]
) -> None:
    pixels = plain_pixels(Image.new(mode, (2, 2), colour))
    assert (pixels.mode, pixels.getpixel((0, 0))) == (plain, expected)


@pytest.mark.parametrize("dtype", [np.dtype(np.uint16), np.dtype(np.int32)])
def test_sixteen_bits_are_rounded_to_eight(dtype: np.dtype[np.uint16 | np.int32]) -> None:
    values = np.array([[0, 128, 129, 385, 386, 65_535]]).astype(dtype)
    assert np.asarray(plain_pixels(Image.fromarray(values))).tolist() == [[0, 0, 1, 1, 2, 255]]


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0])])
def test_a_palette_is_looked_up_whatever_is_transparent(transparency: int | bytes | None) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([1, 2, 3, 70, 80, 90])
    if transparency is not None:
        image.info["transparency"] = transparency
    pixels = plain_pixels(image)
    assert (pixels.mode, pixels.getpixel((0, 0))) == ("RGB", (70, 80, 90))


def test_a_mode_without_a_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="mode F cannot be hashed; convert to L or RGB"):
        plain_pixels(Image.new("F", (2, 2)))
