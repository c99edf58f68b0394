"""What the predecessor's keys mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.legacy.keys import Entry, LegacyClaim, LegacyHash, sort_entries
from tests.legacy.dumps import CID, HASH, KEYS, URI


def test_hashes_claims_and_everything_else_are_told_apart() -> None:
    found = sort_entries(Entry(key, value) for key, value in KEYS.items())
    assert found.hashes == [LegacyHash(CID, 0x0707070707070707)]
    assert found.claims == [
        LegacyClaim(URI, "troll", None),
        LegacyClaim("did:web:example.org", "spam", None),
    ]
    assert (found.unreadable, found.others) == ([], 1)


def test_the_did_of_a_claim_is_the_account_or_the_author() -> None:
    assert LegacyClaim(URI, "x", None).did == "did:plc:author"
    assert LegacyClaim("did:web:a:b", "x", None).did == "did:web:a:b"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (f"phash:{CID}", "not hexadecimal!"),
        (f"phash:{CID}", HASH[:-1]),
        ("phash:", HASH),
        ("phash:../../etc/passwd", HASH),
        ("claim:post:label:not-an-uri:troll", "1"),
        (f"claim:post:label:{URI}", "1"),
        ("claim:account:label:alice.test:troll", "1"),
        ("claim:account:label:did:plc:abc:two words", "1"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(key: str, value: str) -> None:
    found = sort_entries([Entry(key, value)])
    assert (found.hashes, found.claims, found.unreadable) == ([], [], [key])


def test_upper_case_hashes_are_read() -> None:
    [found] = sort_entries([Entry(f"phash:{CID}", HASH.replace("7", "F"))]).hashes
    assert found.value == 0x0F0F0F0F0F0F0F0F


@given(st.lists(st.tuples(st.text(), st.text())))
def test_no_key_is_lost_whatever_it_is(keys: list[tuple[str, str]]) -> None:
    found = sort_entries(Entry(*each) for each in keys)
    sorted_keys = len(found.hashes) + len(found.claims) + len(found.unreadable) + found.others
    assert sorted_keys == len(keys)
