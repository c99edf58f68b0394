"""PDQ, where its package is installed."""

from importlib import import_module
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

from phash_dagster.hashing import (
    AlgorithmUnavailableError,
    HashAlgorithm,
    algorithm_names,
    built_in_algorithms,
    get_algorithm,
    hamming_distance,
    hasher_version,
    pdq,
    to_hex,
)
from tests.hashing.pictures import names, picture


@pytest.fixture
def algorithm() -> HashAlgorithm:
    pytest.importorskip("pdqhash", reason="the extra pdq is not installed")
    return get_algorithm("pdq")


def theirs(image: Image.Image) -> tuple[str, int]:
    """As the package threatexchange spells it: pdq_hasher.py."""
    vector, quality = import_module("pdqhash").compute(np.asarray(image.convert("RGB")))
    digits = "".join(str(bit) for bit in vector)
    return f"{int(digits, 2):064x}", quality


def test_the_hexadecimal_text_is_the_usual_one_of_64_digits(algorithm: HashAlgorithm) -> None:
    for name in names():
        image = picture(name)
        found = algorithm.hash(image)
        assert (to_hex(found.value, 256), found.quality) == theirs(image), name


def test_grey_and_transparent_images_hash_as_their_colours(algorithm: HashAlgorithm) -> None:
    grey = picture("rings-257x129-grey")
    veiled = grey.convert("RGB")
    veiled.putalpha(Image.new("L", grey.size, 0))
    assert algorithm.hash(grey) == algorithm.hash(grey.convert("RGB")) == algorithm.hash(veiled)


def test_a_changed_image_stays_near_and_another_is_far(algorithm: HashAlgorithm) -> None:
    image, other = picture("blocks-640x480-rgb"), picture("rings-640x480-rgb")
    value = algorithm.hash(image).value
    assert hamming_distance(value, algorithm.hash(image.resize((500, 375))).value) <= 31
    assert hamming_distance(value, algorithm.hash(other).value) > 80


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (4, 4)])
def test_a_tiny_image_has_no_quality(algorithm: HashAlgorithm, size: tuple[int, int]) -> None:
    found = algorithm.hash(Image.new("RGB", size, (9, 99, 200)))
    assert (found.value, found.quality) == (0, 0)


def test_an_image_without_pixels_is_refused(algorithm: HashAlgorithm) -> None:
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        algorithm.hash(Image.new("L", (0, 5)))


def test_the_version_of_the_package_counts(algorithm: HashAlgorithm) -> None:
    assert hasher_version(algorithm).startswith(f"pdq-1/pdqhash-{version('pdqhash')}/pillow-")


def test_without_its_package_the_name_is_known_and_asking_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdq, "find_spec", lambda _: None)
    assert "pdq" in algorithm_names()
    assert "pdq" not in {algorithm.name for algorithm in built_in_algorithms()}
    with pytest.raises(AlgorithmUnavailableError, match=r"uv sync --extra pdq.*needs g") as caught:
        get_algorithm("pdq")
    assert isinstance(caught.value, ValueError)
