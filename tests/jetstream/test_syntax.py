"""Keys that may stand in a row."""

import pytest

from phash_dagster.jetstream.syntax import is_record_key, may_be_cid


@pytest.mark.parametrize("key", ["3mptbxs3hq22j", "self", "a.b", "pre:fix", "~1_-", "x" * 512])
def test_a_record_key_of_the_protocol_is_one(key: str) -> None:
    assert is_record_key(key)


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "a b", "a\n", "a\0", "é", "x" * 513])
def test_a_text_that_would_break_an_at_uri_is_no_record_key(key: str) -> None:
    assert not is_record_key(key)


@pytest.mark.parametrize("cid", ["", "a b", "a\n", "a\0", "é", "x" * 257])
def test_a_text_with_other_than_printable_characters_is_no_cid(cid: str) -> None:
    assert not may_be_cid(cid)
    assert may_be_cid("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
