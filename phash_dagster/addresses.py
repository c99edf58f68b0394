"""Addresses as people paste them: DIDs, AT URIs, and pages of bsky.app. Pure.

Sources: the atproto specifications of DID, handle, AT URI and record key.
"""

import re
from dataclasses import dataclass
from typing import Final

LIST_COLLECTION: Final = "app.bsky.graph.list"
"""Collection of the records that are lists of accounts."""

POST_COLLECTION: Final = "app.bsky.feed.post"
"""Collection of the records that are posts."""

_DID: Final = re.compile(r"did:(?!plc:)[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]|did:plc:[a-z2-7]{24}")
_ACTOR: Final = r"(?P<actor>did:[a-z]+:[A-Za-z0-9._:%-]+|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"
_RKEY: Final = r"(?P<rkey>[A-Za-z0-9._:~-]{1,512})"
_AT_URI: Final = re.compile(rf"at://{_ACTOR}(?:/(?P<collection>[A-Za-z0-9.-]+)(?:/{_RKEY})?)?/?")
_PAGE: Final = re.compile(
    rf"https?://(?:www\.)?bsky\.app/profile/{_ACTOR}(?:/(?P<kind>post|lists)/{_RKEY})?/?(?:[?#].*)?"
)
_COLLECTIONS: Final = {"post": POST_COLLECTION, "lists": LIST_COLLECTION}


@dataclass(frozen=True, slots=True)
class Address:
    """An account, or a record of it if it has a collection and a record key."""

    actor: str
    """DID or handle."""
    collection: str | None = None
    rkey: str | None = None

    @property
    def has_did(self) -> bool:
        """Whether the account is named by its DID, not by a handle, which can change hands."""
        return self.actor.startswith("did:")

    @property
    def is_record(self) -> bool:
        """Whether it names a record."""
        return self.rkey is not None

    @property
    def uri(self) -> str:
        """The AT URI."""
        parts = (self.actor, self.collection, self.rkey)
        return "at://" + "/".join(part for part in parts if part is not None)


def is_whole_did(text: str) -> bool:
    """Whether it is a DID; one of did:plc must have all its 24 characters."""
    return _DID.fullmatch(text) is not None


def parse_address(text: str) -> Address | None:
    """Read an AT URI or the address of a page of bsky.app; None if it is neither."""
    if found := _AT_URI.fullmatch(text):
        return Address(found["actor"], found["collection"], found["rkey"])
    if found := _PAGE.fullmatch(text):
        kind = found["kind"]
        return Address(found["actor"], _COLLECTIONS[kind] if kind else None, found["rkey"])
    return None
