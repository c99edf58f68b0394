"""`match_report`: what was seen, matched and done, written as HTML every day."""

from datetime import timedelta

import dagster as dg

from phash_dagster.defs.jobs import write_report as write_report_job
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
    WarehouseParam,
)


class ReportConfig(dg.Config):
    """How far back a report looks."""

    days: int = 7


@dg.asset(
    deps=["image_hashes", "rule_matches", "moderation_actions"],
    description=(
        "What was seen, hashed, matched and done over the last days: one HTML file under "
        "DATA_DIR/reports, and the same in short in this asset's metadata."
    ),
    group_name="moderation",
    kinds={"html"},
    owners=["team:moderation"],
)
def match_report(
    config: ReportConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> dg.MaterializeResult[None]:
    """Collect the figures and write the report."""
    from phash_dagster.reports.data import collect
    from phash_dagster.reports.render import render_markdown, write_report

    until = clock()
    report = collect(
        warehouse, posts, ingest, since=until - timedelta(days=config.days), until=until
    )
    path = write_report(report, settings.reports_dir, ozone_url=settings.ozone_url)
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.path(path),
            "summary": dg.MetadataValue.md(render_markdown(report)),
            "images": report.seen["images"],
            "actions_sent": report.actions_in_state("sent"),
            "stream_gaps": len(report.gaps),
        }
    )


daily_report = dg.ScheduleDefinition(
    name="daily_report",
    job=write_report_job,
    cron_schedule="0 6 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Writes the report every morning at 6:00 UTC.",
)
