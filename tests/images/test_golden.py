"""The golden images tell if a library moved a hash."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, features

from phash_dagster.hashing import average, built_in_algorithms, pdq
from phash_dagster.images import golden
from phash_dagster.images.decode import DecodedImage, DecodeLimits, decode
from phash_dagster.images.golden import check_golden, library_versions
from tests.images.make_golden import EXPECTATIONS, FOLDER, IMAGES

needs_pdq = pytest.mark.skipif("pdq" not in {a.name for a in built_in_algorithms()}, reason="pdq")
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The golden images, to tamper with."""
    return shutil.copytree(FOLDER, tmp_path / "golden")


def test_no_hash_has_moved() -> None:
    report = check_golden()
    assert report.moved == ()
    assert report.compared > 100


@needs_pdq
@needs_avif
def test_every_image_is_compared_by_every_algorithm() -> None:
    report = check_golden()
    assert report.skipped == ()
    assert report.compared == len(IMAGES) * len(built_in_algorithms())


def test_every_golden_image_is_expected_and_small() -> None:
    images = {path for path in FOLDER.iterdir() if path.suffix not in {".py", ".csv", ".json"}}
    assert {path.name for path in images if path.is_file()} == set(IMAGES)
    assert sum(path.stat().st_size for path in images if path.is_file()) < 250_000


def change(path: Path, edit: Callable[[str], str]) -> None:
    path.write_text(edit(path.read_text()))


def test_a_moved_hash_is_told_with_its_distance(copy: Path) -> None:
    with (copy / "expected.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["algorithm"] == "average")
    other = f"{int(row['hash'], 16) ^ 0b101:016x}"
    change(copy / "expected.csv", lambda text: text.replace(row["hash"], other, 1))
    [moved] = check_golden(copy).moved
    assert (moved.file, moved.algorithm, moved.distance) == (row["file"], "average", 2)
    assert str(moved) == (
        f"average of {row['file']} moved by 2 of 64 bits: {other} is now {row['hash']}"
    )


def test_a_file_that_no_longer_decodes_is_told(copy: Path) -> None:
    path = copy / "png_rgb.png"
    path.write_bytes(path.read_bytes()[:900])
    moved = check_golden(copy).moved
    assert {each.file for each in moved} == {"png_rgb.png"}
    assert len(moved) == len(built_in_algorithms())
    assert "png_rgb.png has no average hash any more: corrupt" in str(moved[0])
    assert moved[0].distance == 64


def test_a_decoder_that_rounds_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lighter(data: bytes, limits: DecodeLimits) -> DecodedImage:
        """One level more in every third pixel."""
        found = decode(data, limits)
        mask = Image.new("L", found.image.size)
        for x in range(0, mask.width, 3):
            mask.paste(255, (x, 0, x + 1, mask.height))
        up = found.image.point(lambda level: min(level + 1, 255))
        found.image.paste(up, mask=mask)
        return found

    monkeypatch.setattr(golden, "decode", lighter)
    moved = check_golden().moved
    assert len({each.file for each in moved if each.algorithm == "average"}) >= 8


def test_an_algorithm_that_computes_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = average._LUMA
    monkeypatch.setattr(
        average, "_LUMA", {"float": weights["integer"], "integer": weights["integer"]}
    )
    moved = check_golden().moved
    assert {each.algorithm for each in moved} == {"average"}


def test_what_cannot_be_compared_here_is_told_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    monkeypatch.setattr(pdq, "find_spec", lambda _: None)
    report = check_golden()
    assert report.moved == ()
    assert any("pdq" in each for each in report.skipped)
    assert any("avif_420.avif" in each for each in report.skipped)


def test_the_libraries_whose_version_changed_are_named(copy: Path) -> None:
    versions = {**library_versions(), "pillow": "11.0", "gone": "1"}
    change(copy / "versions.json", lambda _: json.dumps(versions))
    changed = check_golden(copy).changed_versions
    assert changed == ("gone 1 -> none", f"pillow 11.0 -> {library_versions()['pillow']}")


def test_the_expectations_name_what_they_were_made_with() -> None:
    assert all((FOLDER / name).is_file() for name in EXPECTATIONS)
    with (FOLDER / "expected.csv").open() as file:
        assert all("/pillow-" in row["hasher_version"] for row in csv.DictReader(file))
