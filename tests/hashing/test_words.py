import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.hashing.words import check_bits, from_words, to_words

widths = st.sampled_from((4, 8, 64, 128, 192, 256))


@st.composite
def hashes(draw: st.DrawFn) -> tuple[int, int]:
    """A value and its width."""
    bits = draw(widths)
    return draw(st.integers(0, 2**bits - 1)), bits


@given(hashes())
def test_a_hash_survives_being_cut_into_words(drawn: tuple[int, int]) -> None:
    value, bits = drawn
    words = to_words(value, bits)
    assert from_words(words) == value
    assert len([word for word in words if word is not None]) == max(1, bits // 64)


@given(hashes(), st.data())
def test_the_bits_that_differ_are_those_of_the_words(
    drawn: tuple[int, int], data: st.DataObject
) -> None:
    value, bits = drawn
    other = data.draw(st.integers(0, 2**bits - 1))
    pairs = zip(to_words(value, bits), to_words(other, bits), strict=True)
    assert (value ^ other).bit_count() == sum(
        (a ^ b).bit_count() for a, b in pairs if a is not None and b is not None
    )


@given(st.integers(0, 2**256 - 1))
def test_the_words_are_the_hexadecimal_text_cut_in_four(value: int) -> None:
    text = f"{value:064x}"
    assert to_words(value, 256) == tuple(int(text[at : at + 16], 16) for at in (0, 16, 32, 48))


def test_a_hash_of_64_bits_has_one_word() -> None:
    assert to_words(7, 64) == (7, None, None, None)


@pytest.mark.parametrize("bits", [0, -64, 3, 63, 65, 100, 257, 320])
def test_a_width_that_cannot_be_stored_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"hashes of {bits} bits cannot be stored"):
        check_bits(bits)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_value_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="not a hash of 64 bits"):
        to_words(value, 64)


@pytest.mark.parametrize("words", [(), (None, None), (1, None, 3, None), (None, 1)])
def test_words_with_a_gap_are_no_hash(words: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match="not the words of a hash"):
        from_words(words)


@pytest.mark.parametrize("word", [-1, 2**64])
def test_what_is_no_unsigned_word_is_refused(word: int) -> None:
    with pytest.raises(ValueError, match="not an unsigned integer of 64 bits"):
        from_words((word, 1))
