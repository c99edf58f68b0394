"""What the fields of a rule may hold. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

DEFAULT_ALGORITHM: Final = "average"
"""The hash algorithm of rules that name none."""

WIDE_BITS: Final = 256
"""Width of the wide hashes that are matched, such as PDQ's."""

MATCHED_BITS: Final = frozenset({64, WIDE_BITS})
"""Widths of the hashes that are matched. Rules with others are refused: they would do nothing."""

WIDE_THRESHOLD: Final = 31
"""Bits in which wide hashes may differ where a rule says nothing: what the authors of PDQ advise
(facebook/ThreatExchange, pdq/README.md). `PHASH_HAMMING_THRESHOLD` is for 64 bits."""

STORED: Final = "stored"
"""Context of a validation that reads what was checked when it was stored: algorithms that are no
longer installed are taken as they are."""

MOST: Final = 1_000_000
"""Largest number of actions a day that a rule may be given."""

LONGEST_DAYS: Final = 36_500
"""A hundred years: the largest age in days."""

LONGEST_LABEL: Final = 128
"""Bytes in UTF-8: `val` of com.atproto.label.defs#label."""

LONGEST_COMMENT: Final = 10_000
"""Characters, of up to four bytes each: well below the 100 kB that Ozone takes as a body."""


def _printable(text: str) -> str:
    """Refuse NUL and other control characters, zero-width ones, and those that turn text around."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be seen")
    return text


def _short_label(label: str) -> str:
    if len(label.encode()) > LONGEST_LABEL:
        raise ValueError(f"is longer than {LONGEST_LABEL} bytes")
    return label


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Values in order, each where it first stands."""
    return tuple(dict.fromkeys(values))


def none_is_empty(value: object) -> object:
    """Read null as an empty list."""
    return () if value is None else value


def _not_allowed(allowed: str) -> PydanticCustomError:
    """An error whose message is what is allowed instead."""
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


@cache
def hash_bits(algorithm: str) -> int | None:
    """Width of an algorithm's hashes; None if no such algorithm is installed."""
    if algorithm == DEFAULT_ALGORITHM:
        return 64
    # Imported here: it brings the decoders, and most rules need only the default.
    from phash_dagster.hashing import get_algorithm

    try:
        return get_algorithm(algorithm).bits
    except ValueError:
        return None


def _matched(algorithm: str, info: ValidationInfo) -> str:
    if info.context == STORED:
        return algorithm
    bits = hash_bits(algorithm)
    if bits in MATCHED_BITS:
        return algorithm
    from phash_dagster.hashing import algorithm_names

    names = ", ".join(name for name in algorithm_names() if hash_bits(name) in MATCHED_BITS)
    raise _not_allowed(f"one of {names}{_why_not(algorithm, bits)}")


def _why_not(algorithm: str, bits: int | None) -> str:
    """What is wrong with an algorithm that exists; nothing if there is none of this name."""
    from phash_dagster.hashing import AlgorithmUnavailableError, get_algorithm

    if bits is not None:
        return f" (hashes of {bits} bits are not matched)"
    try:
        get_algorithm(algorithm)
    except AlgorithmUnavailableError as error:
        return f" ({error})"
    except ValueError:
        pass
    return ""


def _bits(info: ValidationInfo) -> int | None:
    """Width of the hashes of the rule being read; None if it is not known."""
    if info.context == STORED or "algorithm" not in info.data:
        return None
    return hash_bits(info.data["algorithm"])


def _full_length(text: str, info: ValidationInfo) -> str:
    bits = _bits(info)
    if bits is not None and len(text) * 4 != bits:
        raise _not_allowed(f"{bits // 4} hexadecimal characters (0-9, a-f)")
    return text


def full_length_samples(samples: "Samples", info: ValidationInfo) -> "Samples":
    """Refuse samples that cannot be hashes of the rule's algorithm."""
    for text in (*samples.match, *samples.no_match):
        _full_length(text, info)
    return samples


def _within_the_hash(threshold: int, info: ValidationInfo) -> int:
    bits = _bits(info)
    if bits is not None and threshold > bits:
        raise _not_allowed(f"a whole number from 0 to {bits}")
    return threshold


def _not_among_phashes(text: str, info: ValidationInfo) -> str:
    if text in info.data.get("phashes", ()):
        raise _not_allowed("a hash that is not among the rule's own phashes")
    return text


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")


def _end(value: object) -> object:
    """The instant from which on a date, or a date with a time, is over."""
    if value is None or isinstance(value, datetime):
        return value
    text = value.upper() if isinstance(value, str) else ""
    try:
        if _DATE.fullmatch(text):
            midnight = datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
            return midnight + timedelta(days=1)
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no date: {error}") from error
    raise ValueError("is neither a date nor a date with a time and an offset")


Algorithm = Annotated[str, AfterValidator(_matched)]
Threshold = Annotated[int, Field(strict=True, ge=0, le=WIDE_BITS), AfterValidator(_within_the_hash)]
HexText = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{64})\z", to_lower=True),
]
HexHash = Annotated[HexText, AfterValidator(_full_length)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Days = Annotated[int, Field(strict=True, ge=1, le=LONGEST_DAYS)]
Expiry = Annotated[
    datetime | None,
    BeforeValidator(_end),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
                {"type": "null"},
            ]
        }
    ),
]
# Ozone refuses labels with a space or one of , ; ' " and no label has use for other white space.
Token = Annotated[str, StringConstraints(pattern=r"""\A[^\s,;'"]+\z"""), AfterValidator(_printable)]
Label = Annotated[Token, AfterValidator(_short_label)]
# PostgreSQL, which may hold the ledger, stores no NUL.
Comment = Annotated[str, StringConstraints(max_length=LONGEST_COMMENT, pattern=r"\A[^\x00]*\z")]
# https://atproto.com/specs/did#at-protocol-did-identifier-syntax
Did = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, pattern=r"\Adid:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]\z"
    ),
]
LexiconReference = Annotated[str, StringConstraints(pattern=r"\A[a-zA-Z0-9.-]+#[a-zA-Z]+\z")]


class Samples(BaseModel):
    """Hashes that show what a rule is meant to find, and what not."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    match: tuple[HexText, ...] = ()
    """Hashes of images that the rule must match."""
    no_match: tuple[HexText, ...] = Field((), alias="noMatch")
    """Hashes of images that the rule must not match."""


Hashes = Annotated[tuple[HexHash, ...], AfterValidator(each_once)]
ExceptHashes = Annotated[
    tuple[Annotated[HexHash, AfterValidator(_not_among_phashes)], ...], AfterValidator(each_once)
]
