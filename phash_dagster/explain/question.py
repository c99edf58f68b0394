"""What is asked about: an action, an account, a record or an image. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from phash_dagster.addresses import parse_address

Kind = Literal["action", "account", "record", "key", "cid"]
"""`key`: a record of an account that is named by its handle; `cid`: of an image or of a record."""

_NUMBER: Final = re.compile(r"#?([0-9]{1,18})", re.ASCII)
_DID: Final = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]+", re.ASCII)
_HANDLE: Final = re.compile(r"@?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_CID: Final = re.compile(r"[a-zA-Z0-9]{40,256}", re.ASCII)

_NO_HANDLES: Final = "{} is a handle, and handles change hands; write the account's DID"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about.

    Attributes:
        asked: What the person wrote.
        kind: What it is.
        value: AT URI, DID, CID, number of an action; for `key` collection and record key with a
            slash between.
    """

    asked: str
    kind: Kind
    value: str


def parse_question(text: str) -> Question:
    """Read what a person pastes: an AT URI, a page of bsky.app, a CID, a DID, an action's number.

    Raises:
        ValueError: It is none of these, or an account by its handle, which is not looked up.
    """
    asked = text.strip()
    if number := _NUMBER.fullmatch(asked):
        return Question(asked, "action", number[1])
    if _DID.fullmatch(asked):
        return Question(asked, "account", asked)
    if _CID.fullmatch(asked):
        return Question(asked, "cid", asked)
    if _HANDLE.fullmatch(asked):
        raise ValueError(_NO_HANDLES.format(asked))
    address = parse_address(asked)
    if address is None:
        raise ValueError(
            f"{asked!r} is none of what can be explained; write the at://did:… URI or the "
            "bsky.app address of a post, the did:… of an account, the CID of an image, or the "
            "number of an action"
        )
    if address.is_record and address.has_did:
        return Question(asked, "record", address.uri)
    if address.is_record:
        return Question(asked, "key", f"{address.collection}/{address.rkey}")
    if not address.has_did:
        raise ValueError(_NO_HANDLES.format(address.actor))
    return Question(asked, "account", address.actor)
