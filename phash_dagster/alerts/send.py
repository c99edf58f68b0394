"""Brings a message to the webhook. Its address is a secret: no error and no log line shows it."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import get_ident
from typing import Final

import httpx

from phash_dagster.alerts.model import Notice
from phash_dagster.alerts.text import (
    MOST_IN_A_MESSAGE,
    Format,
    Payload,
    format_of,
    message,
)
from phash_dagster.http import client, retry_after_seconds
from phash_dagster.settings import Settings

_GONE: Final = frozenset({401, 403, 404, 410})
_REFUSED: Final = frozenset({400, 413, 415, 422})


class DeliveryError(Exception):
    """A message was not delivered; the text says why and what to do.

    `retry_after`: seconds that the server asks to wait, if it said so.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def webhook_format(settings: Settings) -> Format:
    """The format of `ALERT_FORMAT`, or the one that the address asks for."""
    if settings.alert_format != "auto":
        return settings.alert_format
    return format_of(settings.alert_webhook_url.get_secret_value())


def tell(settings: Settings, notices: Sequence[Notice], now: datetime) -> Sequence[Notice]:
    """Tell as many of these as one message holds, the first ones; return those.

    Raises:
        DeliveryError: As for `deliver`.
    """
    told = [without_secrets(notice, settings.secrets) for notice in notices[:MOST_IN_A_MESSAGE]]
    payload = message(webhook_format(settings), told, dagster_url=settings.dagster_url)
    deliver(settings, payload, now)
    return notices[:MOST_IN_A_MESSAGE]


def without_secrets(notice: Notice, secrets: Iterable[str]) -> Notice:
    """The same with every secret taken out that an error may have quoted."""
    detail = notice.trouble.detail
    for secret in secrets:
        detail = detail.replace(secret, "(secret)")
    return replace(notice, trouble=replace(notice.trouble, detail=detail))


def deliver(settings: Settings, payload: Payload, now: datetime) -> None:
    """Send a message to `ALERT_WEBHOOK_URL`, which must be set.

    Raises:
        DeliveryError: It did not arrive, or nobody knows whether it did.
    """
    url = settings.alert_webhook_url.get_secret_value()
    try:
        with client(settings) as http, _no_log_lines():
            response = http.post(url, json=payload)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        # Without its cause: what httpx says may quote the address.
        raise DeliveryError(f"the webhook cannot be reached ({type(error).__name__})") from None
    if not response.is_success:
        raise _refusal(response, now)


def _refusal(response: httpx.Response, now: datetime) -> DeliveryError:
    status = response.status_code
    advice = ""
    if status in _GONE:
        advice = ": it is gone or its address is not right; make a new one for ALERT_WEBHOOK_URL"
    elif status in _REFUSED:
        advice = ": it takes no messages of this form; check ALERT_FORMAT"
    elif response.is_redirect:
        advice = ": it is at another address now; put that one into ALERT_WEBHOOK_URL"
    wait = retry_after_seconds(response.headers, now)
    return DeliveryError(f"the webhook answered {status}{advice}", wait)


@contextmanager
def _no_log_lines() -> Iterator[None]:
    """Let httpx log nothing in this thread meanwhile: its line about a request has the address."""
    thread = get_ident()

    def is_elsewhere(_record: logging.LogRecord) -> bool:
        return get_ident() != thread

    logger = logging.getLogger("httpx")
    logger.addFilter(is_elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(is_elsewhere)
