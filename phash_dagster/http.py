"""The one factory of HTTP clients, so that every request has the same manners and bounds."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Final, TypedDict

import httpx

from phash_dagster.images.network_guard import GuardedBackend, GuardedTransport, Resolver, resolve
from phash_dagster.settings import Settings

USER_AGENT: Final = f"phash-dagster/{version('phash-dagster')}"

_CONNECT_SECONDS: Final = 5.0
_KEEP_ALIVE_SECONDS: Final = 30.0
_STRANGERS_KEPT_ALIVE: Final = 8
"""Idle connections to hosts of strangers; more of them make each request dearer."""
_EPOCH_FROM: Final = 1_000_000_000
"""A `ratelimit-reset` from here up is a time in unix seconds, below it a number of seconds."""


def client(settings: Settings) -> httpx.Client:
    """A synchronous client for hosts that the operator named, e.g. the PDS in front of Ozone.

    Follows no redirects, keeps no cookies and ignores proxy variables of the environment.
    """
    return httpx.Client(**_common(settings))


def async_client(
    settings: Settings, *, guarded: bool, resolver: Resolver = resolve
) -> httpx.AsyncClient:
    """An asynchronous client; `guarded` for hosts that strangers named, e.g. in a DID document.

    A guarded client refuses forbidden URLs and addresses by `ImageRejected` with the outcome
    `blocked`, unless `ALLOW_PRIVATE_NETWORK` is set. Neither follows redirects, keeps cookies or
    reads proxy variables of the environment.
    """
    tls = httpx.create_ssl_context(trust_env=False)
    limits = httpx.Limits(max_connections=1, keepalive_expiry=_KEEP_ALIVE_SECONDS)
    if not guarded:
        transport = SpreadTransport(lambda: httpx.AsyncHTTPTransport(verify=tls, limits=limits))
        return httpx.AsyncClient(**_common(settings), transport=transport)
    allow_private = settings.allow_private_network
    backend = GuardedBackend(allow_private=allow_private, resolver=resolver)
    transport = SpreadTransport(
        lambda: GuardedTransport(limits, backend, tls, allow_private=allow_private),
        most_idle=_STRANGERS_KEPT_ALIVE,
    )
    return httpx.AsyncClient(**_common(settings), transport=transport)


class SpreadTransport(httpx.AsyncBaseTransport):
    """Sends requests over many connections, each in a transport of its own.

    The pool of httpcore looks at every connection it holds, by system calls, whenever a request
    begins or ends. With 32 connections to one CDN this took a third of all time besides decoding
    (tests/benchmarks/images_pipeline.py). Nor does that pool survive requests that are cancelled,
    as ours are when their time is up: now and then it takes such a connection for busy for ever,
    and once all are, it answers no request. Here such a connection is closed, and its pool too.

    `new` makes a transport of one connection. Of the connections without a request `most_idle` are
    kept; None: all, for the few hosts that the operator named.
    """

    def __init__(
        self, new: Callable[[], httpx.AsyncHTTPTransport], most_idle: int | None = None
    ) -> None:
        self._new = new
        self._most_idle = most_idle
        self._idle: list[tuple[bytes, httpx.AsyncHTTPTransport]] = []
        self._busy: set[httpx.AsyncHTTPTransport] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send over the connection to this origin that was used last, or a new one."""
        url = request.url
        origin = b"%b://%b" % (url.raw_scheme, url.netloc)
        transport = self._take(origin)
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            await self._drop(transport)
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("this httpx answers without a stream; use httpx 0.28")
        response.stream = _ReportingStream(
            response.stream,
            on_close=lambda: self._keep(origin, transport),
            on_failure=lambda: self._drop(transport),
        )
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in (*self._busy, *(transport for _, transport in self._idle)):
            await transport.aclose()

    def _take(self, origin: bytes) -> httpx.AsyncHTTPTransport:
        found = next((entry for entry in reversed(self._idle) if entry[0] == origin), None)
        if found is None:
            transport = self._new()
        else:
            self._idle.remove(found)
            transport = found[1]
        self._busy.add(transport)
        return transport

    async def _keep(self, origin: bytes, transport: httpx.AsyncHTTPTransport) -> None:
        self._busy.discard(transport)
        self._idle.append((origin, transport))
        if self._most_idle is not None and len(self._idle) > self._most_idle:
            _, oldest = self._idle.pop(0)
            await oldest.aclose()

    async def _drop(self, transport: httpx.AsyncHTTPTransport) -> None:
        self._busy.discard(transport)
        await transport.aclose()


class _ReportingStream(httpx.AsyncByteStream):
    """A response's body that reports when it is closed, or cannot be."""

    def __init__(
        self,
        body: httpx.AsyncByteStream,
        on_close: Callable[[], Awaitable[None]],
        on_failure: Callable[[], Awaitable[None]],
    ) -> None:
        self._body = body
        self._on_close = on_close
        self._on_failure = on_failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        except BaseException:
            await self._on_failure()
            raise
        await self._on_close()


def retry_after_seconds(headers: httpx.Headers, now: datetime) -> float | None:
    """Seconds that a server asks us to wait before the next request, or None.

    Reads `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3), else
    `ratelimit-reset`, which a PDS sends as unix seconds and the IETF draft as seconds to wait.
    A value that cannot be read counts as absent; one in the past as 0.
    """
    seconds = _retry_after(headers.get("retry-after", ""), now)
    if seconds is None:
        seconds = reset_seconds(headers.get("ratelimit-reset", ""), now)
    return None if seconds is None else max(seconds, 0.0)


def _retry_after(value: str, now: datetime) -> float | None:
    if (seconds := whole_number(value)) is not None:
        return seconds
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return None


def reset_seconds(value: str, now: datetime) -> float | None:
    """Seconds until the time that `ratelimit-reset` names, below 0 if it is over; None if none."""
    seconds = whole_number(value)
    if seconds is None or seconds < _EPOCH_FROM:
        return seconds
    return seconds - now.timestamp()


def whole_number(value: str) -> float | None:
    """A header's decimal number, however long; None if it is none."""
    digits = value.strip()
    return float(digits) if digits.isascii() and digits.isdigit() else None


class _Common(TypedDict):
    headers: dict[str, str]
    timeout: httpx.Timeout
    cookies: CookieJar
    trust_env: bool
    follow_redirects: bool


def _common(settings: Settings) -> _Common:
    seconds = settings.blob_download_timeout_secs
    return {
        "headers": {"user-agent": USER_AGENT},
        "timeout": httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "trust_env": False,
        "follow_redirects": False,
    }
