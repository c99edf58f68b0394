"""The one Definitions object: a table of contents, no logic."""

import dagster as dg
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

from phash_dagster.defs.action_health import action_checks, action_health_sensor
from phash_dagster.defs.action_outcomes import action_outcomes, outcomes_schedule
from phash_dagster.defs.alerts import alert_sensor
from phash_dagster.defs.analytics_snapshot import (
    analytics_snapshot,
    snapshot_schedule,
    take_snapshot,
)
from phash_dagster.defs.catch_up_sensor import catch_up_sensor
from phash_dagster.defs.compact_hours import compact_hours, compaction_schedule
from phash_dagster.defs.exempt_accounts import exempt_accounts, exempt_lists_sensor
from phash_dagster.defs.hash_checks import check_hashes, golden_hashes, golden_sensor
from phash_dagster.defs.image_hashes import image_hashes
from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.ingest_health import ingest_checks, ingest_health_sensor
from phash_dagster.defs.jetstream_sensor import jetstream_sensor
from phash_dagster.defs.jobs import (
    IN_PROCESS,
    load_rules,
    moderate_hour,
    read_action_outcomes,
    read_exempt_lists,
    rematch_hours,
    write_report,
    write_weekly_report,
)
from phash_dagster.defs.lift_quarantine import lift_quarantine
from phash_dagster.defs.maintain import maintain, maintenance_schedule
from phash_dagster.defs.match_report import (
    daily_report_schedule,
    match_report,
    weekly_report,
    weekly_report_schedule,
)
from phash_dagster.defs.moderation_actions import moderation_actions
from phash_dagster.defs.preview import preview_rules
from phash_dagster.defs.resources import resources
from phash_dagster.defs.review_actions import review_jobs
from phash_dagster.defs.rule_matches import rematch_sensor, rule_matches
from phash_dagster.defs.rules import daily_rules, rules, rules_sensor
from phash_dagster.defs.undo_actions import undo_actions
from phash_dagster.settings import load_settings


@dg.definitions
def definitions() -> dg.Definitions:
    """Everything that Dagster runs."""
    # Retries go to the runs' logs instead of standard output.
    set_on_retry_hooks([LoggingOnRetryHook])
    return dg.Definitions(
        assets=[
            image_posts,
            image_hashes,
            rules,
            rule_matches,
            exempt_accounts,
            moderation_actions,
            action_outcomes,
            match_report,
            weekly_report,
            analytics_snapshot,
        ],
        asset_checks=[*ingest_checks, *action_checks, golden_hashes],
        jobs=[
            moderate_hour,
            rematch_hours,
            load_rules,
            write_report,
            write_weekly_report,
            take_snapshot,
            read_exempt_lists,
            read_action_outcomes,
            compact_hours,
            maintain,
            check_hashes,
            preview_rules,
            lift_quarantine,
            *review_jobs,
            undo_actions,
        ],
        sensors=[
            jetstream_sensor,
            ingest_health_sensor,
            action_health_sensor,
            catch_up_sensor,
            rules_sensor,
            rematch_sensor,
            golden_sensor,
            exempt_lists_sensor,
            alert_sensor,
        ],
        schedules=[
            daily_report_schedule,
            weekly_report_schedule,
            daily_rules,
            compaction_schedule,
            maintenance_schedule,
            outcomes_schedule,
            snapshot_schedule,
        ],
        resources=resources(load_settings()),
        # What people launch in the UI, too, runs in one process, as the jobs do.
        executor=IN_PROCESS,
    )
