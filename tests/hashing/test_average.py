import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from phash_dagster.hashing import AverageHash, LumaVariant, average, plain_pixels, to_hex
from phash_dagster.hashing.lanczos import FAST_MAX_SIDE, Grey, resize_exactly
from tests.hashing import reference
from tests.hashing.pictures import names, picture
from tests.hashing.strategies import grey_images

# Answers of the Rust crates image 0.25.8 and image_hasher 3.0.0 to the pixels of pictures.py.
GOLDEN = Path(__file__).with_name("golden.csv")


def hash_of(image: Image.Image, variant: LumaVariant = "float") -> str:
    return to_hex(AverageHash(variant).hash(image).value, 64)


def quality_of(grey: Grey) -> int:
    return AverageHash().hash(Image.fromarray(grey)).quality


def golden(column: str) -> dict[str, str]:
    with GOLDEN.open(newline="") as file:
        return {row["picture"]: row[column] for row in csv.DictReader(file)}


@pytest.mark.parametrize("variant", ["float", "integer"])
def test_generated_pictures_hash_as_the_rust_library_does(variant: LumaVariant) -> None:
    assert {name: hash_of(picture(name), variant) for name in names()} == golden(variant)


def shared_vectors(shared_dir: Path) -> list[tuple[Image.Image, dict[str, str]]]:
    folder = shared_dir / "data" / "hashes"
    with (folder / "average_hash_vectors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(Image.open(folder / "images" / row["file"]), row) for row in rows]


def test_captured_images_hash_as_the_rust_library_does(shared_dir: Path) -> None:
    vectors = shared_vectors(shared_dir)
    assert len(vectors) > 400
    for image, row in vectors:
        answers = (hash_of(image), hash_of(image, "integer"))
        assert answers == (row["pixel_hash"], row["pixel_hash_integer_luma"]), row["file"]


def test_captured_images_resize_to_the_levels_of_the_rust_library(shared_dir: Path) -> None:
    for image, row in shared_vectors(shared_dir)[::8]:
        grey = average._luma(plain_pixels(image), "float")
        if grey.shape != (8, 8):
            levels = average._round(resize_exactly(grey)).astype(np.uint8)
            assert levels.tobytes().hex() == row["resized_u8_hex"], row["file"]


@settings(max_examples=40, deadline=None)
@given(grey_images())
def test_the_hash_is_that_of_the_definition_written_out(grey: Grey) -> None:
    assert hash_of(Image.fromarray(grey)) == reference.average_hash(grey)


@pytest.mark.parametrize("level", [0, 1, 127, 128, 255])
def test_the_hash_of_a_single_colour_has_all_bits_set(level: int) -> None:
    assert hash_of(Image.new("L", (301, 200), level)) == "f" * 16


def test_the_first_cell_is_the_lowest_bit_of_the_first_byte() -> None:
    cells = np.zeros((8, 8), np.uint8)
    cells[0, 0] = cells[1, 7] = 200
    assert hash_of(Image.fromarray(cells)) == "0180000000000000"


def test_an_image_with_a_very_long_side_is_resized_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(grey: Grey) -> None:
        raise AssertionError("resize_fast was called")

    monkeypatch.setattr(average, "resize_fast", refuse)
    halves = np.zeros((2, FAST_MAX_SIDE + 1), np.uint8)
    halves[:, : FAST_MAX_SIDE // 2] = 250
    assert hash_of(Image.fromarray(halves)) == "0f" * 8


def test_an_uncertain_fast_result_is_decided_by_the_exact_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The mean is 100, so the first bit hangs on which way the first cell rounds.
    exact = np.full((8, 8), 100, np.float32)
    exact[0, :2] = 99.499, 101
    fast = exact.copy()
    fast[0, 0] = 99.501
    monkeypatch.setattr(average, "resize_fast", lambda _: fast)
    monkeypatch.setattr(average, "resize_exactly", lambda _: exact)
    assert hash_of(Image.new("L", (20, 20))) == "feffffffffffffff"


def test_transparent_pixels_count_with_the_colour_under_them() -> None:
    solid = picture("rings-64x48-rgb")
    veiled = solid.copy()
    veiled.putalpha(Image.new("L", solid.size, 0))
    assert hash_of(veiled) == hash_of(solid)


def test_grey_written_as_colour_hashes_the_same() -> None:
    grey = picture("rings-101x33-grey")
    assert hash_of(grey.convert("RGB")) == hash_of(grey)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        hash_of(Image.new("L", (0, 5)))


def test_threads_get_the_same_hashes() -> None:
    hasher = AverageHash()
    images = [picture(name) for name in names()]
    alone = [hasher.hash(image) for image in images]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(hasher.hash, images)) == alone


def test_each_variant_has_its_own_name() -> None:
    assert AverageHash().name == "average"
    assert AverageHash("integer").name == "average-integer"


def every_colour(red: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    green, blue = np.mgrid[:256, :256]
    return np.stack([np.full_like(green, red), green, blue], axis=-1).astype(np.uint8)


def test_integer_luma_is_exact_for_every_colour() -> None:
    for red in range(0, 256, 5):
        colours = every_colour(red)
        expected = (colours @ np.array([2126, 7152, 722])) // 10_000
        assert np.array_equal(average._luma(Image.fromarray(colours), "integer"), expected)


def test_float_luma_is_one_level_off_for_143_colours_only() -> None:
    weights = np.array([0x3E59C05B, 0x3F3715FC, 0x3D93CF75], np.uint32).view(np.float32)
    wrong: int = 0
    for red in range(256):
        colours = every_colour(red)
        scaled = colours * (np.float32(1) / np.float32(255)) * weights
        luma = (scaled[..., 0] + scaled[..., 1] + scaled[..., 2]) * np.float32(255)
        difference = average._luma(Image.fromarray(colours), "float") - np.floor(luma + 0.5)
        assert np.abs(difference).max() <= 1
        wrong += int(np.count_nonzero(difference))
    assert wrong <= 143


def test_the_quality_of_a_single_colour_is_zero() -> None:
    assert quality_of(np.full((90, 90), 77, np.uint8)) == 0


@pytest.mark.parametrize(
    "row", [np.arange(256), np.arange(256) // 128 * 255, np.arange(256) // 32 % 2 * 255]
)
def test_the_quality_of_a_gradient_a_split_and_stripes_is_zero(row: Grey) -> None:
    grey = np.tile(row.astype(np.uint8), (200, 1))
    assert quality_of(grey) == quality_of(np.ascontiguousarray(grey.T)) == 0


def test_the_quality_of_a_rich_picture_is_full() -> None:
    assert AverageHash().hash(picture("blocks-640x480-grey")).quality == 100


def test_the_quality_falls_with_the_contrast() -> None:
    rich = np.asarray(picture("blocks-640x480-grey")).astype(np.int64)
    faded = [quality_of((128 + (rich - 128) // by).astype(np.uint8)) for by in (1, 10, 40)]
    assert faded == sorted(faded, reverse=True)
    assert faded[-1] < 30
