"""Which algorithm made a list is told from images whose hash in it is known."""

import csv
from pathlib import Path

import pytest

from phash_dagster.hashing import HashAlgorithm, built_in_algorithms, get_algorithm, to_hex
from phash_dagster.images.calibrate import (
    Agreement,
    KnownPair,
    Verdict,
    agreements,
    read_pairs,
    verdict,
)
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.files import HashResult, ImageHasher, UnhashedImage
from phash_dagster.images.golden import __file__ as golden_file

GOLDEN = Path(golden_file).parent


def golden_pairs(algorithm: str) -> list[KnownPair]:
    with (GOLDEN / "expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        KnownPair(str(GOLDEN / row["file"]), row["hash"])
        for row in rows
        if row["algorithm"] == algorithm
    ]


def results(pairs: list[KnownPair]) -> list[tuple[HashResult, ...]]:
    hasher = ImageHasher(built_in_algorithms(), DecodeLimits())
    return [(hasher.hash_bytes(pair.image, Path(pair.image).read_bytes()),) for pair in pairs]


@pytest.mark.parametrize("name", [algorithm.name for algorithm in built_in_algorithms()])
def test_the_algorithm_that_made_a_list_is_found(name: str) -> None:
    pairs = golden_pairs(name)
    found = agreements(pairs, results(pairs), built_in_algorithms())
    assert found[0].algorithm == name
    assert found[0].identical == found[0].pairs == len(pairs)
    assert verdict(found) == Verdict(name, f"The list was made by {name}.")


@pytest.mark.parametrize("name", ["average", "average-integer"])
def test_the_variant_of_the_rust_librarys_hashes_is_found(name: str, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "hashes"
    column = {"average": "pixel_hash", "average-integer": "pixel_hash_integer_luma"}[name]
    with (folder / "average_hash_vectors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::20]
    pairs = [KnownPair(str(folder / "images" / row["file"]), row[column]) for row in rows]
    algorithms = [get_algorithm("average"), get_algorithm("average-integer")]
    assert verdict(agreements(pairs, results(pairs), algorithms)).algorithm == name


def test_a_decoder_one_bit_off_now_and_then_hides_nothing() -> None:
    pairs = golden_pairs("average")
    pairs[3] = KnownPair(pairs[3].image, f"{int(pairs[3].hash, 16) ^ 4:016x}")
    found = agreements(pairs, results(pairs), built_in_algorithms())
    assert (found[0].algorithm, found[0].pairs - found[0].identical) == ("average", 1)
    assert verdict(found).algorithm == "average"


def test_a_list_by_something_else_is_not_claimed() -> None:
    pairs = [KnownPair(pair.image, "0123456789abcdef") for pair in golden_pairs("average")]
    decision = verdict(agreements(pairs, results(pairs), built_in_algorithms()))
    assert decision == Verdict(None, "None of these algorithms made the list.")


def agreement(name: str, identical: int, pairs: int = 20) -> Agreement:
    return Agreement(name, pairs, identical, pairs, pairs - identical)


def test_images_on_which_two_variants_agree_do_not_decide() -> None:
    decision = verdict([agreement("average", 20), agreement("average-integer", 20)])
    assert decision.algorithm is None
    assert "average and average-integer" in decision.text


def test_few_pairs_decide_with_a_warning() -> None:
    decision = verdict([agreement("average", 4, 4), agreement("average-integer", 3, 4)])
    assert decision.algorithm == "average"
    assert "4 pairs are few" in decision.text


def test_images_that_cannot_be_hashed_and_records_of_several_are_left_out() -> None:
    algorithms: list[HashAlgorithm] = [get_algorithm("average")]
    pair = golden_pairs("average")[0]
    [found] = results([pair])
    three = [pair, pair, pair]
    table = agreements(three, [found, (UnhashedImage("x", "gone"),), (*found, *found)], algorithms)
    assert [each.pairs for each in table] == [1]
    assert verdict(agreements([pair], [()], algorithms)).text == "No pair could be compared."


def test_pairs_are_read_with_paths_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    hash_text = to_hex(7, 64)
    path.write_text(
        f"image,hash\na.png,{hash_text.upper()}\n\nhttps://x.example/b.png , {hash_text * 4}\n"
    )
    assert read_pairs(path) == [
        KnownPair(str(tmp_path / "a.png"), hash_text),
        KnownPair("https://x.example/b.png", hash_text * 4),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pair"),
        ("image,hash\n", "no pair"),
        ("a.png,0000000000000000\na.png\n", "line 2 is not"),
        ("a.png,123\n", "line 1 is not"),
        ("a.png,000000000000000g\n", "line 1 is not"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pairs(path)


def test_a_field_too_long_for_csv_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("a" * 200_000)
    with pytest.raises(ValueError, match="it is not CSV: field larger than"):
        read_pairs(path)
