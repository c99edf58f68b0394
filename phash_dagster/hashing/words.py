"""Hashes as 64-bit words, which is how tables hold them: SQL has no wider unsigned integer.

`hash` is the first word and `hash_2`, `hash_3` and `hash_4` the rest, most significant first, null
where the hash is not that wide.
"""

from collections.abc import Sequence
from typing import Final

WORD_BITS: Final = 64
MAX_WORDS: Final = 4

Words = tuple[int, int | None, int | None, int | None]
"""The columns `hash`, `hash_2`, `hash_3` and `hash_4`."""

_MASK = (1 << WORD_BITS) - 1


def check_bits(bits: int) -> None:
    """Refuse a width that does not fit.

    Raises:
        ValueError: It is neither a multiple of 4 up to 64 nor 128, 192 or 256.
    """
    step = 4 if bits <= WORD_BITS else WORD_BITS
    if not 0 < bits <= WORD_BITS * MAX_WORDS or bits % step:
        raise ValueError(
            f"hashes of {bits} bits cannot be stored; a width is a multiple of 4 up to 64, "
            "or 128, 192 or 256"
        )


def to_words(value: int, bits: int) -> Words:
    """The words of a hash.

    Raises:
        ValueError: The width cannot be stored, or the value does not fit into it.
    """
    check_bits(bits)
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is not a hash of {bits} bits; allowed are 0 to 2**{bits} - 1")
    first, *rest = (
        value >> shift & _MASK for shift in reversed(range(0, max(bits, WORD_BITS), WORD_BITS))
    )
    second, third, fourth = [*rest, None, None, None][: MAX_WORDS - 1]
    return first, second, third, fourth


def from_words(words: Sequence[int | None]) -> int:
    """The hash of these words, in the order of the columns; nulls end it.

    Raises:
        ValueError: There is no word, a null stands before a word, or a word is none.
    """
    present = [word for word in words if word is not None]
    if not present or list(words[: len(present)]) != present:
        raise ValueError(f"{tuple(words)} are not the words of a hash: nulls come last, if any")
    value = 0
    for word in present:
        if not 0 <= word <= _MASK:
            raise ValueError(f"{word} is not an unsigned integer of {WORD_BITS} bits")
        value = value << WORD_BITS | word
    return value
