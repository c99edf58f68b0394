"""`match_report` and `weekly_report`: what was seen, matched and done, as HTML and Markdown."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from phash_dagster.clock import Clock
from phash_dagster.defs.jobs import write_report, write_weekly_report
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
    WarehouseParam,
)

if TYPE_CHECKING:
    from phash_dagster.reports.data import MatchReport
    from phash_dagster.settings import Settings


class ReportConfig(dg.Config):
    """What a person may ask of a run, in the launchpad."""

    days: float | None = Field(
        default=None, gt=0, description="How far back to look; by default as far as usual."
    )


def _report_asset(
    name: str, *, days: int, about: str, every: Literal["daily", "weekly"]
) -> dg.AssetsDefinition:
    """An asset of its own for each period: numbers over a day and a week are not one plot."""

    @dg.asset(
        name=name,
        deps=["image_hashes", "rule_matches", "moderation_actions"],
        description=(
            f"What was seen, hashed, matched and done in the last {about}: one HTML file under "
            "DATA_DIR/reports, where latest.html is the latest, and in this asset's metadata the "
            "same in short, and numbers to plot."
        ),
        group_name="moderation",
        tags={"contacts": "webhook"},
        kinds={"html"},
        owners=["team:moderation"],
    )
    def report(
        context: dg.AssetExecutionContext,
        config: ReportConfig,
        settings: SettingsParam,
        warehouse: WarehouseParam,
        posts: ImagePostsParam,
        ingest: IngestRecordsParam,
        clock: ClockParam,
    ) -> dg.MaterializeResult[None]:
        """Collect the figures and write the report."""
        from phash_dagster.analysis import Sources
        from phash_dagster.defs.machine_costs import machine_costs
        from phash_dagster.reports.data import make_report
        from phash_dagster.reports.render import render_markdown, write_files

        since = clock() - timedelta(days=config.days or days)
        made = make_report(
            Sources(warehouse, posts, ingest),
            settings.analytics_path,
            clock,
            since=since,
            machine=machine_costs(context.instance, settings.data_dir, since=since),
            progress=context.log.debug,
        )
        path = write_files(made, settings)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.path(path),
                "summary": dg.MetadataValue.md(render_markdown(made)),
                **_chat(made, settings, clock, every),
                **_numbers(made),
            }
        )

    return report


def _chat(
    report: "MatchReport", settings: "Settings", clock: Clock, every: str
) -> Mapping[str, str]:
    """Send it to the chat if people want that. A chat that is down must not cost the report."""
    from phash_dagster.alerts.send import DeliveryError
    from phash_dagster.reports.chat import send_to_chat

    wanted = settings.reports_to_chat in (every, "both")
    if not wanted or not settings.alert_webhook_url.get_secret_value():
        return {}
    try:
        send_to_chat(report, settings, clock())
    except DeliveryError as error:
        return {"chat": f"not delivered: {error}; `phash-dagster report --send` sends another"}
    return {"chat": "delivered"}


def _numbers(report: "MatchReport") -> Mapping[str, int | float]:
    """What Dagster plots over time."""
    lag = report.reading.lag["p95_seconds"]
    return {
        "posts": report.reading.seen["posts_with_images"],
        "images_seen": report.reading.seen["distinct_images"],
        "images_hashed": report.reading.outcomes.get("hashed", 0),
        "images_matched": report.matched_images,
        "actions_sent": report.actions_in_state("sent"),
        "actions_in_shadow": report.actions_in_state("shadow"),
        "actions_held": report.actions_in_state("held"),
        "actions_failed": report.actions_in_state("failed", "dead"),
        "new_clusters": len(report.judging.clusters),
        "stream_gaps": len(report.reading.gaps),
        **({} if lag is None else {"lag_p95_seconds": lag}),
    }


match_report = _report_asset("match_report", days=1, about="day", every="daily")
weekly_report = _report_asset("weekly_report", days=7, about="week", every="weekly")

daily_report_schedule = dg.ScheduleDefinition(
    name="daily_report",
    job=write_report,
    cron_schedule="0 6 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Writes the report of the last day every morning at 6:00 UTC.",
)

weekly_report_schedule = dg.ScheduleDefinition(
    name="weekly_report_schedule",
    job=write_weekly_report,
    cron_schedule="30 6 * * 1",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Writes the report of the last week every Monday at 6:30 UTC.",
)
