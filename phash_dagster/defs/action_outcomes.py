"""`action_outcomes`: what people did about our actions, read back from Ozone every 15 minutes."""

from datetime import datetime, timedelta

import dagster as dg

from phash_dagster.defs.jobs import read_action_outcomes
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam

CHECK = "outcomes_read"

TOO_LONG = timedelta(hours=6)
"""Without having read to the end."""


@dg.asset(
    deps=["moderation_actions"],
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="action_outcomes",
            description=(
                "Ozone's events were read to the end within the last 6 hours. If this warns, "
                "explain and rule_precision lag behind; nothing else depends on it."
            ),
        )
    ],
    description=(
        "What became of actions at the labeler: labels and takedowns that people took back or "
        "confirmed, appeals, and what was undone. One row per action and event in Ozone. The view "
        "rule_precision counts them by rule, hash and distance."
    ),
    group_name="moderation",
    tags={"contacts": "ozone"},
    kinds={"duckdb", "ozone"},
    owners=["team:moderation"],
)
def action_outcomes(
    settings: SettingsParam, warehouse: WarehouseParam, clock: ClockParam
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it, and knows the bare one only
    """Read Ozone's events since the last time."""
    from phash_dagster.moderation.feedback import load_cursor, read_feedback
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.ozone import OzoneClient
    from phash_dagster.moderation.ozone_errors import OzoneMisconfiguredError
    from phash_dagster.moderation.pds_session import OzoneAccount
    from phash_dagster.moderation.precision import rule_precision

    if missing := settings.missing_credentials:
        raise dg.Failure(
            f"Ozone cannot be asked without {', '.join(missing)}.", allow_retries=False
        )
    account = OzoneAccount.from_settings(settings)
    try:
        with (
            Ledger(settings.effective_ledger_url, clock) as ledger,
            OzoneClient(account, clock=clock, keep_session_in=settings.session_path) as ozone,
        ):
            summary = read_feedback(ozone, settings.labeler_did, ledger, warehouse, clock=clock)
    except OzoneMisconfiguredError as error:
        # It would fail the same way again.
        raise dg.Failure(str(error), allow_retries=False) from error
    with warehouse.read() as connection:
        cursor = load_cursor(connection, settings.labeler_did)
        precision = rule_precision(connection)
    return dg.MaterializeResult(
        metadata={
            "events": summary.events,
            "not_understood": summary.not_understood,
            "new_outcomes": summary.outcomes,
            "taken_back_by_people": summary.taken_back,
            "caught_up": summary.caught_up,
            "stopped": summary.stopped or "",
            "latest": markdown_table(
                ("action", "outcome", "by", "when", "comment"),
                [
                    (one.action_id, one.outcome, one.by_did, one.happened_at, one.comment or "")
                    for one in summary.found[-10:]
                ],
            ),
            "least_precise": markdown_table(
                ("rule", "hash", "distance", "actions", "taken back", "precision, at least"),
                [
                    (
                        row.rule_id,
                        row.rule_hash,
                        row.distance,
                        row.actions,
                        row.reversed_by_people + row.undone,
                        f"{row.precision_low:.0%}",
                    )
                    for row in precision[:20]
                ],
            ),
        },
        check_results=[
            _check(
                summary.caught_up,
                summary.stopped,
                cursor.caught_up_at if cursor else None,
                clock(),
            )
        ],
    )


def _check(
    caught_up: bool, stopped: str | None, last: datetime | None, now: datetime
) -> dg.AssetCheckResult:
    recent = caught_up or (last is not None and now - last < TOO_LONG)
    since = f"since {last:%Y-%m-%d %H:%M} UTC" if last else "yet"
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=recent,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            "Ozone's events were read to the end."
            if caught_up
            else f"Ozone's events were not read to the end {since}: {stopped}."
        ),
    )


@dg.schedule(
    name="outcomes_schedule",
    job=read_action_outcomes,
    cron_schedule="7,22,37,52 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Reads back from Ozone what became of actions, every 15 minutes, once there are "
        "credentials."
    ),
)
def outcomes_schedule(
    context: dg.ScheduleEvaluationContext, settings: SettingsParam
) -> dg.RunRequest | dg.SkipReason:
    """One run, unless Ozone cannot be asked."""
    if missing := settings.missing_credentials:
        return dg.SkipReason(f"{', '.join(missing)} not set: Ozone cannot be asked.")
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())
