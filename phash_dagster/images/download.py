"""Downloads a body over HTTP, bounded in bytes, time, redirects and attempts.

A host that fails is left alone for a while (see `breaker`), and a host that a stranger named gets
only a few requests at once (see `turns`). What fails a host: connection errors, time-outs, 408,
425, 429 and 5xx on the last attempt. Any other answer shows that it is alive.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import httpx
import stamina

from phash_dagster.clock import Clock, utc_now
from phash_dagster.http import async_client, retry_after_seconds, whole_number
from phash_dagster.images.breaker import CircuitBreakers, CircuitOpenError, Host
from phash_dagster.images.hosts import strangers_host
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome, excerpt
from phash_dagster.images.turns import StrangersRoom, Turn
from phash_dagster.settings import Settings

_ABSENT: Final = frozenset({400, 404, 406, 410, 415, 451})
"""Answers that mean: the host does not have it, or not in this form. XRPC answers an unknown blob,
repository or takedown with 400, a CDN an unknown rendition likewise."""

_ASK_AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 that mean: the same request may succeed soon."""

_MAX_QUOTED: Final = 120
"""Characters of an error that a reason quotes."""

_HEADERS: Final = {"accept-encoding": "identity"}
"""No compression: images gain nothing, and a small body cannot unfold into a huge one."""


@dataclass(frozen=True)
class DownloadLimits:
    """What one download may cost. Times are in seconds.

    A host that asks to wait longer than `longest_wait` is not waited for. Hosts of strangers get
    `per_host` requests at once each, and `strangers` in all.
    """

    attempts: int
    retry_delay: float
    attempt_timeout: float
    longest_wait: float
    redirects: int = 3
    per_host: int = 4
    strangers: int = 16

    @classmethod
    def from_settings(cls, settings: Settings) -> "DownloadLimits":
        """The limits that `RETRY_*`, `BLOB_DOWNLOAD_TIMEOUT_SECS` and the concurrency set.

        Strangers get half of the slots: however many of their hosts stall, the CDN's images have
        the other half.
        """
        return cls(
            attempts=settings.retry_attempts,
            retry_delay=settings.retry_delay_ms / 1000,
            attempt_timeout=settings.blob_download_timeout_secs,
            longest_wait=settings.blob_download_timeout_secs,
            per_host=settings.max_requests_per_host,
            strangers=max(1, settings.processing_concurrency // 2),
        )


@dataclass(frozen=True)
class _Request:
    url: httpx.URL
    host: Host
    max_bytes: int

    def redirected(self, target: httpx.URL) -> "_Request":
        """The next request. Another origin is a stranger's, whoever sends us there."""
        same = _origin(target) == _origin(self.url)
        return replace(self, url=target, host=self.host if same else strangers_host(target))


class _HostFailedError(Exception):
    """A host failed. `again`: another attempt may succeed; `wait`: after as long as it asked."""

    def __init__(self, host: Host, reason: str, *, again: bool, wait: float | None = None) -> None:
        super().__init__(reason)
        self.host = host
        self.reason = reason
        self.again = again
        self.wait = wait
        self.counted = False
        self.paused_until: datetime | None = None


class Downloader:
    """GETs bodies from hosts of the operator and from hosts that strangers name."""

    def __init__(
        self,
        trusted: httpx.AsyncClient,
        guarded: httpx.AsyncClient,
        limits: DownloadLimits,
        breakers: CircuitBreakers,
        clock: Clock = utc_now,
    ) -> None:
        self._trusted = trusted
        self._guarded = guarded
        self._limits = limits
        self._breakers = breakers
        self._clock = clock
        self._room = StrangersRoom(in_all=limits.strangers, per_host=limits.per_host)
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=limits.attempts,
            timeout=None,
            wait_initial=limits.retry_delay,
            wait_max=limits.longest_wait,
            wait_jitter=limits.retry_delay,
        )

    async def get(self, url: str, host: Host, *, max_bytes: int, turn: Turn) -> bytes:
        """The body of `url`, which is on `host`; at most `max_bytes` long.

        Connection failures, 408, 425, 429 and 5xx are retried with growing, jittered delays, or
        after the delay that the host asks for. An attempt that runs into its time-out is not
        repeated, since a stalled host would use up the time that other sources need, nor is the
        probe of a half-open circuit. The turn parks while a stranger's host is waited for.

        Raises:
            ImageRejected: `not_found` (the host says that it does not have it), `too_large` or
                `blocked`.
            ImageUnavailable: Any other failure; a later try may succeed.
        """
        request = _Request(httpx.URL(url), host, max_bytes)
        last: list[Exception] = []

        def backoff(failure: Exception) -> bool | float:
            last[:] = [failure]
            return self._backoff(failure)

        try:
            async with AsyncExitStack() as stack:
                if not host.trusted:
                    await stack.enter_async_context(turn.parked())
                return await self._retrying(backoff, self._attempt, request, turn)
        except asyncio.CancelledError:
            for failed in last:  # out of time before the next attempt told otherwise
                if isinstance(failed, _HostFailedError):
                    self._count(failed)
            raise
        except _HostFailedError as failure:
            self._count(failure)
            until = failure.paused_until
            excused = until is not None and failure.host.trusted
            raise ImageUnavailable(failure.reason, not_before=until, excused=excused) from failure
        except CircuitOpenError as refused:
            raise ImageUnavailable(
                refused.reason, not_before=refused.until, excused=refused.host.trusted
            ) from refused

    def _backoff(self, failure: Exception) -> bool | float:
        if not isinstance(failure, _HostFailedError) or not failure.again:
            return False
        if failure.wait is None:
            return True
        return failure.wait if failure.wait <= self._limits.longest_wait else False

    async def _attempt(self, request: _Request, turn: Turn) -> bytes:
        first = request.host
        left = self._limits.attempt_timeout
        loop = asyncio.get_running_loop()
        try:
            for _ in range(self._limits.redirects + 1):
                async with self._admitted(request.host, turn):
                    start = loop.time()
                    found = await self._answer(request, left)
                    left -= loop.time() - start
                if isinstance(found, bytes):
                    return found
                request = request.redirected(found)
        except BaseException:
            if not first.trusted:
                turn.give()  # for the time until the next attempt
            raise
        raise ImageUnavailable(f"{_name(request.url)}: over {self._limits.redirects} redirects")

    @asynccontextmanager
    async def _admitted(self, host: Host, turn: Turn) -> AsyncIterator[None]:
        """Room at the host and leave of its circuit, which learns what comes of it."""
        async with AsyncExitStack() as stack:
            if not host.trusted:
                await stack.enter_async_context(self._room.at(host.name, turn))
            probe = self._breakers.admit(host)
            try:
                yield
            except _HostFailedError as failure:
                failure.again = failure.again and not probe
                if not failure.again:
                    self._count(failure)  # before the next request gets this one's room
                raise
            except BaseException as error:
                if _is_answer(error):
                    self._breakers.succeeded(host)
                elif probe:
                    self._breakers.abandoned(host)
                raise
            self._breakers.succeeded(host)

    def _count(self, failure: _HostFailedError) -> None:
        """Tell the host's circuit of a request that failed for good, once."""
        if not failure.counted:
            failure.counted = True
            failure.paused_until = self._breakers.failed(failure.host)

    async def _answer(self, request: _Request, seconds: float) -> bytes | httpx.URL:
        """The body, or the URL that the host redirects to."""
        host = _name(request.url)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except (TimeoutError, httpx.TimeoutException) as error:
            limit = self._limits.attempt_timeout
            reason = f"{host} did not answer in full within {limit:g} s"
            raise _HostFailedError(request.host, reason, again=False) from error
        except (httpx.TransportError, UnicodeError) as error:
            # UnicodeError: httpx cannot decode the `xn--` name of a host, e.g. after a redirect.
            # The error can quote what the host sent, and that can be an image.
            reason = f"{host}: {type(error).__name__}: {excerpt(str(error), _MAX_QUOTED)}"
            raise _HostFailedError(request.host, reason, again=True) from error

    async def _exchange(self, request: _Request) -> bytes | httpx.URL:
        client = self._trusted if request.host.trusted else self._guarded
        async with client.stream("GET", request.url, headers=_HEADERS) as response:
            if response.next_request is not None:
                return response.next_request.url
            self._check_status(request.host, response)
            return await _read(response, request.max_bytes)

    def _check_status(self, asked: Host, response: httpx.Response) -> None:
        status, host = response.status_code, _name(response.url)
        if status == httpx.codes.OK:
            return
        if status in _ABSENT:
            raise ImageRejected(Outcome.not_found, f"{host} answered {status}")
        if status in _ASK_AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            wait = retry_after_seconds(response.headers, self._clock())
            wish = "" if wait is None else f" and asks to wait {wait:g} s"
            reason = f"{host} answered {status}{wish}"
            raise _HostFailedError(asked, reason, again=True, wait=wait)
        raise ImageUnavailable(f"{host} answered {status}")


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    host = _name(response.url)
    encoding = response.headers.get("content-encoding", "")
    if encoding.strip().lower() not in ("", "identity"):
        raise ImageUnavailable(f"{host} answered compressed although asked not to")
    announced = whole_number(response.headers.get("content-length", ""))
    if announced is not None and announced > max_bytes:
        raise _too_large(host, f"announces {announced:.0f} bytes", max_bytes)
    chunks, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(host, "sends more", max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _is_answer(error: BaseException) -> bool:
    """Whether the host said something; the guard blocks before anything is sent to it."""
    if isinstance(error, ImageRejected):
        return error.outcome is not Outcome.blocked
    return isinstance(error, ImageUnavailable)


def _too_large(host: str, found: str, max_bytes: int) -> ImageRejected:
    return ImageRejected(Outcome.too_large, f"{host} {found}; at most {max_bytes} bytes are taken")


def _name(url: httpx.URL) -> str:
    """The host as it was asked for: `url.host` decodes it, and fails where it does not decode."""
    return url.raw_host.decode("ascii")


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


@asynccontextmanager
async def open_downloader(
    settings: Settings, *, clock: Clock = utc_now, breakers: CircuitBreakers | None = None
) -> AsyncIterator[Downloader]:
    """A downloader with its own connections, closed on leaving.

    Pass `breakers` to know from one downloader to the next which hosts failed.
    """
    async with (
        async_client(settings, guarded=False) as trusted,
        async_client(settings, guarded=True) as guarded,
    ):
        yield Downloader(
            trusted,
            guarded,
            DownloadLimits.from_settings(settings),
            breakers or CircuitBreakers(clock),
            clock,
        )
