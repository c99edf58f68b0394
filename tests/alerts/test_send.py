"""Messages on their way to a webhook: what counts as delivered; its address stays secret."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from phash_dagster.alerts.send import DeliveryError, deliver, tell, webhook_format
from phash_dagster.settings import Settings, settings_from
from tests.alerts.builders import NOW, notice
from tests.alerts.webhook import PATH, Webhook, running_webhook
from tests.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as hook:
        yield hook


def settings(webhook: Webhook, **others: str) -> Settings:
    return settings_from({"ALERT_WEBHOOK_URL": webhook.url, **others})


def test_a_message_arrives(webhook: Webhook) -> None:
    deliver(settings(webhook), {"text": "ümläut"}, NOW)
    assert webhook.messages == [{"text": "ümläut"}]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_success_counts(webhook: Webhook, status: int) -> None:
    webhook.status = status
    deliver(settings(webhook), {"text": "x"}, NOW)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "answered 404: it is gone or its address is not right"),
        (410, "answered 410: it is gone"),
        (400, "answered 400: it takes no messages of this form; check ALERT_FORMAT"),
        (302, "answered 302: it is at another address now"),
        (500, "answered 500"),
        (429, "answered 429"),
    ],
)
def test_what_is_refused_says_what_to_do(webhook: Webhook, status: int, says: str) -> None:
    webhook.status = status
    with pytest.raises(DeliveryError, match=says):
        deliver(settings(webhook), {"text": "x"}, NOW)


def test_a_wish_to_wait_is_passed_on(webhook: Webhook) -> None:
    webhook.status, webhook.headers = 429, {"retry-after": "90"}
    with pytest.raises(DeliveryError) as caught:
        deliver(settings(webhook), {"text": "x"}, NOW)
    assert caught.value.retry_after == timedelta(seconds=90).total_seconds()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}" + PATH,
        "http://user:veryverysecret@nowhere.invalid/",
        "http://127.0.0.1:{port}/\x7fveryverysecret",
    ],
)
def test_the_address_is_in_no_error_and_no_log_line(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = address.format(port=free_port())
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryError) as caught:
        deliver(settings_from({"ALERT_WEBHOOK_URL": url}), {"text": "x"}, NOW)
    assert "cannot be reached" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret" not in f"{caught.value!r} {caplog.text}"


def test_no_log_line_has_the_address_of_a_webhook_that_answers(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        deliver(settings(webhook), {"text": "x"}, NOW)
    assert "secret" not in caplog.text
    assert str(webhook.port) in caplog.text or not caplog.records  # httpcore names host and port


def test_secrets_that_an_error_quotes_are_taken_out(webhook: Webhook) -> None:
    known = settings(
        webhook,
        AUTOMOD_PASSWORD="abcd-efgh-ijkl-mnop",
        LEDGER_URL="postgresql+psycopg2://me:p%40ss-word@db.test/ledger",
    )
    quoted = f"tried abcd-efgh-ijkl-mnop, p@ss-word and p%40ss-word at {webhook.url}"
    tell(known, [notice(detail=quoted)], NOW)
    [body] = webhook.messages
    assert body["alerts"][0]["detail"] == "tried (secret), (secret) and (secret) at (secret)"


def test_one_message_tells_what_fits_and_says_so(webhook: Webhook) -> None:
    notices = [notice(key=f"check:{number}") for number in range(7)]
    told = tell(settings(webhook), notices, NOW)
    assert told == notices[:5]
    assert len(webhook.messages[0]["alerts"]) == 5


def test_the_format_can_be_said(webhook: Webhook) -> None:
    assert webhook_format(settings(webhook)) == "json"
    assert webhook_format(settings(webhook, ALERT_FORMAT="slack")) == "slack"
    discord = settings_from({"ALERT_WEBHOOK_URL": "https://discord.com/api/webhooks/1/x"})
    assert webhook_format(discord) == "discord"
