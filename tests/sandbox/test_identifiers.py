"""Identifiers are those that the real network makes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.sandbox import identifiers

# Written through @atproto/pds 0.5.35, which named it so.
REAL_RECORD = {
    "$type": "app.bsky.feed.post",
    "text": "x",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "embed": {
        "$type": "app.bsky.embed.images",
        "images": [
            {
                "alt": "",
                "image": {
                    "$type": "blob",
                    "ref": {"$link": "bafkreidia6ciy7lbg7wu4uxfdo2ct4ljuxsyax7tqkfuajfgceaq7hd5my"},
                    "mimeType": "image/jpeg",
                    "size": 645,
                },
            }
        ],
    },
}
REAL_RECORD_CID = "bafyreicqolgyen7vewcw7gguwmnrjuibplgumisfa7szpmws47s3z56kiq"


def test_a_record_gets_the_cid_that_a_real_pds_gave_it() -> None:
    assert identifiers.record_cid(REAL_RECORD) == REAL_RECORD_CID


def test_a_record_with_a_broken_link_still_has_a_cid() -> None:
    assert identifiers.is_cid(identifiers.record_cid({"ref": {"$link": "nonsense"}}))


def test_bytes_in_a_record_are_not_their_json_form() -> None:
    assert identifiers.record_cid({"sig": {"$bytes": "AQI"}}) != identifiers.record_cid(
        {"sig": "AQI"}
    )


def test_a_blob_is_named_by_raw_sha2_256() -> None:
    # The CID of no bytes at all, as printed in the documentation of IPFS.
    empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

    assert identifiers.blob_cid(b"") == empty


@pytest.mark.parametrize("value", ["", "zzz", "bafy", 5, None])
def test_what_is_no_cid_is_seen(value: object) -> None:
    assert not identifiers.is_cid(value)


def test_a_made_did_is_valid_and_decided_by_its_name() -> None:
    assert identifiers.is_did(identifiers.plc_did("alice"))
    assert identifiers.plc_did("alice") == identifiers.plc_did("alice")
    assert identifiers.plc_did("alice") != identifiers.plc_did("bob")


@given(st.integers(0, 2**52), st.integers(0, 2**52))
def test_timestamp_identifiers_sort_by_time(first: int, second: int) -> None:
    names = identifiers.tid(first), identifiers.tid(second)

    assert (names[0] < names[1]) == (first < second)
    assert len(names[0]) == 13


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - UTC is added
def test_microseconds_lose_nothing(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)

    found = datetime.fromtimestamp(identifiers.microseconds(aware) // 1_000_000, UTC)
    assert found.replace(microsecond=aware.microsecond) == aware


def test_times_are_written_with_milliseconds_and_z() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)

    assert identifiers.timestamp(moment) == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    ("uri", "valid"),
    [
        ("at://did:plc:abc/app.bsky.feed.post/3k", True),
        ("at://alice.test", True),
        ("at://did:plc:abc/app.bsky.feed.post/3k/more", False),
        ("https://example.com", False),
    ],
)
def test_at_uris_are_told_from_others(uri: str, valid: bool) -> None:
    assert identifiers.is_at_uri(uri) is valid
