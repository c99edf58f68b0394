"""Downloads a body over HTTP, bounded in bytes, time, redirects and attempts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import stamina

from phash_dagster.clock import Clock, utc_now
from phash_dagster.http import async_client, retry_after_seconds, whole_number
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome
from phash_dagster.settings import Settings

_ABSENT: Final = frozenset({400, 404, 406, 410, 415, 451})
"""Answers that mean: the host does not have it, or not in this form. XRPC answers an unknown blob,
repository or takedown with 400, a CDN an unknown rendition likewise."""

_ASK_AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 that mean: the same request may succeed soon."""

_HEADERS: Final = {"accept-encoding": "identity"}
"""No compression: images gain nothing, and a small body cannot unfold into a huge one."""


@dataclass(frozen=True)
class DownloadLimits:
    """What one download may cost. Times are in seconds.

    A host that asks to wait longer than `longest_wait` is not waited for.
    """

    attempts: int
    retry_delay: float
    attempt_timeout: float
    longest_wait: float
    redirects: int = 3

    @classmethod
    def from_settings(cls, settings: Settings) -> "DownloadLimits":
        """The limits that `RETRY_*` and `BLOB_DOWNLOAD_TIMEOUT_SECS` set."""
        return cls(
            attempts=settings.retry_attempts,
            retry_delay=settings.retry_delay_ms / 1000,
            attempt_timeout=settings.blob_download_timeout_secs,
            longest_wait=settings.blob_download_timeout_secs,
        )


class _AskAgainError(Exception):
    """An attempt failed in a way that another attempt may not; `wait` as the host asked."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


class Downloader:
    """GETs bodies from hosts of the operator (`trusted`) and from hosts that strangers name.

    A redirect to another origin is followed as to a stranger's host, whoever sends it.
    """

    def __init__(
        self,
        trusted: httpx.AsyncClient,
        guarded: httpx.AsyncClient,
        limits: DownloadLimits,
        clock: Clock = utc_now,
    ) -> None:
        self._trusted = trusted
        self._guarded = guarded
        self._limits = limits
        self._clock = clock
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=limits.attempts,
            timeout=None,
            wait_initial=limits.retry_delay,
            wait_max=limits.longest_wait,
            wait_jitter=limits.retry_delay,
        )

    async def get(self, url: str, *, trusted: bool, max_bytes: int) -> bytes:
        """The body of `url`, at most `max_bytes` long.

        Connection failures, 408, 425, 429 and 5xx are retried with growing, jittered delays, or
        after the delay that the host asks for. An attempt that runs into its time-out is not
        repeated, since a stalled host would use up the time that other sources need.

        Raises:
            ImageRejected: `not_found` (the host says that it does not have it), `too_large` or
                `blocked`.
            ImageUnavailable: Any other failure; a later try may succeed.
        """
        try:
            return await self._retrying(self._backoff, self._attempt, url, trusted, max_bytes)
        except _AskAgainError as failure:
            raise ImageUnavailable(failure.reason) from failure

    def _backoff(self, failure: Exception) -> bool | float:
        if not isinstance(failure, _AskAgainError):
            return False
        if failure.wait is None:
            return True
        return failure.wait if failure.wait <= self._limits.longest_wait else False

    async def _attempt(self, url: str, trusted: bool, max_bytes: int) -> bytes:
        host = httpx.URL(url).host
        try:
            async with asyncio.timeout(self._limits.attempt_timeout):
                return await self._follow(httpx.URL(url), trusted, max_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            limit = self._limits.attempt_timeout
            raise ImageUnavailable(f"{host} did not answer in full within {limit:g} s") from error
        except httpx.TransportError as error:
            raise _AskAgainError(f"{host}: {type(error).__name__}: {error}") from error

    async def _follow(self, url: httpx.URL, trusted: bool, max_bytes: int) -> bytes:
        for _ in range(self._limits.redirects + 1):
            client = self._trusted if trusted else self._guarded
            async with client.stream("GET", url, headers=_HEADERS) as response:
                if response.next_request is None:
                    self._check_status(response)
                    return await _read(response, max_bytes)
                target = response.next_request.url
            trusted = trusted and _origin(target) == _origin(url)
            url = target
        raise ImageUnavailable(f"{url.host}: more than {self._limits.redirects} redirects")

    def _check_status(self, response: httpx.Response) -> None:
        status, host = response.status_code, response.url.host
        if status == httpx.codes.OK:
            return
        if status in _ABSENT:
            raise ImageRejected(Outcome.not_found, f"{host} answered {status}")
        if status in _ASK_AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            wait = retry_after_seconds(response.headers, self._clock())
            asked = "" if wait is None else f" and asks to wait {wait:g} s"
            raise _AskAgainError(f"{host} answered {status}{asked}", wait)
        raise ImageUnavailable(f"{host} answered {status}")


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    host = response.url.host
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


def _too_large(host: str, found: str, max_bytes: int) -> ImageRejected:
    return ImageRejected(Outcome.too_large, f"{host} {found}; at most {max_bytes} bytes are taken")


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


@asynccontextmanager
async def open_downloader(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[Downloader]:
    """A downloader with its own connections, closed on leaving."""
    async with (
        async_client(settings, guarded=False) as trusted,
        async_client(settings, guarded=True) as guarded,
    ):
        yield Downloader(trusted, guarded, DownloadLimits.from_settings(settings), clock)
