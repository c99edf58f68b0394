import hashlib

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.images.content_id import is_cid, is_did, verify_cid
from phash_dagster.images.model import ImageRejected, Outcome

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
"""The blob CID of no bytes at all."""


def blob_cid(data: bytes) -> str:
    return libipld.encode_cid(b"\x01\x55\x12\x20" + hashlib.sha256(data).digest())


@given(st.binary())
def test_bytes_match_their_own_cid(data: bytes) -> None:
    verify_cid(blob_cid(data), data)


def test_a_known_cid_matches() -> None:
    verify_cid(EMPTY, b"")


@given(st.binary(), st.binary(min_size=1))
def test_other_bytes_do_not_match(data: bytes, more: bytes) -> None:
    with pytest.raises(ImageRejected, match="sha2-256") as caught:
        verify_cid(blob_cid(data), data + more)
    assert caught.value.outcome is Outcome.cid_mismatch


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (b"\x01\x71\x12\x20", "codec 0x71"),
        (b"\x01\x70\x12\x20", "codec 0x70"),
        (b"\x01\x55\x1b\x20", "hash 0x1b"),
        (b"\x12\x20", "version 0"),
    ],
)
def test_a_cid_of_another_kind_cannot_be_checked(prefix: bytes, found: str) -> None:
    cid = libipld.encode_cid(prefix + hashlib.sha256(b"").digest())
    with pytest.raises(ImageRejected, match=f"not the CID of a blob.*{found}"):
        verify_cid(cid, b"")


@pytest.mark.parametrize("digest_size", [0, 31])
def test_a_shortened_digest_does_not_match(digest_size: int) -> None:
    digest = hashlib.sha256(b"").digest()[:digest_size]
    cid = libipld.encode_cid(b"\x01\x55\x12" + bytes([digest_size]) + digest)
    with pytest.raises(ImageRejected):
        verify_cid(cid, b"")


@given(st.one_of(st.text(), st.from_regex(r"b[a-z2-7]*", fullmatch=True)))
def test_a_cid_that_does_not_decode_is_rejected_and_nothing_else(cid: str) -> None:
    with pytest.raises(ImageRejected) as caught:
        verify_cid(cid, b"image")
    assert caught.value.outcome is Outcome.cid_mismatch


@pytest.mark.parametrize(
    "did",
    [
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "did:web:pds.example",
        "did:web:localhost%3A2583",
        "did:method:val:two-half",
    ],
)
def test_a_did_of_any_method_has_the_syntax(did: str) -> None:
    assert is_did(did)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:plc:",
        "DID:plc:abc",
        "did:plc:a/b",
        "did:plc:a?b",
        "did:plc:a#b",
        "did:plc:a@b",
        "did:plc:a b",
        "did:plc:a\n",
        "did:plc:a:",
        "did:plc:a%",
        "did:plc:\u0430",
        "did:plc:" + "a" * 3000,
        "did:../..:a",
    ],
)
def test_what_is_no_did_is_told_apart(text: str) -> None:
    assert not is_did(text)


@pytest.mark.parametrize("text", ["", "../..", "bafkrei/x", "bafkreia?", "bafkrei a", "b" * 257])
def test_what_is_no_cid_is_told_apart(text: str) -> None:
    assert not is_cid(text)


def test_a_cid_has_the_syntax() -> None:
    assert is_cid(EMPTY)
