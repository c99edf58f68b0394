"""Hosts for the tests of fetching: scripted answers without sockets, and a raw loopback server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from phash_dagster.images.breaker import CircuitBreakers, Host
from phash_dagster.images.download import Downloader, DownloadLimits
from phash_dagster.images.hosts import operators_host, strangers_host
from phash_dagster.images.turns import Turn
from phash_dagster.settings import Settings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"

Responder = Callable[[httpx.Request], httpx.Response]


def clock() -> datetime:
    return NOW


def settings(**values: object) -> Settings:
    """Settings without delays, independent of the environment's `.env`."""
    quick: dict[str, object] = {"retry_delay_ms": 0, **values}
    return Settings(_env_file=None, **quick)  # type: ignore[arg-type]


class ScriptedHosts:
    """Answers requests by URL prefix and remembers them; the longest prefix wins.

    The answer is a status, bytes, a response, or a function of the request; an exception is raised.
    A list is worked through, its last entry repeated. Unknown addresses answer 404.
    """

    def __init__(self, answers: dict[str, object]) -> None:
        self._answers = dict(sorted(answers.items(), key=lambda item: -len(item[0])))
        self.requests: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.requests.append(url)
        for prefix, answer in self._answers.items():
            if url.startswith(prefix):
                return _response(answer, request)
        return httpx.Response(404)


def _response(answer: object, request: httpx.Request) -> httpx.Response:
    if isinstance(answer, list):
        answer = answer.pop(0) if len(answer) > 1 else answer[0]
    if isinstance(answer, Exception):
        raise answer
    if callable(answer):
        answer = answer(request)
    if isinstance(answer, httpx.Response):
        return answer
    if isinstance(answer, int):
        return httpx.Response(answer)
    assert isinstance(answer, bytes)
    return httpx.Response(200, stream=httpx.ByteStream(answer))


def downloader(
    hosts: Responder, breakers: CircuitBreakers | None = None, **limits: float
) -> Downloader:
    """A downloader whose requests, guarded or not, are all answered by `hosts`."""
    return by_client(hosts, hosts, breakers, **limits)


def by_client(
    trusted: Responder,
    guarded: Responder,
    breakers: CircuitBreakers | None = None,
    **limits: float,
) -> Downloader:
    """A downloader whose two clients are answered apart."""
    return Downloader(
        httpx.AsyncClient(transport=httpx.MockTransport(trusted)),
        httpx.AsyncClient(transport=httpx.MockTransport(guarded)),
        quick_limits(**limits),
        breakers or CircuitBreakers(clock),
        clock,
    )


def quick_limits(**limits: float) -> DownloadLimits:
    """Limits without delays."""
    quick: dict[str, float] = {
        "attempts": 3,
        "retry_delay": 0,
        "attempt_timeout": 5,
        "longest_wait": 0.2,
        **limits,
    }
    return DownloadLimits(**quick)  # type: ignore[arg-type]


def host_of(url: str, *, trusted: bool = True) -> Host:
    """The host of a URL, as the operator's or as a stranger's."""
    parsed = httpx.URL(url)
    if not trusted:
        return strangers_host(parsed)
    return operators_host(f"{parsed.scheme}://{parsed.netloc.decode()}")


async def get(
    target: Downloader,
    url: str,
    *,
    trusted: bool = True,
    max_bytes: int = 1000,
    turn: Turn | None = None,
) -> bytes:
    """The body of `url`, asked for as an image would be."""
    host = host_of(url, trusted=trusted)
    return await target.get(url, host, max_bytes=max_bytes, turn=turn or Turn())


Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def loopback(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free loopback port, which is yielded; `handler` writes the raw answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await handler(head.decode("latin-1"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as several tests want it to
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A complete raw HTTP answer that closes its connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
