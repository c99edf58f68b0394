"""Syntax of the keys that events carry. What stands in a row goes on into ids, URLs and SQL.

Source: the string format `record-key` of the atproto lexicon language.
"""

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
