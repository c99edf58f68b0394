"""The one factory of HTTP clients, so that every request has the same manners and bounds."""

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
_EPOCH_FROM: Final = 1_000_000_000
"""A `ratelimit-reset` from here up is a time in unix seconds, below it a number of seconds."""


def client(settings: Settings) -> httpx.Client:
    """A synchronous client for hosts that the operator named, e.g. the PDS in front of Ozone.

    Follows no redirects, keeps no cookies and ignores proxy variables of the environment.
    """
    return httpx.Client(**_common(settings), limits=_limits(settings))


def async_client(
    settings: Settings, *, guarded: bool, resolver: Resolver = resolve
) -> httpx.AsyncClient:
    """An asynchronous client; `guarded` for hosts that strangers named, e.g. in a DID document.

    A guarded client refuses forbidden URLs and addresses by `ImageRejected` with the outcome
    `blocked`, unless `ALLOW_PRIVATE_NETWORK` is set. Neither follows redirects, keeps cookies or
    reads proxy variables of the environment.
    """
    limits = _limits(settings)
    if not guarded:
        return httpx.AsyncClient(**_common(settings), limits=limits)
    allow_private = settings.allow_private_network
    backend = GuardedBackend(allow_private=allow_private, resolver=resolver)
    tls = httpx.create_ssl_context(trust_env=False)
    transport = GuardedTransport(limits, backend, tls, allow_private=allow_private)
    return httpx.AsyncClient(**_common(settings), transport=transport)


def retry_after_seconds(headers: httpx.Headers, now: datetime) -> float | None:
    """Seconds that a server asks us to wait before the next request, or None.

    Reads `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3), else
    `ratelimit-reset`, which a PDS sends as unix seconds and the IETF draft as seconds to wait.
    A value that cannot be read counts as absent; one in the past as 0.
    """
    seconds = _retry_after(headers.get("retry-after", ""), now)
    if seconds is None:
        seconds = _reset(headers.get("ratelimit-reset", ""), now)
    return None if seconds is None else max(seconds, 0.0)


def _retry_after(value: str, now: datetime) -> float | None:
    if (seconds := whole_number(value)) is not None:
        return seconds
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return None


def _reset(value: str, now: datetime) -> float | None:
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


def _limits(settings: Settings) -> httpx.Limits:
    return httpx.Limits(
        max_connections=2 * settings.processing_concurrency,
        max_keepalive_connections=settings.processing_concurrency,
        keepalive_expiry=_KEEP_ALIVE_SECONDS,
    )
