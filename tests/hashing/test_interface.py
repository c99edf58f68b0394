import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.hashing import (
    AverageHash,
    HashAlgorithm,
    hamming_distance,
    hasher_version,
    parse_hex,
    to_hex,
)

hashes = st.integers(0, 2**64 - 1)


@given(hashes)
def test_a_hash_survives_being_written_and_read(value: int) -> None:
    assert parse_hex(to_hex(value, 64), 64) == value


@given(hashes, hashes)
def test_the_distance_is_the_number_of_different_binary_digits(a: int, b: int) -> None:
    pairs = zip(f"{a:064b}", f"{b:064b}", strict=True)
    assert hamming_distance(a, b) == sum(one != other for one, other in pairs)


def test_hexadecimal_text_keeps_leading_zeros() -> None:
    assert to_hex(1, 64) == "0000000000000001"
    assert to_hex(0, 256) == "0" * 64


def test_capitals_are_read() -> None:
    assert parse_hex("00FF00FF00FF00FF", 64) == 0x00FF00FF00FF00FF


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("07870707", "has 8 hexadecimal digits; a hash of 64 bits has 16"),
        ("", "has 0 hexadecimal digits"),
        ("0x87070707070707", "'x' at position 1 is not a hexadecimal digit"),
        ("0787070707070_07", "'_' at position 13"),
        ("0787070707070707\n", r"'\\n' at position 16"),
        ("078707070707070\u0661", "at position 15"),
    ],
)
def test_what_is_not_a_hash_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hex(text, 64)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_value_that_does_not_fit_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="not a hash of 64 bits"):
        to_hex(value, 64)


def test_a_distance_to_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="-5 is negative"):
        hamming_distance(3, -5)


def test_the_hasher_version_names_algorithm_and_decoder() -> None:
    assert hasher_version(AverageHash()) == f"average-1/pillow-{PIL.__version__}"


def test_the_average_hash_is_a_hash_algorithm() -> None:
    assert isinstance(AverageHash(), HashAlgorithm)
