from pathlib import Path

import pytest
from PIL import Image

from phash_dagster.hashing import (
    AlgorithmUnavailableError,
    AverageHash,
    DifferenceHash,
    HashAlgorithm,
    HashValue,
    PerceptualHash,
    algorithm_names,
    built_in_algorithms,
    get_algorithm,
    hasher_version,
)

PLUGIN = """
from phash_dagster.hashing import HashValue

class Corner:
    name = "corner"
    bits = 8
    version = "1"

    def hash(self, image):
        return HashValue(image.convert("L").getpixel((0, 0)), 100)

class Rude(Corner):
    name = "rude"
    found = HashValue(1, 100)

    def hash(self, image):
        image.thumbnail((1, 1))
        return self.found

class Odd(Corner):
    name = "odd"
    bits = 100

class Usurper(Corner):
    name = "average"

def nothing():
    return None
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that brings algorithms of its own."""
    (tmp_path / "corner_hash_plugin.py").write_text(PLUGIN)
    info = tmp_path / "corner_hash_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: corner-hash-plugin\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[phash_dagster.hash_algorithms]\n"
        "corner = corner_hash_plugin:Corner\n"
        "average = corner_hash_plugin:Usurper\n"
        "broken = corner_hash_plugin:nothing\n"
        "misnamed = corner_hash_plugin:Corner\n"
        "odd = corner_hash_plugin:Odd\n"
        "rude = corner_hash_plugin:Rude\n"
        "missing = corner_hash_plugin:Missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_built_in_algorithms_are_found_by_name() -> None:
    assert get_algorithm("average") == AverageHash("float")
    assert get_algorithm("average-integer") == AverageHash("integer")
    assert get_algorithm("perceptual") == PerceptualHash()
    assert get_algorithm("difference") == DifferenceHash()


def test_the_algorithms_of_this_package_are_listed_as_far_as_they_can_be_used() -> None:
    names = [algorithm.name for algorithm in built_in_algorithms()]
    assert [name for name in names if name != "pdq"] == [
        "average",
        "average-integer",
        "difference",
        "perceptual",
    ]
    assert set(names) <= set(algorithm_names())
    assert all(isinstance(algorithm, HashAlgorithm) for algorithm in built_in_algorithms())


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'avrage'; known: average, average-integer"):
        get_algorithm("avrage")


@pytest.mark.usefixtures("plugin")
def test_an_installed_package_adds_an_algorithm() -> None:
    assert get_algorithm("corner").bits == 8
    assert "corner" in algorithm_names()
    assert hasher_version(get_algorithm("corner")).startswith("corner-1/pillow-")


@pytest.mark.usefixtures("plugin")
def test_a_package_cannot_replace_a_built_in_algorithm() -> None:
    assert isinstance(get_algorithm("average"), AverageHash)


@pytest.mark.usefixtures("plugin")
def test_a_package_that_registers_no_algorithm_is_named() -> None:
    with pytest.raises(TypeError, match=r"corner_hash_plugin:nothing .* returns NoneType"):
        get_algorithm("broken")


@pytest.mark.usefixtures("plugin")
def test_a_package_that_registers_under_another_name_is_refused() -> None:
    with pytest.raises(TypeError, match="'misnamed' but calls itself 'corner'"):
        get_algorithm("misnamed")


@pytest.mark.usefixtures("plugin")
def test_a_package_whose_hashes_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="hashes of 100 bits cannot be stored"):
        get_algorithm("odd")


@pytest.mark.usefixtures("plugin")
def test_a_package_that_does_not_load_says_so() -> None:
    with pytest.raises(AlgorithmUnavailableError, match=r"corner_hash_plugin:Missing, .* not load"):
        get_algorithm("missing")


@pytest.mark.usefixtures("plugin")
def test_an_algorithm_of_a_package_cannot_change_the_image_for_the_others() -> None:
    image = Image.new("L", (20, 10))
    assert get_algorithm("rude").hash(image) == HashValue(1, 100)
    assert image.size == (20, 10)


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    "found",
    [
        HashValue(256, 0),
        HashValue(-1, 0),
        HashValue(0, 101),
        HashValue(0, -1),
        HashValue(0, 0.5),  # type: ignore[arg-type]
        HashValue("00", 0),  # type: ignore[arg-type]
    ],
)
def test_what_an_algorithm_of_a_package_returns_is_checked(
    found: HashValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = get_algorithm("rude")
    monkeypatch.setattr("corner_hash_plugin.Rude.found", found)
    with pytest.raises((ValueError, TypeError)):
        algorithm.hash(Image.new("L", (8, 8)))
