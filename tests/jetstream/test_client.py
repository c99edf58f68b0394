"""Reading micro-batches from a server, and what a broken server does to them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from phash_dagster.jetstream import (
    Batch,
    BatchLimits,
    Cursor,
    JetstreamUnavailableError,
    client,
    read_batch,
)
from tests.jetstream.frames import POSTS, TIME_US, blob, commit, encode, images_embed, post_record

LIMITS = BatchLimits(seconds=0.5, max_rows=1000)


@contextmanager
def jetstream(
    handler: Callable[[ServerConnection], None],
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        try:
            yield f"ws://127.0.0.1:{port}/subscribe"
        finally:
            server.shutdown()
            thread.join()


def replaying(frames: list[bytes], *, hold: bool = True) -> Callable[[ServerConnection], None]:
    """A server that sends what a cursor asks for, inclusively, as Jetstream does."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        assert query["wantedCollections"] == ["app.bsky.feed.post"]
        start = int(query["cursor"][0])
        for number, frame in enumerate(frames):
            if TIME_US + number >= start:
                connection.send(frame, text=True)
        if hold:
            connection.recv()  # returns when the client closes

    return handle


def post_frames(count: int) -> list[bytes]:
    record = post_record(images_embed(blob()))
    return [
        encode(commit(record, rkey=f"r{number}", time_us=TIME_US + number))
        for number in range(count)
    ]


def read(url: str, cursor: Cursor, limits: BatchLimits = LIMITS) -> Batch:
    return read_batch([url], cursor, wanted=POSTS, limits=limits)


def rkeys(batch: Batch) -> list[str | None]:
    return [row.rkey for row in batch.rows]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_batches_follow_each_other_without_loss_or_repetition() -> None:
    with jetstream(replaying(post_frames(10))) as url:
        first = read(url, Cursor(TIME_US), BatchLimits(seconds=2, max_rows=4))
        second = read(url, first.cursor)
        third = read(url, second.cursor)
    assert rkeys(first) == ["r0", "r1", "r2", "r3"]
    assert rkeys(second) == ["r4", "r5", "r6", "r7", "r8", "r9"]
    assert rkeys(third) == []
    assert third.cursor == second.cursor


def test_reading_again_from_the_same_cursor_takes_the_same_events() -> None:
    with jetstream(replaying(post_frames(6))) as url:
        once = read(url, Cursor(TIME_US))
        again = read(url, Cursor(TIME_US))
    assert rkeys(once) == rkeys(again)
    assert once.start.name == again.start.name


def test_a_quiet_stream_ends_the_batch_in_time() -> None:
    with jetstream(replaying([])) as url:
        started = time.monotonic()
        batch = read(url, Cursor(TIME_US))
    assert batch.events == 0
    assert time.monotonic() - started < 5


def test_a_connection_that_breaks_keeps_what_arrived() -> None:
    with jetstream(replaying(post_frames(3), hold=False)) as url:
        batch = read(url, Cursor(TIME_US))
    assert rkeys(batch) == ["r0", "r1", "r2"]


def test_malformed_frames_are_counted_and_the_others_are_kept() -> None:
    frames = post_frames(2)
    with jetstream(replaying([b"{not json", frames[0], b"[]", frames[1]])) as url:
        batch = read(url, Cursor(TIME_US))
    assert rkeys(batch) == ["r0", "r1"]
    assert batch.malformed == 2
    assert batch.anomalies == {"malformed_frame": 2}
    assert "{not json" in batch.samples["malformed_frame"]


def test_a_host_that_is_down_is_passed_over() -> None:
    with jetstream(replaying(post_frames(1))) as url:
        batch = read_batch(
            ["ws://127.0.0.1:9/subscribe", url], Cursor(TIME_US), wanted=POSTS, limits=LIMITS
        )
    assert rkeys(batch) == ["r0"]
    assert batch.cursor.host in url


def test_the_host_of_the_cursor_is_preferred() -> None:
    with jetstream(replaying(post_frames(1))) as one, jetstream(replaying(post_frames(1))) as two:
        host = urlsplit(two).netloc
        batch = read_batch([one, two], Cursor(TIME_US, host), wanted=POSTS, limits=LIMITS)
    assert batch.host == host


def test_no_host_at_all_is_an_error_that_names_each() -> None:
    urls = ["ws://127.0.0.1:9/subscribe", "ws://127.0.0.1:1/subscribe"]
    with pytest.raises(JetstreamUnavailableError) as caught:
        read_batch(urls, Cursor(TIME_US), wanted=POSTS, limits=LIMITS)
    assert all(host in str(caught.value) for host in ("127.0.0.1:9", "127.0.0.1:1"))
    assert "nothing is lost" in str(caught.value)


def test_events_from_the_future_are_kept_but_do_not_move_the_cursor() -> None:
    def long_ago() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    with jetstream(replaying(post_frames(1))) as url:
        batch = read_batch([url], Cursor(5), wanted=POSTS, limits=LIMITS, now=long_ago)
    assert rkeys(batch) == ["r0"]
    assert batch.cursor == Cursor(5, batch=1)


def sending(
    *frames: bytes, requests: list[str] | None = None
) -> Callable[[ServerConnection], None]:
    """A server that sends these frames, whatever it was asked for."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if requests is not None:
            requests.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                connection.send(frame, text=True)
            connection.recv()

    return handle


def test_a_record_of_the_greatest_size_arrives_however_it_is_escaped() -> None:
    record = {**post_record(images_embed(blob())), "text": "\x01" * 1_000_000}
    with jetstream(sending(encode(commit(record)), *post_frames(1))) as url:
        batch = read(url, Cursor(TIME_US), BatchLimits(seconds=5, max_rows=2))
    assert rkeys(batch) == ["3mptbxs3hq22j", "r0"]


def test_hosts_are_asked_to_leave_out_what_is_too_large() -> None:
    requests: list[str] = []
    with jetstream(sending(requests=requests)) as url:
        read(url, Cursor(TIME_US))
    query = parse_qs(urlsplit(requests[0]).query)
    assert query["maxMessageSizeBytes"] == [str(client.MAX_FRAME_BYTES)]


def test_a_frame_that_is_too_large_nevertheless_is_an_anomaly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MAX_FRAME_BYTES", 2000)
    with jetstream(sending(*post_frames(1), b"x" * 3000)) as url:
        batch = read(url, Cursor(TIME_US))
    assert rkeys(batch) == ["r0"]
    assert batch.anomalies == {"oversized_frame": 1}
    assert f"after time_us {TIME_US}" in batch.samples["oversized_frame"]


def test_hosts_that_hang_do_not_use_up_the_time_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "OPEN_TIMEOUT_SECONDS", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        jetstream(replaying(post_frames(1))) as answering,
    ):
        hanging = [f"ws://127.0.0.1:{each.getsockname()[1]}/subscribe" for each in (one, two)]
        batch = read_batch([*hanging, answering], Cursor(TIME_US), wanted=POSTS, limits=LIMITS)
    assert rkeys(batch) == ["r0"]


def test_many_hosts_that_hang_take_no_longer_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.6)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(6)]
        urls = [f"ws://127.0.0.1:{server.getsockname()[1]}/subscribe" for server in servers]
        with pytest.raises(JetstreamUnavailableError):
            read_batch(urls, Cursor(TIME_US), wanted=POSTS, limits=LIMITS)
    assert time.monotonic() - started < 4


def test_a_host_that_counts_anew_is_read_on() -> None:
    frames = [
        encode(commit(post_record(images_embed(blob())), time_us=TIME_US + n, cursor=100 + n))
        for n in range(3)
    ]
    with jetstream(sending(*frames)) as url:
        before = Cursor(TIME_US, urlsplit(url).netloc, seq=9_000_000)
        batch = read(url, before)
    assert len(batch.rows) == 2
    assert batch.cursor.seq == 102


def test_a_host_whose_clock_steps_back_never_gets_the_same_name_twice() -> None:
    with jetstream(sending(*post_frames(2))) as url:
        before = Cursor(TIME_US + 20_000_000, urlsplit(url).netloc, batch=7)
        once, replay = read(url, before), read(url, before)
        following = read(url, once.cursor)
    assert rkeys(once) == rkeys(replay) == ["r0", "r1"]
    assert once.start.name == replay.start.name != following.start.name


def test_a_batch_without_rows_does_not_count() -> None:
    with jetstream(sending(encode(commit(post_record())))) as url:
        batch = read(url, Cursor(0, batch=7))
    assert (batch.events, batch.cursor.batch) == (1, 7)


def test_an_address_with_password_and_token_works_and_leaves_no_trace() -> None:
    requests: list[str] = []
    with jetstream(sending(*post_frames(1), requests=requests)) as url:
        secret = url.replace("//", "//user:hunter2@") + "?token=hunter3"
        batch = read(secret, Cursor(TIME_US))
    assert parse_qs(urlsplit(requests[0]).query)["token"] == ["hunter3"]
    assert batch.host == batch.cursor.host == batch.rows[0].host == urlsplit(url).netloc


@pytest.mark.parametrize("address", ["127.0.0.1:9/subscribe", "127.0.0.1:9/x#y", "localhost:x/"])
def test_errors_name_hosts_and_never_the_address(address: str) -> None:
    url = f"ws://user:hunter2@{address}?token=hunter3"
    with pytest.raises(JetstreamUnavailableError) as caught:
        read(url, Cursor(TIME_US))
    assert "hunter" not in str(caught.value)
    assert address.partition("/")[0] in str(caught.value)


def test_a_host_that_refuses_is_named_with_its_answer() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "bootstrapping")

    with (
        jetstream(sending(), refuse) as url,
        pytest.raises(JetstreamUnavailableError, match="HTTP 503"),
    ):
        read(url, Cursor(TIME_US))
