"""`phash-dagster alerts test`."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from phash_dagster.cli import app
from tests.alerts.webhook import Webhook, running_webhook

runner = CliRunner()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with running_webhook() as hook:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", hook.url)
        yield hook


def test_a_test_message_arrives(webhook: Webhook) -> None:
    result = runner.invoke(app, ["alerts", "test"])
    assert (result.exit_code, result.output) == (0, "Delivered as json.\n")
    assert webhook.texts() == ["A test warns"]


def test_one_that_does_not_arrive_says_why(webhook: Webhook) -> None:
    webhook.status = 404
    result = runner.invoke(app, ["alerts", "test"])
    assert result.exit_code == 1
    assert "not delivered as json: the webhook answered 404: it is gone" in result.stderr
    assert "secret" not in result.output


def test_without_a_webhook_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERT_WEBHOOK_URL", raising=False)
    result = runner.invoke(app, ["alerts", "test"])
    assert result.exit_code == 2
    assert "ALERT_WEBHOOK_URL is not set" in result.stderr


def test_an_address_that_cannot_be_used_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for wrong in ("ftp://x/veryverysecret", "hooks.test/veryverysecret", "https://[veryverysecret"):
        monkeypatch.setenv("ALERT_WEBHOOK_URL", wrong)
        result = runner.invoke(app, ["alerts", "test"])
        assert result.exit_code == 2
        assert result.stderr.startswith("ALERT_WEBHOOK_URL: ")
        assert "secret" not in result.stderr
