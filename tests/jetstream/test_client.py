"""Reading micro-batches from real connections."""

import logging
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import ServerConnection

from phash_dagster.jetstream import BatchLimits, Cursor
from tests.jetstream.frames import (
    TIME_US,
    account,
    commit,
    encode,
    post_record,
)
from tests.jetstream.readers import NOBODY, Reader, post_frames, posts, rkeys
from tests.jetstream.servers import (
    V2Server,
    new_dictionary,
    replaying,
    sending_text,
    serving,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("numbered", [False, True])
def test_batches_follow_each_other_without_loss_or_repetition(read: Reader, numbered: bool) -> None:
    with serving(replaying(posts(10, numbered=numbered))) as url:
        first = read(url, limits=BatchLimits(seconds=2, max_rows=4))
        second = read(url, cursor=first.cursor)
        third = read(url, cursor=second.cursor)
    assert rkeys(first) == ["r0", "r1", "r2", "r3"]
    assert rkeys(second) == ["r4", "r5", "r6", "r7", "r8", "r9"]
    assert rkeys(third) == []
    assert third.cursor.name == second.cursor.name


def test_reading_again_from_the_same_cursor_takes_the_same_events(read: Reader) -> None:
    with serving(replaying(posts(6))) as url:
        once, again = read(url), read(url)
    assert rkeys(once) == rkeys(again)
    assert once.start.name == again.start.name


def test_events_arrive_compressed_where_the_host_can(read: Reader) -> None:
    extensions: list[str | None] = []

    def handle(connection: ServerConnection) -> None:
        assert connection.response is not None
        extensions.append(connection.response.headers.get("Sec-WebSocket-Extensions"))
        replaying(posts(3))(connection)

    with serving(handle) as compressing, serving(handle, compression=None) as plain:
        batches = [read(compressing), read(plain)]
    assert [len(batch.rows) for batch in batches] == [3, 3]
    assert "permessage-deflate" in (extensions[0] or "")
    assert extensions[1] is None


def test_a_host_that_is_down_is_passed_over(read: Reader) -> None:
    with serving(replaying(posts(1))) as url:
        batch = read(NOBODY, url)
    assert rkeys(batch) == ["r0"]
    assert batch.cursor.host in url
    assert [one.host for one in batch.failures] == ["127.0.0.1:9"]


def test_the_host_of_the_cursor_is_preferred(read: Reader) -> None:
    with serving(replaying(posts(1))) as one, serving(replaying(posts(1))) as two:
        host = urlsplit(two).netloc
        batch = read(one, two, cursor=Cursor(TIME_US, host))
    assert batch.host == host


def test_no_host_at_all_is_no_error_and_names_each(read: Reader) -> None:
    batch = read(NOBODY, "ws://127.0.0.1:1/subscribe")
    assert (batch.host, batch.rows, batch.caught_up) == ("", [], False)
    assert [one.host for one in batch.failures] == ["127.0.0.1:9", "127.0.0.1:1"]
    assert set(batch.cursor.hosts) == {"127.0.0.1:9", "127.0.0.1:1"}
    assert batch.cursor.name == batch.start.name


def test_other_sequence_numbers_on_another_host_are_not_mistaken(read: Reader) -> None:
    here, there = (
        posts(6, numbered=True),
        [{**event, "cursor": event["cursor"] - 500} for event in posts(6, numbered=True)],
    )
    with serving(replaying(here)) as one, serving(replaying(there)) as two:
        first = read(one, two, limits=BatchLimits(2, 3))
        second = read(two, cursor=first.cursor)
    assert set(rkeys(first)) | set(rkeys(second)) == {f"r{number}" for number in range(6)}
    assert second.cursor.seq == 505


def test_events_from_the_future_are_kept_but_do_not_move_the_cursor(read: Reader) -> None:
    def long_ago() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    with serving(sending_text(*post_frames(1))) as url:
        batch = read(url, cursor=Cursor(10**15), now=long_ago)
    assert rkeys(batch) == ["r0"]
    assert (batch.cursor.time_us, batch.cursor.batch) == (10**15, 1)


def test_deletes_and_account_events_are_taken_too(read: Reader) -> None:
    frames = [commit(operation="delete"), account(active=False, status="takendown")]
    with serving(sending_text(*map(encode, frames))) as url:
        batch = read(url)
    assert [row.operation for row in batch.rows] == ["delete", "account_takendown"]
    assert (batch.events, batch.posts) == (2, 1)


def test_the_names_of_anomalies_are_bounded_and_safe(read: Reader) -> None:
    kinds = [f"a\nb {'x' * 200}", *(f"app.example.embed{number}" for number in range(90))]
    frames = [
        encode(commit(post_record({"$type": kind}), time_us=TIME_US + number))
        for number, kind in enumerate(kinds)
    ]
    with serving(sending_text(*frames)) as url:
        batch = read(url)
    assert len(batch.anomalies) == 50
    assert batch.anomalies["other"] == 91 - 49
    assert max(map(len, batch.anomalies)) == 100
    assert all(name.replace("_", "").isprintable() and " " not in name for name in batch.anomalies)
    assert all(sample.startswith("at://did:plc:") for sample in batch.samples.values())


def test_an_address_with_password_and_token_works_and_leaves_no_trace(read: Reader) -> None:
    requests: list[str] = []
    with serving(sending_text(*post_frames(1), requests=requests)) as url:
        batch = read(url.replace("//", "//user:hunter2@") + "?token=hunter3")
    assert parse_qs(urlsplit(requests[0]).query)["token"] == ["hunter3"]
    assert batch.host == batch.cursor.host == batch.rows[0].host == urlsplit(url).netloc
    assert "hunter" not in repr(batch)


def test_fetching_a_dictionary_logs_no_password(
    read: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = V2Server(posts(2, numbered=True), new_dictionary(7))
    with server.running() as url:
        batch = read(url.replace("//", "//user:hunter2@") + "?token=hunter3")
    assert (len(batch.rows), server.downloads) == (2, 1)
    assert "hunter" not in caplog.text


@pytest.mark.parametrize("address", ["127.0.0.1:9/subscribe", "127.0.0.1:9/x#y", "localhost:x/"])
def test_failures_name_hosts_and_never_the_address(read: Reader, address: str) -> None:
    batch = read(f"ws://user:hunter2@{address}?token=hunter3")
    assert "hunter" not in repr(batch)
    assert batch.failures[0].host == address.partition("/")[0]


def test_version_2_is_read_by_number_and_by_time(read: Reader) -> None:
    server = V2Server(posts(10, numbered=True))
    with server.running() as url:
        first = read(url, limits=BatchLimits(2, 4))
        second = read(url, cursor=first.cursor)
    assert rkeys(first) + rkeys(second) == [f"r{number}" for number in range(10)]
    asked = [query["cursor"] for query in server.requests if "cursor" in query]
    assert asked == [[str(TIME_US)], ["1003"]]


def test_version_2_without_the_old_position_is_a_gap_and_read_on(read: Reader) -> None:
    events = posts(5, numbered=True) + [
        {**event, "time_us": event["time_us"] + 36 * 3_600_000_000}
        for event in posts(5, numbered=True, first=5)
    ]
    server = V2Server(events)
    with server.running() as url:
        first = read(url, limits=BatchLimits(2, 3))
        server.floor = 1005
        second = read(url, cursor=first.cursor)
        third = read(url, cursor=second.cursor)
    [gap] = second.gaps
    assert (gap.reason, gap.from_us) == ("CursorTooOld", TIME_US + 2)
    assert gap.to_us == TIME_US + 5 + 36 * 3_600_000_000
    assert rkeys(second) == ["r5", "r6", "r7", "r8", "r9"]
    assert (third.gaps, third.rows) == ([], [])
