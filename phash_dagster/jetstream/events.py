"""What Jetstream tells, decoded into rows of `image_posts`; the same for both wires.

Most events are posts without an image. The envelope is decoded by type, the record stays raw bytes
until it is known to matter, and nothing is built that is not kept.
"""

import re
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from phash_dagster.images.content_id import is_did
from phash_dagster.jetstream.records import ImageInRecord, images_in
from phash_dagster.jetstream.syntax import is_record_key, may_be_cid, repaired
from phash_dagster.warehouse import ImagePost, PostKind

MAX_CREATED_AT: Final = 64
"""Characters of a `createdAt` that is kept. The lexicon's format `datetime` allows 64."""


class MalformedFrameError(ValueError):
    """A frame is not a Jetstream event; the text tells what was found."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One Jetstream event and what the pipeline keeps of it.

    Attributes:
        time_us: When the host witnessed it, microseconds since 1970.
        seq: The host's sequence number, if it names one.
        key: Tells this event from others on the same host.
        is_post: Whether it is a record of a wanted collection.
        rows: Rows of `image_posts`; empty for most events.
        anomalies: What in it could not be understood, by short name.
        rev: Revision of the commit, a TID; empty for other kinds.
        sample: The AT URI the anomalies are about, or the key where there is none.
    """

    time_us: int
    seq: int | None
    key: str
    is_post: bool = False
    rows: tuple[ImagePost, ...] = ()
    anomalies: tuple[str, ...] = ()
    rev: str = ""
    sample: str = ""


class Source(NamedTuple):
    """What all events of a connection have in common.

    `host` is kept in the rows, since positions are local to it; records of `wanted` collections
    become rows.
    """

    host: str
    wanted: frozenset[str]


class Record(msgspec.Struct, gc=False):
    """The fields of a record that can show an image, of whatever type they are."""

    embed: Any = None
    avatar: Any = None
    banner: Any = None
    createdAt: Any = None  # noqa: N815 - the network's name


class Commit(Protocol):
    """A change of one record, as both wires tell it. Without a record, or with none that is an
    object, `record` is None."""

    operation: str
    collection: str
    rkey: str
    rev: str
    cid: str | None
    record: Record | None


class Account(msgspec.Struct, gc=False):
    """What became of an account."""

    active: bool
    status: str | None = None


# Looked up once: an enumeration's members are slow to reach.
_CREATE, _UPDATE, _DELETE = PostKind.CREATE.value, PostKind.UPDATE.value, PostKind.DELETE.value

_STATUS: Final = re.compile(r"[A-Za-z0-9._:#-]{1,100}")


def account_event(
    did: str, time_us: int, seq: int | None, account: Account, source: Source
) -> Event:
    """Decode the change of an account's status; `did`, `time_us` and `seq` are the event's."""
    status = "active" if account.active else account.status or "inactive"
    key = f"{did} account {status}"
    if not is_did(did):
        return _malformed_key(time_us, seq, key)
    anomalies: tuple[str, ...] = ()
    if not _STATUS.fullmatch(status):
        status, anomalies = "inactive", ("malformed_status",)
    row = ImagePost(
        time_us=time_us,
        seq=seq,
        host=source.host,
        did=did,
        collection=None,
        rkey=None,
        uri=f"at://{did}",
        cid=None,
        operation=f"account_{status}",
    )
    return Event(time_us, seq, key, rows=(row,), anomalies=anomalies, sample=row.uri)


def commit_event(did: str, time_us: int, seq: int | None, commit: Commit, source: Source) -> Event:
    """Decode the change of a record; `did`, `time_us` and `seq` are the event's."""
    operation, record = commit.operation, commit.record
    # Numbered events are told apart by their number.
    key = "" if seq is not None else _key(did, commit)
    if commit.collection not in source.wanted:
        return Event(time_us, seq, key, False, (), (), commit.rev)
    if operation == _CREATE:
        if record is not None and record.embed is None and record.avatar is record.banner is None:
            # Most of the network: a post without an image.
            return Event(time_us, seq, key, True, (), (), commit.rev)
    elif operation not in (_DELETE, _UPDATE):
        anomaly = f"unknown_operation:{operation[:100]}"
        sample = ascii(_key(did, commit)[:200])
        return Event(time_us, seq, key, False, (), (anomaly,), commit.rev, sample)
    if not (
        is_did(did)
        and is_record_key(commit.rkey)
        and (commit.cid is None or may_be_cid(commit.cid))
    ):
        return _malformed_key(time_us, seq, _key(did, commit))
    uri = f"at://{did}/{commit.collection}/{commit.rkey}"
    # By position: this is the hottest line of catching up.
    collection, rkey = commit.collection, commit.rkey
    bare = (time_us, seq, source.host, did, collection, rkey, uri, commit.cid, operation)
    rows, anomalies = _rows(bare, commit)
    return Event(time_us, seq, key, True, rows, anomalies, commit.rev, uri if anomalies else "")


def _key(did: str, commit: Commit) -> str:
    return f"{did} {commit.rev} {commit.operation} {commit.collection}/{commit.rkey}"


_Bare = tuple[int, int | None, str, str, str, str, str, str | None, str]
_Rows = tuple[tuple[ImagePost, ...], tuple[str, ...]]


def _rows(bare: _Bare, commit: Commit) -> _Rows:
    """The rows of a commit, and its anomalies; `bare` is a row without an image."""
    if commit.operation == _DELETE:
        return (ImagePost(*bare),), ()
    record = commit.record
    if record is None:
        images: tuple[ImageInRecord, ...] = ()
        anomalies: tuple[str, ...] = ("malformed_record",)
        created_at = None
    else:
        images, anomalies = images_in(commit.collection, record.embed, record.avatar, record.banner)
        created_at = record.createdAt if isinstance(record.createdAt, str) else None
        if created_at is not None and len(created_at) > MAX_CREATED_AT:
            created_at = None
            if images:
                anomalies = (*anomalies, "overlong_created_at")
    if not images and commit.operation == _UPDATE:
        # An update that drops the images must still be seen to supersede what was there.
        return (ImagePost(*bare),), anomalies
    return tuple([ImagePost(*bare, *image, created_at) for image in images]), anomalies


def _malformed_key(time_us: int, seq: int | None, key: str) -> Event:
    # Shortened and printable, since it is logged; such an event need not be told from another.
    name = ascii(key[:200])
    return Event(time_us, seq, name, anomalies=("malformed_key",), sample=name)


_decode_record: Final = msgspec.json.Decoder(Record).decode


def parse_record(raw: bytes) -> Record | None:
    """Read a record that is not as records should be; None if it is no object at all."""
    for text in (bytes, repaired):
        try:
            return _decode_record(text(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # damaged in a text, perhaps
    return None
