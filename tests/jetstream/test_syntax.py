"""Keys that may stand in a row, and the time that a TID tells."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.jetstream.syntax import is_record_key, may_be_cid, tid_microseconds
from tests.jetstream.frames import tid


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


@given(st.integers(0, 2**53 - 1))
def test_a_tid_tells_its_time(time_us: int) -> None:
    assert tid_microseconds(tid(time_us)) == time_us


def test_the_tid_of_a_real_commit_tells_when_it_was_made() -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=tid_microseconds("3mptbyplwma2l") or 0
    )
    assert moment.replace(microsecond=0) == datetime(2026, 7, 4, 14, 38, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "3mptbyplwma2", "3mptbyplwma21", "3mptbyplwma2lx"])
def test_what_is_no_tid_tells_no_time(text: str) -> None:
    assert tid_microseconds(text) is None
