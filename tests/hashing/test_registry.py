from pathlib import Path

import pytest

from phash_dagster.hashing import AverageHash, algorithm_names, get_algorithm

PLUGIN = """
from phash_dagster.hashing import HashValue

class Corner:
    name = "corner"
    bits = 8
    version = "1"

    def hash(self, image):
        return HashValue(image.convert("L").getpixel((0, 0)), 100)

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
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_built_in_algorithms_are_found_by_name() -> None:
    assert get_algorithm("average") == AverageHash("float")
    assert get_algorithm("average-integer") == AverageHash("integer")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'avrage'; known: average, average-integer"):
        get_algorithm("avrage")


@pytest.mark.usefixtures("plugin")
def test_an_installed_package_adds_an_algorithm() -> None:
    assert get_algorithm("corner").bits == 8
    assert "corner" in algorithm_names()


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
