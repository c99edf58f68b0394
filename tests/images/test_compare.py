from PIL import Image

from phash_dagster.hashing import AverageHash, HashAlgorithm, HashValue, PerceptualHash
from phash_dagster.images.compare import compared, parsed_hash
from phash_dagster.images.files import HashedImage, NamedHash

BOTH: list[HashAlgorithm] = [AverageHash(), PerceptualHash()]


class Wide:
    name, bits, version = "wide", 256, "1"

    def hash(self, image: Image.Image) -> HashValue:
        raise AssertionError("hashes are given")


def image(average: str, perceptual: str, *, quality: int = 90, source: str = "a") -> HashedImage:
    hashes = (
        NamedHash("average", average, quality),
        NamedHash("perceptual", perceptual, 90),
    )
    return HashedImage(source, hashes, 1, 1, "png")


ZEROS, FOUR, MANY = "0" * 16, f"{'0' * 15}f", "f" * 16


def test_each_algorithm_has_its_distance_and_its_usual_threshold() -> None:
    assert list(compared([image(ZEROS, ZEROS)], [image(FOUR, FOUR)], BOTH)) == [
        "average            4 of 64 bits; no match at the usual threshold of 3",
        "perceptual         4 of 64 bits; match at the usual threshold of 10",
    ]


def test_a_hash_of_low_quality_is_doubted() -> None:
    [line, _] = compared([image(ZEROS, ZEROS, quality=4)], [image(ZEROS, ZEROS)], BOTH)
    assert line.endswith("match at the usual threshold of 3; low quality (4 of 100)")


def test_an_algorithm_without_a_usual_threshold_has_its_distance_alone() -> None:
    algorithm = Wide()
    a = HashedImage("a", (NamedHash("wide", "0" * 64, 99),), 1, 1, "png")
    assert list(compared([a], [a], [algorithm])) == ["wide               0 of 256 bits"]


def test_every_pair_of_several_images_is_named() -> None:
    two = [image(ZEROS, ZEROS), image(MANY, MANY, source="b")]
    lines = list(compared(two, [image(ZEROS, ZEROS, source="c")], BOTH[:1]))
    assert lines[::2] == ["a  c", "b  c"]


def test_a_hash_stands_for_all_algorithms_of_its_length() -> None:
    given = parsed_hash("00FF" * 4, [*BOTH, Wide()])
    assert given is not None
    assert {each.algorithm: each.hash for each in given.hashes} == {
        "average": "00ff" * 4,
        "perceptual": "00ff" * 4,
    }


def test_what_is_not_hexadecimal_or_of_another_length_is_no_hash() -> None:
    assert [parsed_hash(text, BOTH) for text in ("00ff", "g" * 16, "0" * 20, "a.png")] == [None] * 4


def test_hashes_of_different_lengths_have_nothing_in_common() -> None:
    algorithms: list[HashAlgorithm] = [*BOTH, Wide()]
    short, long = (parsed_hash("0" * n, algorithms) for n in (16, 64))
    assert short
    assert long
    assert list(compared([short], [long], algorithms)) == []
