"""Images: decided by their seed, far apart by hash, and near to their own alterations."""

import io
import itertools
from collections.abc import Callable

import pytest
from PIL import Image, UnidentifiedImageError

from phash_dagster.hashing import AverageHash, hamming_distance
from phash_dagster.sandbox import images
from phash_dagster.sandbox.cdn import render

SEEDS = range(12)
THRESHOLD = 3
FAR = 10


def _hash(image: Image.Image) -> int:
    return AverageHash().hash(image).value


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    photos = [images.photo(seed) for seed in SEEDS]
    return [*photos, *(images.meme(100 + seed, f"MEME {seed}\nINDEED") for seed in SEEDS)]


def test_the_same_seed_gives_the_same_image() -> None:
    assert images.encode(images.photo(5), "PNG") == images.encode(images.photo(5), "PNG")


def test_hashes_of_different_seeds_are_far_apart(pictures: list[Image.Image]) -> None:
    hashes = [_hash(picture) for picture in pictures]

    assert min(hamming_distance(a, b) for a, b in itertools.combinations(hashes, 2)) >= FAR


@pytest.mark.parametrize("name", images.ALTERATIONS)
def test_an_altered_image_is_still_recognised_from_the_cdn(
    pictures: list[Image.Image], name: str
) -> None:
    alter = images.ALTERATIONS[name]

    distances = [_distance_from_cdn(picture, alter) for picture in pictures]

    assert max(distances) <= THRESHOLD


def _distance_from_cdn(picture: Image.Image, alter: Callable[[Image.Image], Image.Image]) -> int:
    served = render(images.encode(alter(picture), quality=60), "jpeg", 2000)
    assert served is not None
    with Image.open(io.BytesIO(served)) as image:
        return hamming_distance(_hash(picture), _hash(image.convert("RGB")))


@pytest.mark.parametrize("name", images.ALTERATIONS)
def test_an_alteration_gives_another_file(name: str) -> None:
    picture = images.photo(1)

    assert images.encode(images.ALTERATIONS[name](picture)) != images.encode(picture)


def test_a_size_can_be_chosen() -> None:
    assert images.photo(1, (1200, 900)).size == (1200, 900)


def test_a_truncated_file_opens_but_does_not_decode() -> None:
    data = images.truncated(images.encode(images.photo(1)))

    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_an_svg_is_no_image_of_pixels() -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(images.svg(1)))
