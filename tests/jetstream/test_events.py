"""Decoding v1 frames into rows."""

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream import Event, MalformedFrameError, decode_event
from phash_dagster.warehouse.image_posts import SCHEMA
from tests.jetstream.frames import (
    CID,
    DID,
    HOST,
    POSTS,
    RECORD_CID,
    TIME_US,
    account,
    blob,
    commit,
    encode,
    images_embed,
    post_record,
)


def decode(frame: object) -> Event:
    return decode_event(encode(frame), host=HOST, wanted=POSTS)


def test_a_post_with_an_image_becomes_a_row() -> None:
    event = decode(commit(post_record(images_embed(blob()))))
    [row] = event.rows
    assert row.uri == f"at://{DID}/app.bsky.feed.post/3mptbxs3hq22j"
    assert (row.cid, row.blob_cid, row.position) == (RECORD_CID, CID, 0)
    assert (row.time_us, row.host, row.operation) == (TIME_US, HOST, "create")
    assert row.created_at == "2026-07-04T14:37:36Z"


def test_a_post_without_images_leaves_no_row() -> None:
    event = decode(commit(post_record()))
    assert event.is_post
    assert event.rows == ()


def test_a_collection_that_is_not_wanted_leaves_no_row() -> None:
    event = decode(commit(post_record(images_embed(blob())), collection="app.bsky.feed.like"))
    assert not event.is_post
    assert event.rows == ()


def test_a_delete_is_a_row_without_image() -> None:
    [row] = decode(commit(operation="delete")).rows
    assert (row.operation, row.blob_cid, row.cid) == ("delete", None, None)


def test_an_update_that_drops_its_images_is_still_a_row() -> None:
    [row] = decode(commit(post_record(), operation="update")).rows
    assert (row.operation, row.blob_cid, row.cid) == ("update", None, RECORD_CID)


@pytest.mark.parametrize(
    ("frame", "operation"),
    [
        (account(active=True), "account_active"),
        (account(active=False, status="takendown"), "account_takendown"),
        (account(active=False), "account_inactive"),
    ],
)
def test_an_account_event_carries_its_status(frame: dict[str, Any], operation: str) -> None:
    [row] = decode(frame).rows
    assert (row.operation, row.did, row.blob_cid) == (operation, DID, None)


def test_the_sequence_number_of_newer_hosts_is_kept() -> None:
    assert decode(commit(post_record(images_embed(blob())), cursor=77)).rows[0].seq == 77


@pytest.mark.parametrize(
    "frame",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"did":1}', b'{"kind":"commit"}', b'"text"', b"null"],
)
def test_a_frame_that_is_no_event_is_refused_with_what_was_found(frame: bytes) -> None:
    with pytest.raises(MalformedFrameError, match=r"not a Jetstream event"):
        decode_event(frame, host=HOST, wanted=POSTS)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedFrameError, match="time_us"):
        decode(commit(post_record(), time_us=-1))


@pytest.mark.parametrize("record", [None, [], "x"])
def test_a_malformed_record_is_an_anomaly_and_not_an_error(record: object) -> None:
    assert decode(commit(record)).anomalies == ("malformed_record",)


def test_an_unknown_kind_of_event_is_passed_over() -> None:
    assert decode({"did": DID, "time_us": TIME_US, "kind": "sync"}).rows == ()


@given(st.binary(max_size=60))
def test_any_bytes_are_an_event_or_a_malformed_frame(frame: bytes) -> None:
    with contextlib.suppress(MalformedFrameError):
        decode_event(frame, host=HOST, wanted=POSTS)


@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_deep_nesting_is_survived(depth: int) -> None:
    frame = encode(commit({"embed": 1})).replace(
        b'"embed": 1', b'"x": ' + b"[" * depth + b"]" * depth
    )
    with contextlib.suppress(MalformedFrameError):
        decode_event(frame, host=HOST, wanted=POSTS)


def test_half_a_surrogate_pair_in_the_text_does_not_hide_the_images() -> None:
    frame = encode(commit({**post_record(images_embed(blob())), "text": "\ud83d"}))
    assert decode_event(frame, host=HOST, wanted=POSTS).rows[0].blob_cid == CID


def test_bytes_that_are_no_utf8_do_not_hide_the_images() -> None:
    frame = encode(commit({**post_record(images_embed(blob())), "text": "HERE"}))
    [row] = decode_event(frame.replace(b"HERE", b"\xff"), host=HOST, wanted=POSTS).rows
    assert row.blob_cid == CID


def test_bytes_that_are_no_utf8_beside_half_a_surrogate_pair_do_not_hide_them_either() -> None:
    frame = encode(commit({**post_record(images_embed(blob())), "text": "\ud83dHERE"}))
    [row] = decode_event(frame.replace(b"HERE", b"\xff"), host=HOST, wanted=POSTS).rows
    assert row.blob_cid == CID


@pytest.mark.parametrize("cursor", [-1, 2**63, 10**30])
def test_a_sequence_number_that_no_column_holds_is_refused(cursor: int) -> None:
    with pytest.raises(MalformedFrameError):
        decode(commit(post_record(images_embed(blob())), cursor=cursor))


BAD_DIDS = ["", "aaaa", "did:plc:", "did:plc:a\nb", "did:plc:a\0", "did:plc:a b", "did:plc:a/b"]


@pytest.mark.parametrize("did", BAD_DIDS)
@pytest.mark.parametrize("frame", [commit(operation="delete"), account(active=False)])
def test_an_event_of_what_is_no_did_leaves_no_row(frame: dict[str, Any], did: str) -> None:
    event = decode({**frame, "did": did})
    assert (event.rows, event.anomalies) == ((), ("malformed_key",))


@pytest.mark.parametrize("operation", ["create", "delete"])
@pytest.mark.parametrize("rkey", ["", ".", "..", "a/b", "a\nb", "a\0b", "x" * 513])
def test_an_event_of_what_is_no_record_key_leaves_no_row(rkey: str, operation: str) -> None:
    event = decode(commit(post_record(images_embed(blob())), operation=operation, rkey=rkey))
    assert (event.rows, event.anomalies) == ((), ("malformed_key",))
    assert event.key.isprintable()


@pytest.mark.parametrize("cid", ["", "a\0b", "a\nb", "x" * 257])
def test_a_record_with_what_is_no_cid_leaves_no_row(cid: str) -> None:
    frame = commit(post_record(images_embed(blob())))
    frame["commit"]["cid"] = cid
    event = decode(frame)
    assert (event.rows, event.anomalies) == ((), ("malformed_key",))


def test_an_account_status_that_is_no_word_is_kept_as_inactive() -> None:
    event = decode(account(active=False, status="x\0y"))
    assert event.rows[0].operation == "account_inactive"
    assert event.anomalies == ("malformed_status",)


json_strings = st.text(max_size=8) | st.sampled_from([DID, "did:plc:\0", "create", "a\n", CID])


@given(
    did=json_strings,
    rkey=json_strings,
    cid=json_strings,
    blob_cid=json_strings,
    cursor=st.none() | st.integers(-(2**70), 2**70),
    noise=st.binary(max_size=6),
)
def test_every_row_of_any_event_can_be_stored(
    did: str, rkey: str, cid: str, blob_cid: str, cursor: int | None, noise: bytes
) -> None:
    record = {**post_record(images_embed(blob(blob_cid), blob())), "text": "HERE"}
    frame = commit(record, rkey=rkey, cursor=cursor)
    frame["did"], frame["commit"]["cid"] = did, cid
    try:
        text = encode(frame).replace(b"HERE", noise)
        event = decode_event(text, host=HOST, wanted=POSTS)
    except MalformedFrameError:
        return
    pa.Table.from_pylist([row._asdict() for row in event.rows], schema=SCHEMA)
    for row in event.rows:
        assert all(str(key).isprintable() for key in (row.uri, row.cid, row.blob_cid))


def test_real_events_decode_without_loss(shared_dir: Path) -> None:
    lines = (shared_dir / "data/jetstream/v1_events.jsonl").read_bytes().splitlines()
    frames = [json.loads(line) for line in lines]
    events = [decode_event(line, host=HOST, wanted=POSTS) for line in lines]

    assert [event.time_us for event in events] == [frame["time_us"] for frame in frames]
    posts = [f for f in frames if f.get("commit", {}).get("collection") in POSTS]
    assert sum(event.is_post for event in events) == len(posts)
    operations = Counter(row.operation for event in events for row in event.rows)
    assert operations["delete"] == 1
    assert sum(operations[name] for name in operations if name.startswith("account_")) == 1
    expected = sorted(_links(posts))
    found = sorted(row.blob_cid for event in events for row in event.rows if row.blob_cid)
    assert found == expected
    assert not [event.anomalies for event in events if event.anomalies]


def _links(value: object) -> list[str]:
    """Every blob in a frame, found without knowing embeds: what the decoder must not lose."""
    if isinstance(value, list):
        return [cid for item in value for cid in _links(item)]
    if not isinstance(value, dict):
        return []
    if value.get("$type") == "blob" and str(value["mimeType"]).startswith("image/"):
        return [value["ref"]["$link"]]
    return [cid for item in value.values() for cid in _links(item)]


def test_an_overlong_date_and_type_are_dropped_and_counted() -> None:
    record = post_record(images_embed(blob(mimeType="m" * 256), blob(mimeType="m" * 255)))
    event = decode(commit({**record, "createdAt": "2" * 65}))
    assert [row.mime_type for row in event.rows] == [None, "m" * 255]
    assert {row.created_at for row in event.rows} == {None}
    assert event.anomalies == ("overlong_mime_type", "overlong_created_at")
    assert event.sample == event.rows[0].uri


def test_the_longest_date_allowed_is_kept() -> None:
    record = {**post_record(images_embed(blob())), "createdAt": "2" * 64}
    assert decode(commit(record)).rows[0].created_at == "2" * 64


@pytest.mark.parametrize("embed", [0, "", [], False])
def test_an_embed_that_is_none_is_an_anomaly(embed: object) -> None:
    record = {**post_record(), "embed": embed}
    assert decode(commit(record)).anomalies == ("malformed_embed",)
