"""What a broken server does to reading."""

import base64
import contextlib
import hashlib
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from phash_dagster.jetstream import BatchLimits, Cursor, reading, websocket
from tests.jetstream.frames import (
    TIME_US,
    blob,
    commit,
    encode,
    images_embed,
    post_record,
)
from tests.jetstream.readers import Reader, post_frames, posts, rkeys
from tests.jetstream.servers import (
    V2Server,
    hold,
    raw_serving,
    replaying,
    sending,
    sending_text,
    serving,
)

pytestmark = pytest.mark.slow


def test_a_connection_that_stalls_ends_the_batch_in_time(read: Reader) -> None:
    def stall(connection: ServerConnection) -> None:
        connection.send(encode(posts(1)[0]), text=True)
        hold(connection)

    with serving(stall) as url:
        batch = read(url)
    assert rkeys(batch) == ["r0"]
    assert batch.caught_up
    assert batch.failures == []


def test_an_address_that_stalls_in_the_handshake_is_a_failure(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OPEN_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        batch = read(f"ws://127.0.0.1:{server.getsockname()[1]}/subscribe")
    assert batch.host == ""
    assert batch.failures[0].reason == "it did not answer in time"


def test_a_connection_that_breaks_keeps_what_arrived(read: Reader) -> None:
    def close(connection: ServerConnection) -> None:
        for frame in post_frames(3):
            connection.send(frame, text=True)

    with serving(close) as url:
        batch = read(url)
    assert rkeys(batch) == ["r0", "r1", "r2"]
    assert batch.failures == []


def test_a_connection_that_breaks_with_nothing_new_is_a_failure(read: Reader) -> None:
    with serving(lambda _: None) as url, serving(replaying(posts(1))) as other:
        batch = read(url, other)
    assert [one.reason for one in batch.failures] == ["it closed the connection, code 1000"]
    assert rkeys(batch) == ["r0"]


def upgrade(connection: socket.socket) -> None:
    """Answer the handshake by hand."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    [key] = [
        line.split(b":")[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    ]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def frame_of(text: bytes) -> bytes:
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def test_a_connection_that_breaks_in_the_middle_of_a_frame_keeps_those_before(
    read: Reader,
) -> None:
    frames = post_frames(3)

    def break_off(connection: socket.socket) -> None:
        upgrade(connection)
        connection.sendall(b"".join(map(frame_of, frames))[:-100])

    with raw_serving(break_off) as url:
        batch = read(url)
    assert rkeys(batch) == ["r0", "r1"]
    assert batch.malformed == 0


def test_a_host_that_is_gone_when_its_ping_is_read_keeps_what_arrived(read: Reader) -> None:
    connections = iter((posts(3, numbered=True), posts(1, numbered=True, first=9)))

    def serve(connection: socket.socket) -> None:
        # The first connection is closed before the second one, to the live tip, is answered.
        upgrade(connection)
        frames = b"".join(frame_of(encode(event)) for event in next(connections))
        connection.sendall(frames + b"\x89\x00")

    behind = Cursor(TIME_US, "", 1000, taken_us=TIME_US)
    with raw_serving(serve) as url:
        batch = read(url, cursor=replace(behind, host=urlsplit(url).netloc))
    assert batch.tip_seq == 1009
    assert rkeys(batch) == ["r1", "r2"]
    assert batch.failures == []


def test_bytes_that_are_no_websocket_are_a_failure(read: Reader) -> None:
    def garbage(connection: socket.socket) -> None:
        upgrade(connection)
        connection.sendall(b"\xf7" * 5000)
        with contextlib.suppress(OSError):
            connection.recv(10)

    with raw_serving(garbage) as url, serving(replaying(posts(1))) as other:
        batch = read(url, other)
    assert rkeys(batch) == ["r0"]
    assert "no WebSocket" in batch.failures[0].reason


def test_an_answer_that_is_no_http_is_a_failure(read: Reader) -> None:
    with raw_serving(lambda connection: connection.sendall(b"\0\1\2 nothing\r\n\r\n")) as url:
        batch = read(url)
    assert "handshake failed" in batch.failures[0].reason


def test_malformed_frames_are_counted_and_the_others_are_kept(read: Reader) -> None:
    one, two = post_frames(2)
    with serving(sending_text(b"{not json", one, b"[]", two)) as url:
        batch = read(url)
    assert rkeys(batch) == ["r0", "r1"]
    assert batch.malformed == 2
    assert batch.anomalies == {"malformed_frame": 2}
    assert "{not json" in batch.samples["malformed_frame"]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_bytes_that_are_no_utf8_do_not_end_the_stream(
    read: Reader, compression: str | None
) -> None:
    record = {**post_record(images_embed(blob())), "text": "HERE"}
    damaged = encode(commit(record)).replace(b"HERE", b"\xff\xfe")
    frames = [b"\xff\xff", damaged, *post_frames(1)]
    with serving(sending_text(*frames), compression=compression) as url:
        batch = read(url)
    assert rkeys(batch) == ["3mptbxs3hq22j", "r0"]
    assert batch.malformed == 1


def test_a_binary_frame_without_compression_asked_is_read_on_v1(read: Reader) -> None:
    with serving(sending(post_frames(1)[0])) as url:
        assert rkeys(read(url)) == ["r0"]


def test_duplicates_and_steps_back_in_time_lose_nothing(read: Reader) -> None:
    one, two, three = posts(3, numbered=True)
    back = {**two, "time_us": TIME_US - 5_000_000}
    frames = [encode(each) for each in (one, one, back, three, three)]
    with serving(sending_text(*frames)) as url:
        batch = read(url)
    assert set(rkeys(batch)) == {"r0", "r1", "r2"}
    assert batch.cursor.seq == 1002


def test_a_record_of_the_greatest_size_arrives_however_it_is_escaped(read: Reader) -> None:
    record = {**post_record(images_embed(blob())), "text": "\x01" * 1_000_000}
    with serving(sending_text(encode(commit(record)), *post_frames(1))) as url:
        batch = read(url, limits=BatchLimits(seconds=5, max_rows=2))
    assert rkeys(batch) == ["3mptbxs3hq22j", "r0"]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_frame_of_ten_megabytes_is_read(read: Reader, compression: str | None) -> None:
    record = {**post_record(images_embed(blob())), "text": "x" * 10_000_000}
    with serving(sending_text(encode(commit(record))), compression=compression) as url:
        batch = read(url, limits=BatchLimits(seconds=10, max_rows=1))
    assert rkeys(batch) == ["3mptbxs3hq22j"]


def test_hosts_are_asked_to_leave_out_what_is_too_large(read: Reader) -> None:
    requests: list[str] = []
    with serving(sending_text(requests=requests)) as url:
        read(url)
    query = parse_qs(urlsplit(requests[0]).query)
    assert query["maxMessageSizeBytes"] == [str(32 * 1024 * 1024)]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_frame_that_is_too_large_nevertheless_is_an_anomaly(
    read: Reader, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    monkeypatch.setattr(websocket, "MAX_FRAME_BYTES", 2000)
    with serving(sending_text(*post_frames(1), b"x" * 3000), compression=compression) as url:
        batch = read(url)
    assert rkeys(batch) == ["r0"]
    assert batch.anomalies == {"oversized_frame": 1}
    assert f"after time_us {TIME_US}" in batch.samples["oversized_frame"]


def test_a_host_stuck_at_a_frame_that_is_too_large_is_left(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_FRAME_BYTES", 2000)
    with serving(sending_text(b"x" * 3000)) as url, serving(replaying(posts(1))) as other:
        batch = read(url, other)
    assert rkeys(batch) == ["r0"]
    assert batch.failures[0].host in url


def test_hosts_that_hang_do_not_use_up_the_time_to_read(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OPEN_TIMEOUT_SECONDS", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        serving(replaying(posts(1))) as answering,
    ):
        hanging = [f"ws://127.0.0.1:{each.getsockname()[1]}/subscribe" for each in (one, two)]
        batch = read(*hanging, answering)
    assert rkeys(batch) == ["r0"]


def test_a_flood_is_left_at_the_row_limit_without_reading_it_to_its_end(read: Reader) -> None:
    def flood(connection: ServerConnection) -> None:
        [frame] = post_frames(1)
        with contextlib.suppress(ConnectionClosed):
            while True:
                connection.send(frame, text=True)

    with serving(flood, compression=None) as url:
        batch = read(url, limits=BatchLimits(seconds=20, max_rows=5))
    assert len(batch.rows) == 5


def test_a_host_whose_clock_steps_back_never_gets_the_same_name_twice(read: Reader) -> None:
    with serving(sending_text(*post_frames(2))) as url:
        before = Cursor(TIME_US + 20_000_000, urlsplit(url).netloc, batch=7)
        once, replay = read(url, cursor=before), read(url, cursor=before)
        following = read(url, cursor=once.cursor)
    assert rkeys(once) == rkeys(replay) == ["r0", "r1"]
    assert once.start.name == replay.start.name != following.start.name


def test_a_host_that_refuses_is_named_with_its_answer(read: Reader) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "bootstrapping")

    with serving(sending_text(), refuse) as url:
        batch = read(url)
    assert batch.failures[0].reason == "it answered HTTP 503"


def test_a_redirect_is_not_followed(read: Reader) -> None:
    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = other
        return response

    with serving(replaying(posts(1))) as other, serving(sending_text(), redirect) as url:
        batch = read(url)
    assert batch.failures[0].reason == "it answered HTTP 302"


def test_a_consumer_too_slow_keeps_what_it_has_and_says_so(read: Reader) -> None:
    error = '{"$type":"error","error":"ConsumerTooSlow","message":"dropped"}'
    ok = V2Server(posts(1, numbered=True))
    server = V2Server(frames=[*ok._replay({"cursor": ["0"]}), error])
    with server.running() as url:
        batch = read(url, cursor=Cursor(TIME_US - 9))
    assert rkeys(batch) == ["r0"]
    assert batch.anomalies == {"stream_error:ConsumerTooSlow": 1}
    assert batch.failures == []


def test_an_error_frame_before_any_event_is_a_failure(read: Reader) -> None:
    server = V2Server(frames=['{"$type":"error","error":"InternalError"}'])
    with server.running() as url:
        batch = read(url)
    assert batch.failures[0].reason == "it ended the stream: InternalError"


def test_a_host_with_a_certificate_of_its_own_making_is_a_failure(
    read: Reader, tmp_path: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(self_signed(tmp_path / "certificate.pem"))
    with serving(replaying(posts(1)), ssl=tls) as url:
        batch = read(url.replace("ws:", "wss:"))
    assert "certificate" in batch.failures[0].reason
    assert batch.rows == []


def self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2090, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
