"""Sends a report in short to the chat that alerts go to."""

from datetime import datetime

from phash_dagster.alerts.send import deliver, webhook_format
from phash_dagster.alerts.text import note
from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.render import render_note
from phash_dagster.settings import Settings


def send_to_chat(report: MatchReport, settings: Settings, now: datetime) -> None:
    """Send it to `ALERT_WEBHOOK_URL`, which must be set.

    Raises:
        DeliveryError: The webhook did not take it; the text says why, without its address.
    """
    text = render_note(report, dagster_url=settings.dagster_url)
    deliver(settings, note(webhook_format(settings), text), now)
