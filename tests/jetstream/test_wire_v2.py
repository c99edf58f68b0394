"""Decoding the second wire, and what both wires have in common."""

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream import Event, MalformedFrameError
from phash_dagster.jetstream.events import Source
from phash_dagster.jetstream.wire import Notice, refusal
from phash_dagster.jetstream.wire_v1 import WireV1
from phash_dagster.jetstream.wire_v2 import WireV2, microseconds
from tests.jetstream.frames import (
    CID,
    DID,
    HOST,
    POSTS,
    TIME_US,
    account,
    as_v2,
    blob,
    commit,
    encode,
    images_embed,
    info,
    post_record,
    rfc3339,
)

PROFILES = frozenset({"app.bsky.actor.profile"})


def decode(frame: object, wanted: frozenset[str] = POSTS) -> Event | Notice:
    text = frame if isinstance(frame, bytes) else encode(frame)
    return WireV2().decoder(Source(HOST, wanted))(text, False)


def event_of(frame: object, wanted: frozenset[str] = POSTS) -> Event:
    event = decode(frame, wanted)
    assert isinstance(event, Event)
    return event


def on_v1(frame: object, wanted: frozenset[str] = POSTS) -> Event:
    event = WireV1().decoder(Source(HOST, wanted))(encode(frame), False)
    assert isinstance(event, Event)
    return event


def image_post(**extra: Any) -> dict[str, Any]:
    return commit(post_record(images_embed(blob())), cursor=7, **extra)


GALLERY = {
    "$type": "app.bsky.embed.gallery",
    "items": [{"alt": "", "image": blob(f"bafkrei{number}")} for number in range(20)],
}


@pytest.mark.parametrize(
    "frame",
    [
        image_post(),
        image_post(operation="update"),
        commit(post_record(), operation="update", cursor=8),
        commit(post_record(), cursor=8),
        commit(post_record(GALLERY), cursor=8),
        commit(operation="delete", cursor=9),
        {**account(active=False, status="takendown"), "cursor": 10},
    ],
    ids=["create", "update", "update without images", "text", "gallery", "delete", "account"],
)
def test_both_wires_give_the_same_rows(frame: dict[str, Any]) -> None:
    one, two = on_v1(frame), event_of(as_v2(frame))
    assert one.rows == two.rows
    assert (one.time_us, one.seq, one.is_post) == (two.time_us, two.seq, two.is_post)


def test_a_record_with_twenty_gallery_images_gives_twenty_rows() -> None:
    rows = event_of(as_v2(commit(post_record(GALLERY), cursor=1))).rows
    assert [row.position for row in rows] == list(range(20))
    assert len({row.blob_cid for row in rows}) == 20


def test_real_events_give_the_same_rows_on_both_wires(shared_dir: Path) -> None:
    lines = (shared_dir / "data/jetstream/v1_events.jsonl").read_bytes().splitlines()
    frames = [{**json.loads(line), "cursor": number} for number, line in enumerate(lines)]
    for wanted in (POSTS, POSTS | {"app.bsky.feed.like", "app.bsky.actor.profile"}):
        one = [on_v1(frame, wanted) for frame in frames]
        two = [event_of(as_v2(frame), wanted) for frame in frames]
        assert [event.rows for event in one] == [event.rows for event in two]
        assert [event.is_post for event in one] == [event.is_post for event in two]
        assert sum(len(event.rows) for event in two) > 5


@pytest.mark.parametrize("wire", ["v1", "v2"])
def test_a_profile_gives_avatar_and_banner(wire: str) -> None:
    frame = commit(
        {"avatar": blob("bafkreia"), "banner": blob("bafkreib")},
        collection="app.bsky.actor.profile",
        rkey="self",
        operation="update",
        cursor=1,
    )
    event = on_v1(frame, PROFILES) if wire == "v1" else event_of(as_v2(frame), PROFILES)
    assert [(row.blob_cid, row.embed_type) for row in event.rows] == [
        ("bafkreia", "avatar"),
        ("bafkreib", "banner"),
    ]


def test_the_time_is_when_the_host_witnessed_the_event() -> None:
    frame = as_v2(image_post())
    frame["payload"]["time"] = rfc3339(5)
    assert event_of(frame).time_us == TIME_US
    del frame["payload"]["witnessedAt"]
    assert event_of(frame).time_us == 5


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_read_to_the_microsecond(time_us: int) -> None:
    assert microseconds(rfc3339(time_us)) == time_us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T01:00:01.000001+01:00", 1_000_001),
    ],
)
def test_times_in_other_forms_read_too(text: str, expected: int) -> None:
    assert microseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1969-12-31T23:59:59.000000Z", "2026-01-01T00:00:00.000000", "9" * 27],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MalformedFrameError, match="RFC 3339"):
        microseconds(text)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (info("OutdatedCursor"), Notice("info", "OutdatedCursor")),
        ({"$type": "error", "error": "ConsumerTooSlow"}, Notice("error", "ConsumerTooSlow")),
        ({"$type": "error"}, Notice("error", "")),
        ({"$type": "later"}, Notice("unknown", "later")),
    ],
)
def test_frames_about_the_stream_are_told_from_events(frame: object, expected: Notice) -> None:
    assert decode(frame) == expected


def test_other_kinds_move_the_position_and_leave_no_row() -> None:
    frame = as_v2({"kind": "identity", "did": DID, "time_us": TIME_US, "cursor": 9})
    event = event_of(frame)
    assert (event.rows, event.seq, event.time_us) == ((), 9, TIME_US)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b'{"$type":"message","payload":7}',
        encode(as_v2(image_post()) | {"payload": {"$type": "x#commit", "seq": -4}}),
        encode(as_v2(commit(post_record(), cursor=2**63))),
        encode(as_v2(commit(post_record()))),
    ],
)
def test_a_frame_that_is_no_event_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        decode(frame)


def test_a_binary_frame_nobody_asked_for_is_refused() -> None:
    with pytest.raises(MalformedFrameError, match="nobody asked for"):
        WireV2().decoder(Source(HOST, POSTS))(encode(as_v2(image_post())), True)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_event_or_a_malformed_frame(frame: bytes) -> None:
    with contextlib.suppress(MalformedFrameError):
        decode(frame)


@pytest.mark.parametrize("noise", [b"\xff", b"\\ud83d", b"\xed\xa0\xbd", b"\\u0000"])
@pytest.mark.parametrize("place", ["text", "alt"])
@pytest.mark.parametrize("wire", ["v1", "v2"])
def test_damage_in_a_text_does_not_hide_the_images(noise: bytes, place: str, wire: str) -> None:
    record = post_record(images_embed(blob()))
    if place == "text":
        record["text"] = "HERE"
    else:
        record["embed"]["images"][0]["alt"] = "HERE"
    frame = commit(record, cursor=3)
    if wire == "v1":
        text = encode(frame).replace(b"HERE", noise)
        event = WireV1().decoder(Source(HOST, POSTS))(text, False)
    else:
        event = decode(encode(as_v2(frame)).replace(b"HERE", noise))
    assert isinstance(event, Event)
    assert [row.blob_cid for row in event.rows] == [CID]


def test_only_what_is_used_is_asked_for() -> None:
    one = parse_qs(urlencode(WireV1().query(POSTS, 5)))
    two = parse_qs(urlencode(WireV2(77).query(POSTS, None)))
    assert one["wantedCollections"] == two["collections"] == ["app.bsky.feed.post"]
    assert (one["cursor"], "cursor" in two) == (["5"], False)
    assert two["kinds"] == ["commit", "account", "identity"]
    assert two["zstdDictionary"] == ["77"]
    assert "zstdDictionary" not in parse_qs(urlencode(WireV2().query(POSTS, None)))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"error":"CursorTooOld","message":"floor 9"}', "CursorTooOld"),
        (b"bootstrapping", ""),
        (b'{"error":"a b\\n"}', ""),
        (b'{"error":7}', ""),
        (b"", ""),
        (b"[" * 5000, ""),
    ],
)
def test_a_refusal_is_known_by_the_name_in_its_answer(body: bytes, name: str) -> None:
    error = refusal(400, body)
    assert error.name == name
    assert "400" in error.reason
