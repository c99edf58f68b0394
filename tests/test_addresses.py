"""What people paste to name an account, a post or a list."""

import pytest

from phash_dagster.addresses import Address, is_whole_did, parse_address

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"at://{DID}", Address(DID)),
        (f"at://{DID}/app.bsky.feed.post/3kabc", Address(DID, "app.bsky.feed.post", "3kabc")),
        (f"at://{DID}/app.bsky.feed.post", Address(DID, "app.bsky.feed.post")),
        ("at://a.test/app.bsky.feed.post/3k", Address("a.test", "app.bsky.feed.post", "3k")),
        (
            f"https://bsky.app/profile/{DID}/post/3kabc",
            Address(DID, "app.bsky.feed.post", "3kabc"),
        ),
        (
            "https://bsky.app/profile/alice.bsky.social/post/3kabc?ref=x#top",
            Address("alice.bsky.social", "app.bsky.feed.post", "3kabc"),
        ),
        (f"https://bsky.app/profile/{DID}/lists/3kl", Address(DID, "app.bsky.graph.list", "3kl")),
        (f"https://bsky.app/profile/{DID}/", Address(DID)),
    ],
)
def test_an_address_names_an_account_or_a_record(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        DID,
        "at://",
        f"at://{DID}/app.bsky.feed.post/a b",
        f"at://{DID}/app.bsky.feed.post/3k/more",
        f"https://bsky.app/profile/{DID}/feed/3kabc",
        f"https://example.org/profile/{DID}/post/3kabc",
        "https://bsky.app/",
    ],
)
def test_what_names_none_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_an_address_has_an_at_uri() -> None:
    address = parse_address(f"https://bsky.app/profile/{DID}/post/3kabc")
    assert address is not None
    assert address.uri == f"at://{DID}/app.bsky.feed.post/3kabc"
    assert address.has_did
    assert address.is_record


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (DID, True),
        ("did:web:example.org", True),
        (DID[:-1], False),
        (f"{DID}2", False),
        (DID.upper(), False),
        ("did:plc:ewvi7nxzyoun6zhxrhs64oi1", False),  # the alphabet of did:plc has no 1
        ("alice.test", False),
    ],
)
def test_a_did_that_lost_a_character_is_told_from_a_whole_one(text: str, whole: bool) -> None:
    assert is_whole_did(text) is whole
