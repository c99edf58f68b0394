"""Syntax of what events carry. What stands in a row goes on into ids, URLs and SQL.

Source: the string format `record-key` of the atproto lexicon language.
"""

import json
import re
from typing import Final

_RECORD_KEY: Final = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_CID: Final = re.compile(r"[!-~]{1,256}")


def is_record_key(text: str) -> bool:
    """Whether the text may be the last part of an AT URI."""
    return _RECORD_KEY.fullmatch(text) is not None and text not in (".", "..")


def may_be_cid(text: str) -> bool:
    """Whether the text is printable ASCII without spaces and no longer than a CID.

    Less than a CID's syntax: a blob that cannot be fetched by its CID still gets an outcome.
    """
    return _CID.fullmatch(text) is not None


def repaired(text: bytes) -> bytes:
    """The text as valid JSON in valid UTF-8, if it is JSON at all.

    Bytes that are no UTF-8, or half a surrogate pair, which authors can put into a text, are no
    reason to lose a post.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deep.
    """
    parsed = json.loads(text.decode("utf-8", "replace"))
    return json.dumps(parsed, ensure_ascii=False).encode("utf-8", "replace")


_TID_DIGITS: Final = {
    digit: value for value, digit in enumerate("234567abcdefghijklmnopqrstuvwxyz")
}
_TID_LENGTH: Final = 13


def tid_microseconds(text: str) -> int | None:
    """The time in a TID, such as the revision of a commit, in microseconds since 1970.

    A TID is 13 characters of base32, sortable: 53 bits of time, then 10 bits that tell writers
    apart (the atproto specification of record keys).
    """
    if len(text) != _TID_LENGTH:
        return None
    number = 0
    for character in text:
        digit = _TID_DIGITS.get(character)
        if digit is None:
            return None
        number = number << 5 | digit
    return number >> 10
