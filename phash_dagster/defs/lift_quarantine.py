"""`lift_quarantine`: a person lets a flooded rule hash act again, from the Dagster UI."""

import dagster as dg
from pydantic import Field

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.moderation_actions import POOL
from phash_dagster.defs.resources import ClockParam, SettingsParam


class LiftConfig(dg.Config):
    """Which hash, and who decides."""

    rule_hash: str = Field(description="The rule hash, in hexadecimal, as the check names it.")
    rule_id: str = Field("", description="Only for this rule; empty: for all that have the hash.")
    by: str = Field("Dagster UI", description="Who decides; kept with the decision.")


@dg.op(pool=POOL, out=dg.Out(dg.Nothing), description="Lets a quarantined rule hash act again.")
def lift(
    context: dg.OpExecutionContext, config: LiftConfig, settings: SettingsParam, clock: ClockParam
) -> None:
    """Lift it, or fail saying that it is not quarantined."""
    from phash_dagster.moderation.ledger import Ledger

    rule_hash = config.rule_hash.strip().lower()
    with Ledger(settings.effective_ledger_url, clock) as ledger:
        lifted = ledger.limits.lift_quarantine(rule_hash, config.by, config.rule_id or None)
    if not lifted:
        raise dg.Failure(f"{rule_hash} is not quarantined", allow_retries=False)
    context.add_output_metadata({"rule_hash": rule_hash, "rules": lifted})


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Let a rule hash act again that was quarantined since it found far more posts than ever "
        "before. What was held of it stays held until it is released."
    ),
)
def lift_quarantine() -> None:
    """The one step."""
    lift()
