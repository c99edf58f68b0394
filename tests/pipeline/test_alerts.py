"""The running pipeline tells a webhook what fails, through an outage of it and a kill."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.alerts.webhook import PATH, Webhook, running_webhook
from tests.pipeline.conftest import write_rules

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

CHECK_FAILS = "The check rules_lint on rules fails"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as hook:
        yield hook


def test_a_broken_rule_file_is_told_once_although_the_webhook_was_down_and_all_was_killed(
    pipeline: LocalPipeline, webhook: Webhook, tmp_path: Path
) -> None:
    environment = {**pipeline.environment, "ALERT_WEBHOOK_URL": webhook.url}
    pipeline = replace(pipeline, environment=environment)
    write_rules(pipeline, "blobs.json", [])
    (pipeline.settings.rules_dir / "broken.json").write_text('[{"phashes": ["xyz"]}]')
    webhook.status = 503
    with pipeline.daemon() as daemon:
        pipeline.wait_until(lambda: webhook.requests > 0, "the first attempt", seconds=300)
        os.killpg(daemon.pid, signal.SIGKILL)
    webhook.status = 200
    with pipeline.daemon():
        pipeline.wait_until(
            lambda: {"The job load_rules fails", CHECK_FAILS} <= set(webhook.texts()),
            "the alert",
            seconds=300,
        )
    assert webhook.texts().count(CHECK_FAILS) == 1
    details = [alert["detail"] for body in webhook.messages for alert in body["alerts"]]
    assert any("broken.json" in detail for detail in details)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in written:
        assert PATH.encode() not in path.read_bytes(), f"the webhook's address in {path}"
