"""`moderation_actions`: what follows from the matches, once per subject. A graph asset whose data
is the ledger: the op `plan_actions` writes rows, the op `emit_ozone_events` sends them.

Both ops share the pool `ozone`, which has one slot. Two planners at once could not see each
other's claims, and Ozone's check for duplicates is not safe against two emitters.
"""

from typing import Any

import dagster as dg

from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.partitions import HOURLY, WEEK_PER_RUN
from phash_dagster.defs.resources import (
    ClockParam,
    ImagePostsParam,
    IngestRecordsParam,
    SettingsParam,
    WarehouseParam,
)
from phash_dagster.defs.tags import RULES_VERSION, lane_of

POOL = "ozone"

RETRIES = dg.RetryPolicy(
    max_retries=2,
    delay=1,
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)


@dg.op(
    ins={"matched": dg.In(dg.Nothing), "exempt": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    pool=POOL,
    retry_policy=RETRIES,
    description=(
        "Decides about each post with a match, leaves out what was done already or concerns what "
        "is gone or exempt, and records the rest in the ledger."
    ),
)
def plan_actions(
    context: dg.OpExecutionContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> None:
    """Plan the actions of the run's hours."""
    from phash_dagster.moderation.draft import Planning
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.plan_hours import plan_hours

    planning = Planning(
        hours=context.partition_keys,
        lane=lane_of(context.run.tags),
        run_id=context.run_id,
        now=clock(),
        is_rematch=RULES_VERSION in context.run.tags,
    )
    with Ledger(settings.effective_ledger_url, clock) as ledger:
        summary = plan_hours(
            planning, settings=settings, ledger=ledger, warehouse=warehouse, posts=posts
        )
    context.add_output_metadata(
        {
            "lane": planning.lane,
            "mode": settings.effective_mode,
            "decisions": summary.decisions,
            "recorded": summary.recorded,
            "deduplicated": summary.deduplicated,
            "suppressed": summary.suppressed,
            "held": summary.held,
            "left_out_for_quality": summary.low_quality,
            "planned": markdown_table(
                ("state", "event", "value", "subject", "rule", "distance"),
                [
                    (row.state, row.event, row.value, row.subject, row.rule_id, row.distance)
                    for row in summary.rows[:10]
                ],
            ),
        }
    )


@dg.op(
    ins={"planned": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    pool=POOL,
    retry_policy=RETRIES,
    description=(
        "Settles what a crash left unclear, then sends planned actions to Ozone; for a minute at "
        "most, the rest is for the next run. While Ozone does not answer it is left alone: "
        "`not_before` says until when. "
        "In shadow mode it sends nothing. Then it copies the ledger's changes into DuckDB."
    ),
)
def emit_ozone_events(
    context: dg.OpExecutionContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    posts: ImagePostsParam,
    clock: ClockParam,
) -> None:
    """Send what is planned."""
    from phash_dagster.moderation.emit import emit_planned
    from phash_dagster.moderation.exemptions import never_read
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.mirror import mirror_ledger
    from phash_dagster.moderation.unwanted import suppress_unwanted

    with warehouse.read() as connection:
        unread = never_read(connection, settings)
    with Ledger(settings.effective_ledger_url, clock) as ledger:
        try:
            summary = emit_planned(
                ledger,
                settings,
                clock,
                unread_lists=unread,
                look_again=lambda: suppress_unwanted(ledger, warehouse, posts, clock(), settings),
            )
        finally:
            mirrored = mirror_ledger(ledger, warehouse, clock)
        states = {state.value: count for state, count in ledger.counts().items()}
    context.add_output_metadata({**summary.counts(), "mirrored": mirrored, "ledger": states})


@dg.op(
    ins={"sent": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    description="Marks the run's hours as done, and counts what ingestion brought, for metrics.",
)
def mark_hours(
    context: dg.OpExecutionContext,
    warehouse: WarehouseParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> None:
    """Let the last step be one without the pool.

    The last step writes an event for each hour of the run. For a week of hours that takes seconds,
    and a live run must not wait for the slot meanwhile.
    """
    from phash_dagster.ingest.counts import count_batches
    from phash_dagster.warehouse import WarehouseBusyError

    try:
        count_batches(ingest, warehouse, clock)
    except WarehouseBusyError as error:
        # All is done but this, and the next run makes up for it.
        context.log.warning("The batches are not counted yet: %s", error)


@dg.failure_hook(required_resource_keys={"settings"})
def say_what_is_left(context: dg.HookContext) -> None:
    """Say in the run's log, once an op has failed for good, what is left and who takes it on."""
    from phash_dagster.moderation.actions import State
    from phash_dagster.moderation.ledger_database import LedgerError
    from phash_dagster.moderation.ledger_reading import list_actions
    from phash_dagster.moderation.row_filter import RowFilter

    waiting = RowFilter(states=(State.PLANNED, State.SENDING))
    try:
        left = list_actions(context.resources.settings.effective_ledger_url, waiting, limit=0).total
    except LedgerError as error:
        state = f"And {error}: `phash-dagster doctor` looks at it"
    else:
        state = f"{left} actions wait in the ledger"
    context.log.error(
        "%s failed after all its tries. %s. Nothing is sent twice: the next run settles and sends "
        "what waits. Hours that were not planned are asked for again by `catch_up_sensor`, those "
        "of a rematch by `rematch_sensor`; both stop where several runs failed, until you mend "
        "the cause and run the hours again. To look: `phash-dagster actions list --state planned`.",
        context.op.name,
        state,
    )


@dg.graph_asset(
    ins={
        "matched": dg.AssetIn("rule_matches", dagster_type=dg.Nothing),
        "exempt": dg.AssetIn("exempt_accounts", dagster_type=dg.Nothing),
    },
    partitions_def=HOURLY,
    backfill_policy=WEEK_PER_RUN,
    description=(
        "The ledger of moderation events: planned, sent to Ozone, or recorded in shadow mode; "
        "each (subject, event, value) once in CLAIM_TTL_DAYS. The ledger is a database of its "
        "own; DuckDB holds a copy for questions."
    ),
    group_name="moderation",
    tags={"contacts": "ozone"},
    hooks={say_what_is_left},
    kinds={"sqlite", "ozone"},
    owners=["team:moderation"],
)
def moderation_actions(matched: Any, exempt: Any) -> Any:
    """Plan, then send."""
    return mark_hours(emit_ozone_events(plan_actions(matched=matched, exempt=exempt)))
