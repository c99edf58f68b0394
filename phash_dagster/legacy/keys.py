"""What the predecessor's Redis keys mean. Pure.

`phash:{cid}` holds the average hash of an image, 16 hexadecimal characters.
`claim:post:label:{uri}:{label}` and `claim:account:label:{did}:{label}` say that a label was given;
they expire after a week.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

PHASH: Final = "phash:"
CLAIM: Final = "claim:"

_HASH = re.compile(r"[0-9a-fA-F]{16}")
_CID = re.compile(r"[a-z0-9]{20,128}", re.IGNORECASE)
# No label that Ozone takes has white space or one of , ; ' " and none is known with a colon.
_LABEL = r"""(?P<label>[^\s,;'":]+)"""
_DID = r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"
_POST_CLAIM = re.compile(
    rf"claim:post:label:(?P<subject>at://{_DID}/[a-zA-Z0-9.-]+/[a-zA-Z0-9._:~-]+):{_LABEL}"
)
_ACCOUNT_CLAIM = re.compile(rf"claim:account:label:(?P<subject>{_DID}):{_LABEL}")


class Entry(NamedTuple):
    """One key of a Redis database."""

    key: str
    value: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LegacyHash:
    """An image's average hash."""

    blob_cid: str
    value: int


@dataclass(frozen=True, slots=True)
class LegacyClaim:
    """A label that was given to a post (AT URI) or an account (DID)."""

    subject: str
    label: str
    expires_at: datetime | None
    """When the predecessor would have forgotten it; None: never."""

    @property
    def did(self) -> str:
        """The account, or the author of the post."""
        return self.subject.removeprefix("at://").partition("/")[0]


@dataclass(slots=True)
class Sorted:
    """What entries turned out to be."""

    hashes: list[LegacyHash] = field(default_factory=list)
    claims: list[LegacyClaim] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Keys of the predecessor's kinds that are not as they should be."""
    others: int = 0
    """Keys of other kinds, such as its queue."""


def sort_entries(entries: Iterable[Entry]) -> Sorted:
    """Tell hashes and claims from each other and from everything else."""
    found = Sorted()
    for entry in entries:
        read = _hash(entry) or _claim(entry)
        if isinstance(read, LegacyHash):
            found.hashes.append(read)
        elif isinstance(read, LegacyClaim):
            found.claims.append(read)
        elif entry.key.startswith((PHASH, f"{CLAIM}post:label:", f"{CLAIM}account:label:")):
            found.unreadable.append(entry.key)
        else:
            found.others += 1
    return found


def _hash(entry: Entry) -> LegacyHash | None:
    cid = entry.key.removeprefix(PHASH)
    if cid == entry.key or not _CID.fullmatch(cid) or not _HASH.fullmatch(entry.value):
        return None
    return LegacyHash(cid, int(entry.value, 16))


def _claim(entry: Entry) -> LegacyClaim | None:
    match = _POST_CLAIM.fullmatch(entry.key) or _ACCOUNT_CLAIM.fullmatch(entry.key)
    return LegacyClaim(match["subject"], match["label"], entry.expires_at) if match else None
