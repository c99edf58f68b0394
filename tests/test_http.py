import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.http import (
    USER_AGENT,
    SpreadTransport,
    async_client,
    client,
    retry_after_seconds,
)
from phash_dagster.images.model import ImageRejected, Outcome
from tests.images.hosts import NOW, answer, loopback, settings


async def echo(head: str, writer: asyncio.StreamWriter) -> None:
    """Answers with the request's head, sets a cookie and redirects elsewhere."""
    writer.write(answer(302, head.encode(), "Set-Cookie: a=b", "Location: /elsewhere"))


def get(path: str = "/", *, guarded: bool = False, allow_private: bool = True) -> httpx.Response:
    async def run() -> httpx.Response:
        chosen = settings(allow_private_network=allow_private)
        async with loopback(echo) as port, async_client(chosen, guarded=guarded) as http:
            await http.get(f"http://127.0.0.1:{port}{path}")
            return await http.get(f"http://127.0.0.1:{port}{path}")

    return asyncio.run(run())


@pytest.mark.parametrize("guarded", [False, True])
def test_a_request_names_the_tool_and_its_version(guarded: bool) -> None:
    assert f"user-agent: {USER_AGENT}".lower() in get(guarded=guarded).text.lower()


@pytest.mark.parametrize("guarded", [False, True])
def test_redirects_are_not_followed(guarded: bool) -> None:
    assert get(guarded=guarded).status_code == 302


@pytest.mark.parametrize("guarded", [False, True])
def test_cookies_are_not_kept(guarded: bool) -> None:
    assert "cookie" not in get(guarded=guarded).text.lower()


@pytest.mark.parametrize("guarded", [False, True])
def test_proxy_variables_are_ignored(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert get(guarded=guarded).status_code == 302


def test_a_guarded_client_refuses_loopback() -> None:
    with pytest.raises(ImageRejected) as caught:
        get(guarded=True, allow_private=False)
    assert caught.value.outcome is Outcome.blocked


def test_a_guarded_client_checks_the_addresses_that_its_resolver_gives() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["169.254.169.254"]

    async def run() -> None:
        async with async_client(settings(), guarded=True, resolver=resolver) as http:
            await http.get("https://pds.example/")

    with pytest.raises(ImageRejected, match=r"pds\.example is at 169\.254\.169\.254, a link-local"):
        asyncio.run(run())


def test_an_unguarded_client_reaches_an_operators_private_host() -> None:
    assert get(guarded=False, allow_private=False).status_code == 302


def test_the_synchronous_client_has_the_same_manners() -> None:
    with client(settings(blob_download_timeout_secs=3)) as http:
        assert http.headers["user-agent"] == USER_AGENT
        assert not http.follow_redirects
        assert not http.trust_env
        assert http.timeout == httpx.Timeout(3)


def test_connecting_has_a_shorter_time_out_than_downloading() -> None:
    with client(settings()) as http:
        assert http.timeout == httpx.Timeout(10, connect=5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"ratelimit-reset": "20"}, 20),
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 45)}, 45),
        ({"ratelimit-reset": str(int(NOW.timestamp()) - 45)}, 0),
        ({"retry-after": "3", "ratelimit-reset": "20"}, 3),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(httpx.Headers(headers), NOW) == seconds


@given(st.text(), st.text())
def test_nonsense_in_the_headers_never_raises(retry_after: str, reset: str) -> None:
    headers = httpx.Headers(
        {b"retry-after": retry_after.encode(), b"ratelimit-reset": reset.encode()}
    )
    wait = retry_after_seconds(headers, NOW)
    assert wait is None or wait >= 0


async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request of a connection with the number of the connection's requests so far."""
    number = 0
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            number += 1
            body = str(number).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    writer.close()


def test_requests_to_the_operators_hosts_use_their_connections_again() -> None:
    async def run() -> list[str]:
        server = await asyncio.start_server(keep_alive, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, async_client(settings(), guarded=False) as http:
            one_by_one = [(await http.get(url)).text for _ in range(3)]
            at_once = await asyncio.gather(*(http.get(url) for _ in range(3)))
            return [*one_by_one, *sorted(each.text for each in at_once)]

    assert asyncio.run(run()) == ["1", "2", "3", "1", "1", "4"]


def test_a_connection_that_failed_does_not_stand_in_the_way_of_the_next_request() -> None:
    async def run() -> str:
        connections = 0

        async def fail_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            if connections == 1:
                writer.close()
            else:
                await keep_alive(reader, writer)

        server = await asyncio.start_server(fail_first, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, async_client(settings(), guarded=False) as http:
            with pytest.raises(httpx.TransportError):
                await http.get(url)
            return (await http.get(url)).text

    assert asyncio.run(run()) == "1"


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [False, True])
def test_requests_that_are_cancelled_at_any_moment_leave_no_connection_stuck(guarded: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.002)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
                await writer.drain()
        writer.close()

    async def run() -> list[int]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        chosen = settings(allow_private_network=True, processing_concurrency=2)
        async with server, async_client(chosen, guarded=guarded) as client:

            async def cut_off(seconds: float) -> None:
                with suppress(TimeoutError, httpx.TransportError):
                    async with asyncio.timeout(seconds):
                        await client.get(url)

            for round_ in range(60):
                times = (0.0003 * (round_ % 5 + number) for number in range(32))
                await asyncio.gather(*(cut_off(seconds) for seconds in times))
            answers = await asyncio.gather(*(client.get(url, timeout=5) for _ in range(32)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(run()) == [200] * 32


def test_of_idle_connections_to_strangers_only_some_are_kept() -> None:
    opened: list[_Closing] = []

    def new() -> httpx.AsyncHTTPTransport:
        opened.append(_Closing())
        return opened[-1]

    async def run() -> list[bool]:
        async with httpx.AsyncClient(transport=SpreadTransport(new, most_idle=2)) as client:
            for number in (1, 2, 3, 2):
                await client.get(f"http://host-{number}.example/")
            return [transport.closed for transport in opened]

    assert asyncio.run(run()) == [True, False, False]


class _Closing(httpx.AsyncHTTPTransport):
    closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async def aclose(self) -> None:
        self.closed = True
