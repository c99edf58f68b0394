"""`perceptual` and `difference` spell the hashes of imagehash, so that lists can be exchanged."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from phash_dagster.hashing import (
    DifferenceHash,
    HashAlgorithm,
    PerceptualHash,
    hasher_version,
    perceptual,
    plain_pixels,
    to_hex,
)
from tests.hashing.pictures import names, picture
from tests.hashing.strategies import seeds, sides

PAIRS: list[tuple[HashAlgorithm, Callable[[Image.Image], imagehash.ImageHash]]] = [
    (PerceptualHash(), imagehash.phash),
    (DifferenceHash(), imagehash.dhash),
]
both = pytest.mark.parametrize(("algorithm", "theirs"), PAIRS, ids=lambda each: str(each)[:10])
each_algorithm = pytest.mark.parametrize("algorithm", [PerceptualHash(), DifferenceHash()])


def text(algorithm: HashAlgorithm, image: Image.Image) -> str:
    return to_hex(algorithm.hash(image).value, algorithm.bits)


@both
def test_the_hexadecimal_text_is_that_of_imagehash(
    algorithm: HashAlgorithm, theirs: Callable[[Image.Image], imagehash.ImageHash]
) -> None:
    for name in names():
        image = picture(name)
        assert text(algorithm, image) == str(theirs(image)), name


@both
def test_captured_images_hash_as_with_imagehash(
    algorithm: HashAlgorithm,
    theirs: Callable[[Image.Image], imagehash.ImageHash],
    shared_dir: Path,
) -> None:
    for path in sorted((shared_dir / "data" / "hashes" / "images").iterdir())[::3]:
        with Image.open(path) as image:
            assert text(algorithm, image) == str(theirs(plain_pixels(image))), path.name


@both
@given(sides, sides, seeds, st.sampled_from((0, 1, 3, 255)), st.sampled_from(("L", "RGB")))
def test_any_image_hashes_as_with_imagehash(
    algorithm: HashAlgorithm,
    theirs: Callable[[Image.Image], imagehash.ImageHash],
    width: int,
    height: int,
    seed: int,
    spread: int,
    mode: str,
) -> None:
    shape = (height, width) if mode == "L" else (height, width, 3)
    noise = np.random.default_rng(seed).integers(0, spread + 1, shape)
    image = Image.fromarray(noise.astype(np.uint8))
    assert text(algorithm, image) == str(theirs(image))


@pytest.mark.parametrize("mode", ["1", "LA", "RGBA", "P", "CMYK"])
@both
def test_other_modes_hash_as_with_imagehash(
    algorithm: HashAlgorithm, theirs: Callable[[Image.Image], imagehash.ImageHash], mode: str
) -> None:
    image = picture("rings-257x129-rgb").convert(mode)
    assert text(algorithm, image) == str(theirs(image))


def test_the_first_cell_of_a_difference_hash_is_the_highest_bit() -> None:
    cells = np.zeros((8, 9), np.uint8)
    cells[0, 1] = 9
    assert text(DifferenceHash(), Image.fromarray(cells)) == "8000000000000000"


def test_a_perceptual_hash_whose_bits_are_certain_needs_no_imagehash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(grey: Image.Image) -> None:
        raise AssertionError("imagehash was asked")

    monkeypatch.setattr(perceptual, "_by_imagehash", refuse)
    PerceptualHash().hash(picture("noise-257x129-rgb"))
    with pytest.raises(AssertionError):
        PerceptualHash().hash(Image.new("L", (50, 50), 3))


@each_algorithm
def test_sixteen_bits_hash_as_their_upper_eight(algorithm: HashAlgorithm) -> None:
    grey = picture("rings-101x33-grey")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert algorithm.hash(wide) == algorithm.hash(grey)


@each_algorithm
def test_an_image_without_pixels_is_refused(algorithm: HashAlgorithm) -> None:
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        algorithm.hash(Image.new("L", (0, 5)))


@each_algorithm
def test_threads_get_the_same_hashes(algorithm: HashAlgorithm) -> None:
    images = [picture(name) for name in names()]
    alone = [algorithm.hash(image) for image in images]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(algorithm.hash, images)) == alone


def test_the_versions_of_the_libraries_count() -> None:
    found = hasher_version(DifferenceHash())
    assert found.startswith(f"difference-1/imagehash-{version('imagehash')}/pillow-")
    assert f"/scipy-{version('scipy')}/" in hasher_version(PerceptualHash())


@each_algorithm
@pytest.mark.parametrize(
    "pixels",
    [
        np.full((80, 90), 77),
        np.tile(np.arange(256), (200, 1)),
        np.tile(np.arange(256)[:, np.newaxis], (1, 200)),
        np.tile(np.arange(256) // 128 * 255, (200, 1)),
        np.tile(np.arange(256) // 32 % 2 * 255, (200, 1)),
    ],
    ids=["flat", "gradient", "falling", "split", "stripes"],
)
def test_the_quality_of_flat_and_striped_images_is_low(
    algorithm: HashAlgorithm, pixels: np.ndarray[tuple[int, int], np.dtype[np.int64]]
) -> None:
    assert algorithm.hash(Image.fromarray(pixels.astype(np.uint8))).quality < 10


@each_algorithm
def test_the_quality_of_a_rich_picture_is_high(algorithm: HashAlgorithm) -> None:
    assert algorithm.hash(picture("blocks-640x480-rgb")).quality > 50
