"""Syntax of DIDs and CIDs as records carry them, and the check of bytes against a blob's CID."""

import hashlib
import re
from typing import Final

import libipld

from phash_dagster.images.model import ImageRejected, Outcome, excerpt

# The string formats `did` and `cid` of the atproto lexicon language. They admit no slash, question
# mark, hash sign, space or control character, so a valid one cannot leave its place in a URL.
_DID: Final = re.compile(r"did:[a-z]{1,32}:[a-zA-Z0-9._:%-]{0,2000}[a-zA-Z0-9._-]", re.ASCII)
_CID: Final = re.compile(r"[a-zA-Z0-9+=]{8,256}", re.ASCII)

_RAW: Final = 0x55
_SHA2_256: Final = 0x12


def is_did(text: str) -> bool:
    """Whether the text has the syntax of a DID of any method."""
    return _DID.fullmatch(text) is not None


def is_cid(text: str) -> bool:
    """Whether the text has the characters and length of a CID; it need not decode."""
    return _CID.fullmatch(text) is not None


def verify_cid(cid: str, data: bytes) -> None:
    """Check that bytes are those that a blob CID names: CIDv1, codec raw, sha2-256.

    Raises:
        ImageRejected: `cid_mismatch`; the bytes hash to something else, or the CID is not of the
            kind that blobs have, so that nothing can be checked against it.
    """
    expected = _blob_digest(cid)
    found = hashlib.sha256(data).digest()
    if found != expected:
        raise ImageRejected(
            Outcome.cid_mismatch,
            f"{len(data)} bytes have the sha2-256 {found.hex()}, but {cid} names {expected.hex()}",
        )


def _blob_digest(cid: str) -> bytes:
    try:
        parts = libipld.decode_cid(cid)
    except ValueError as error:
        raise ImageRejected(
            Outcome.cid_mismatch, f"{excerpt(cid)} is not a CID ({error})"
        ) from error
    multihash = parts["hash"]
    if (parts["version"], parts["codec"], multihash["code"]) != (1, _RAW, _SHA2_256):
        raise ImageRejected(
            Outcome.cid_mismatch,
            f"{excerpt(cid)} is not the CID of a blob (CIDv1, raw, sha2-256): version "
            f"{parts['version']}, codec {parts['codec']:#x}, hash {multihash['code']:#x}",
        )
    return bytes(multihash["digest"])
