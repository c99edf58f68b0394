"""`undo_actions`: takes back what rules did, from the Dagster UI."""

import dagster as dg
from pydantic import Field

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.moderation_actions import POOL
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam
from phash_dagster.defs.review_actions import MOST_ROWS, ActionsConfig, failure, filter_of, who


class UndoConfig(ActionsConfig):
    """Which actions to take back."""

    allow_again: bool = Field(
        False, description="Let the rules do the same again, once CLAIM_TTL_DAYS are over."
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    pool=POOL,
    description=(
        "Takes labels and takedowns back that no other rule in force asks for, and stops what "
        "waits."
    ),
)
def undo_sent(
    context: dg.OpExecutionContext,
    config: UndoConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    clock: ClockParam,
) -> None:
    """Undo."""
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.mirror import mirror_ledger
    from phash_dagster.moderation.undo import UndoRequest
    from phash_dagster.moderation.undo_counts import counted, remarks
    from phash_dagster.moderation.undo_run import look_at_undo, undo

    now = clock()
    which = filter_of(config, now)
    if which.is_empty:
        raise failure("say what to undo: actions, rules, rule_hashes, batches, rule_versions …")
    request = UndoRequest(
        which=which,
        by=who(config, context),
        batch_id=f"undo-{context.run_id}",
        run_id=context.run_id,
        now=now,
        mode=settings.effective_mode,
        allow_again=config.allow_again,
    )
    if config.dry_run:
        found = look_at_undo(request, settings, context.log.info)
    else:
        found = undo(request, settings, clock, context.log.info)
        with Ledger(settings.effective_ledger_url, clock) as ledger:
            mirror_ledger(ledger, warehouse)
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "mode": request.mode,
            "batch": request.batch_id,
            "taken_back": len(found.plan.taken_back),
            "stopped": len(found.plan.stopped) + len(found.plan.given_up),
            "kept": len(found.plan.kept),
            "actions": markdown_table(
                ("what", "actions", "accounts", "event", "label", "rule", "because"),
                [
                    (
                        each.outcome,
                        each.actions,
                        each.accounts,
                        each.event,
                        each.value,
                        each.rule_id,
                        each.because,
                    )
                    for each in counted(found.plan)[:MOST_ROWS]
                ],
            ),
            "kept_labels": markdown_table(
                ("subject", "label", "why", "because of"),
                [
                    (
                        kept.action.subject,
                        kept.action.value,
                        kept.support,
                        kept.support.post,
                    )
                    for kept in found.plan.kept[:MOST_ROWS]
                ],
            ),
            "remarks": remarks(found, request, settings, done=not config.dry_run),
        }
    )


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Take back what a batch, a rule, a hash or a rules version did. Launched with what to undo "
        "it only says what it would do; set dry_run to false to do it."
    ),
)
def undo_actions() -> None:
    """The one step."""
    undo_sent()
