"""Identifiers of the AT Protocol: making them, and checking that a text is one.

Rules: the protocol's specifications of DID, AT URI, NSID, TID and CID (atproto.com/specs).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import libipld

_RAW = 0x55
_DAG_CBOR = 0x71
_TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"

_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_NSID = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z0-9-]+)+\.[a-zA-Z][a-zA-Z0-9]*")
_AT_URI = re.compile(r"at://[a-zA-Z0-9._:%-]+(/[a-zA-Z0-9.-]+(/[a-zA-Z0-9._~:-]+)?)?")
_HANDLE = re.compile(
    r"([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
)
_RECORD_KEY = re.compile(r"[a-zA-Z0-9._:~-]{1,512}")
_URI = re.compile(r"[a-z][a-z.-]{0,80}:\S+")


def _cid(codec: int, content: bytes) -> str:
    multihash = b"\x12\x20" + hashlib.sha256(content).digest()
    return str(libipld.encode_cid(bytes([1, codec]) + multihash))


def blob_cid(data: bytes) -> str:
    """The CID of a blob: version 1, codec raw, sha2-256."""
    return _cid(_RAW, data)


def record_cid(record: Mapping[str, Any]) -> str:
    """The CID of a record given as JSON: version 1, sha2-256 of its DAG-CBOR form."""
    return _cid(_DAG_CBOR, libipld.encode_dag_cbor(_from_json(record)))


def _from_json(value: Any) -> Any:
    """JSON stands for links and bytes with `$link` and `$bytes`; DAG-CBOR has types for them."""
    if isinstance(value, Mapping):
        if set(value) == {"$link"} and is_cid(value["$link"]):
            return libipld.decode_multibase(value["$link"])[1]  # libipld links by binary CIDs
        if set(value) == {"$bytes"}:
            return base64.b64decode(value["$bytes"] + "==")
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_from_json(item) for item in value]
    return value


def plc_did(name: str) -> str:
    """A did:plc made from a name: the same name gives the same DID."""
    digest = hashlib.sha256(name.encode()).digest()
    return "did:plc:" + base64.b32encode(digest).decode().lower()[:24]


def tid(time_us: int, clock_id: int = 0) -> str:
    """The timestamp identifier of a moment in unix microseconds; it sorts by time."""
    number = (time_us << 10) | (clock_id & 0x3FF)
    return "".join(_TID_ALPHABET[(number >> shift) & 31] for shift in range(60, -1, -5))


def is_cid(text: object) -> bool:
    """Whether it is a CID in its text form."""
    try:
        return isinstance(text, str) and bool(libipld.decode_cid(text))
    except ValueError:
        return False


def is_did(text: str) -> bool:
    """Whether the text has the form of a DID."""
    return _DID.fullmatch(text) is not None


def is_nsid(text: str) -> bool:
    """Whether the text has the form of an NSID, such as a collection's name."""
    return _NSID.fullmatch(text) is not None


def is_actor(text: str) -> bool:
    """Whether the text has the form of a DID or of a handle."""
    return is_did(text) or _HANDLE.fullmatch(text) is not None


def is_record_key(text: str) -> bool:
    """Whether the text has the form of a record key, the last part of an AT URI."""
    return _RECORD_KEY.fullmatch(text) is not None and text not in (".", "..")


def is_at_uri(text: str) -> bool:
    """Whether the text has the form of an AT URI."""
    return _AT_URI.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    """Whether the text has the form of a URI of any scheme."""
    return _URI.fullmatch(text) is not None


def is_datetime(text: str) -> bool:
    """Whether the text is an RFC 3339 time with a zone."""
    try:
        return "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def authority(uri: str) -> str:
    """The DID or handle that an AT URI starts with."""
    return uri.removeprefix("at://").partition("/")[0]


def timestamp(moment: datetime) -> str:
    """The time in UTC as the servers write it, with milliseconds: `2026-01-02T03:04:05.678Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds(moment: datetime) -> int:
    """Unix time in microseconds."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
