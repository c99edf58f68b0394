"""The assets `match_report` and `weekly_report`: what they write, show and plot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from phash_dagster.defs import match_report as module
from phash_dagster.defs.jobs import write_report, write_weekly_report
from phash_dagster.defs.machine_costs import machine_costs_at, run_costs
from phash_dagster.settings import Settings
from tests.alerts.webhook import Webhook, running_webhook
from tests.analysis.conftest import Snapped
from tests.defs.sensor_state import sqlite_instance
from tests.preview.past import MEME, NOW, entry, post

pytestmark = pytest.mark.slow


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with sqlite_instance(tmp_path / "dagster") as instance:
        yield instance


@pytest.fixture
def past(tmp_path: Path) -> Snapped:
    """A post of today and one of three days ago, of one image that a rule in force meets."""
    past = Snapped(tmp_path)
    past.hash({"a": MEME})
    past.write(post("1", "a"), post("2", "a", hours_ago=72))
    past.put_in_force(entry())
    return past


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as hook:
        yield hook


def run(past: Snapped, instance: dg.DagsterInstance, job: str, **config: Any) -> dict[str, Any]:
    """The metadata of the report that a job writes."""
    asset = {"write_report": "match_report", "write_weekly_report": "weekly_report"}[job]
    definitions = dg.Definitions(
        assets=[module.match_report, module.weekly_report],
        jobs=[write_report, write_weekly_report],
        resources={
            "settings": past.settings,
            "warehouse": past.warehouse,
            "posts": past.posts,
            "ingest": past.sources.ingest,
            "clock": lambda: NOW,
        },
    )
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, run_config={"ops": {asset: {"config": config}}}
    )
    [event] = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


@pytest.mark.parametrize(
    ("job", "config", "posts", "length"),
    [
        ("write_report", {}, 1, "24h"),
        ("write_weekly_report", {}, 2, "7d"),
        ("write_report", {"days": 4}, 2, "4d"),
    ],
)
def test_each_looks_as_far_back_as_it_says(
    past: Snapped,
    instance: dg.DagsterInstance,
    job: str,
    config: dict[str, Any],
    posts: int,
    length: str,
) -> None:
    found = run(past, instance, job, **config)
    assert found["posts"] == posts
    assert Path(found["report"]).name == f"match_report-2026-11-23-{length}.html"
    assert f"{posts} post" in found["summary"]


def test_what_dagster_plots_are_numbers(past: Snapped, instance: dg.DagsterInstance) -> None:
    found = run(past, instance, "write_weekly_report")
    numbers = {name: value for name, value in found.items() if not isinstance(value, str)}
    assert numbers == {
        "posts": 2,
        "images_seen": 1,
        "images_hashed": 1,
        "images_matched": 1,
        "actions_sent": 0,
        "actions_in_shadow": 0,
        "actions_held": 0,
        "actions_failed": 0,
        "new_clusters": 0,
        "stream_gaps": 0,
    }


@pytest.mark.parametrize(
    ("wanted", "job", "told"),
    [
        ("never", "write_report", False),
        ("daily", "write_report", True),
        ("daily", "write_weekly_report", False),
        ("weekly", "write_report", False),
        ("weekly", "write_weekly_report", True),
        ("both", "write_report", True),
    ],
)
def test_the_chat_gets_the_reports_that_are_wanted(
    past: Snapped,
    instance: dg.DagsterInstance,
    webhook: Webhook,
    wanted: str,
    job: str,
    told: bool,
) -> None:
    past.settings = with_chat(past, webhook, wanted)
    found = run(past, instance, job)
    assert ["Posts with images: " in one["text"] for one in webhook.messages] == [True] * told
    assert found.get("chat") == ("delivered" if told else None)


def test_a_chat_that_is_down_does_not_cost_the_report(
    past: Snapped, instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    webhook.status = 404
    past.settings = with_chat(past, webhook, "both")
    found = run(past, instance, "write_report")
    assert Path(found["report"]).is_file()
    assert found["chat"].startswith("not delivered: the webhook answered 404")


def test_without_a_webhook_no_chat_is_told(past: Snapped, instance: dg.DagsterInstance) -> None:
    past.settings = past.settings.model_copy(update={"reports_to_chat": "both"})
    assert "chat" not in run(past, instance, "write_report")


def with_chat(past: Snapped, webhook: Webhook, wanted: str) -> Settings:
    update = {"alert_webhook_url": SecretStr(webhook.url), "reports_to_chat": wanted}
    return past.settings.model_copy(update=update)


@dg.job
def good() -> None:
    """A job that does nothing."""


@dg.op
def fail() -> None:
    """Fails."""
    raise RuntimeError("as wanted")


@dg.job
def bad() -> None:
    """A job that fails."""
    fail()


def test_runs_are_added_up_by_job(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    for _ in range(2):
        good.execute_in_process(instance=instance)
    bad.execute_in_process(instance=instance, raise_on_error=False)
    found = run_costs(instance, since=NOW.replace(year=2020))
    assert found is not None
    assert {(job.job, job.runs, job.failed) for job in found.jobs} == {
        ("good", 2, 0),
        ("bad", 1, 1),
    }
    assert all(job.seconds > 0 for job in found.jobs)
    assert found.oldest is not None
    assert run_costs(instance, since=NOW.replace(year=2100)) == type(found)((), found.oldest)


def test_a_machine_without_dagster_still_has_a_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    found = machine_costs_at(tmp_path / "dagster", tmp_path, since=NOW)
    assert [use.name for use in found.disk] == ["file"]
    assert found.runs is None
    assert found.dagster_storage_bytes is None


def test_the_schedules_say_when() -> None:
    assert module.daily_report_schedule.cron_schedule == "0 6 * * *"
    assert module.weekly_report_schedule.cron_schedule == "30 6 * * 1"
