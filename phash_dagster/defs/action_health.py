"""The checks on `moderation_actions`: does anything wait for a person? And the sensor for them."""

from dataclasses import dataclass

import dagster as dg

from phash_dagster.clock import Clock
from phash_dagster.defs.health import Check, report_changes
from phash_dagster.defs.moderation_actions import moderation_actions
from phash_dagster.defs.resources import ClockParam, SettingsParam
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import Settings
from phash_dagster.verdict import Verdict


@dataclass(frozen=True)
class Sources:
    """Where verdicts come from."""

    settings: Settings
    clock: Clock

    def ledger(self) -> Ledger:
        """The ledger, to be closed after use."""
        return Ledger(self.settings.effective_ledger_url, self.clock)


def _held(sources: Sources) -> Verdict:
    from phash_dagster.moderation.verdicts import judge_held

    with sources.ledger() as ledger:
        return judge_held(ledger.limits.waiting())


def _failed(sources: Sources) -> Verdict:
    from phash_dagster.moderation.verdicts import judge_failed

    with sources.ledger() as ledger:
        return judge_failed(ledger.limits.waiting())


def _quarantined(sources: Sources) -> Verdict:
    from phash_dagster.moderation.verdicts import judge_quarantine

    with sources.ledger() as ledger:
        return judge_quarantine(ledger.limits.quarantined())


CHECKS: tuple[Check[Sources], ...] = (
    Check(
        moderation_actions.key,
        "held_actions",
        _held,
        dg.AssetCheckSeverity.ERROR,
        "No action is held. Actions beyond a budget, of a backfill that reaches too far, or of a "
        "flooded rule hash wait for a person, who releases or rejects them.",
    ),
    Check(
        moderation_actions.key,
        "failed_actions",
        _failed,
        dg.AssetCheckSeverity.ERROR,
        "No action was refused by Ozone for good, or given up. Ozone's words stand in the details.",
    ),
    Check(
        moderation_actions.key,
        "quarantined_hashes",
        _quarantined,
        dg.AssetCheckSeverity.ERROR,
        "No rule hash is quarantined. One that finds far more posts than its own history has its "
        "actions held until a person lifts the quarantine.",
    ),
)


def _asset_check(check: Check[Sources]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=check.asset_key, name=check.name, description=check.description)
    def evaluate(settings: SettingsParam, clock: ClockParam) -> dg.AssetCheckResult:
        verdict = check.judge(Sources(settings, clock))
        return check.result(verdict or Verdict(False, "There is no verdict."))

    return evaluate


action_checks = [_asset_check(check) for check in CHECKS]


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Evaluates the checks on `moderation_actions`: held and failed actions, quarantined rule "
        "hashes. Reports a check when its verdict changes, and once an hour."
    ),
)
def action_health_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsParam, clock: ClockParam
) -> dg.SensorResult:
    """One look."""
    return report_changes(CHECKS, Sources(settings, clock), context.cursor, clock())
