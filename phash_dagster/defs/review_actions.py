"""What people decide about actions, from the Dagster UI: release, reject and retry them.

Each job first only says what it would do; it does it with `dry_run: false`. The steps share the
pool `ozone`, so that nobody plans or sends meanwhile.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import Field

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.moderation_actions import POOL
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam
from phash_dagster.settings import Settings
from phash_dagster.warehouse import Warehouse

if TYPE_CHECKING:
    from phash_dagster.moderation.reviewing import Verb
    from phash_dagster.moderation.row_filter import RowFilter

MOST_ROWS: Final = 100
"""Rows of a table in the UI."""


class ActionsConfig(dg.Config):
    """Which actions, and whether in earnest. What is left empty excludes nothing."""

    actions: list[str] = Field(
        [],
        description="Numbers of actions, at:// URIs of posts, or DIDs of accounts with their "
        "posts.",
    )
    states: list[str] = Field([], description="In these states, e.g. held.")
    rules: list[str] = Field([], description="By these rules, by their ids.")
    rule_hashes: list[str] = Field([], description="By these rule hashes.")
    batches: list[str] = Field([], description="Of these batches, e.g. of a backfill.")
    runs: list[str] = Field([], description="Planned by these runs; 8 characters will do.")
    rule_versions: list[str] = Field(
        [], description="By these rules versions; 6 characters will do."
    )
    events: list[str] = Field([], description="Of these events, e.g. label, takedown.")
    labels: list[str] = Field([], description="With these labels.")
    lanes: list[str] = Field([], description="Of these lanes: live, backfill.")
    since: str = Field(
        "", description="Planned or sent since: 30d, 12h, 2w, or a date such as 2026-11-01."
    )
    everything: bool = Field(
        False, description="All there are, where nothing above says which actions."
    )
    dry_run: bool = Field(True, description="Only say what would be done.")
    by: str = Field("", description="Who decides; by default this run.")


def filter_of(config: ActionsConfig, now: datetime) -> "RowFilter":
    """The actions that are meant.

    Raises:
        dagster.Failure: Something names nothing; or nothing is named, in earnest.
    """
    from phash_dagster.moderation.row_filter import parse_filter
    from phash_dagster.preview.since import parse_since

    try:
        which = parse_filter(
            targets=config.actions,
            states=config.states,
            events=config.events,
            labels=config.labels,
            rules=config.rules,
            hashes=config.rule_hashes,
            versions=config.rule_versions,
            batches=config.batches,
            runs=config.runs,
            lanes=config.lanes,
            since=parse_since(config.since, now) if config.since else None,
        )
    except ValueError as error:
        raise failure(str(error)) from None
    if which.is_empty and not config.everything and not config.dry_run:
        raise failure("say which actions, or `everything: true`")
    return which


def failure(text: str) -> dg.Failure:
    """The end of a run that would end so again."""
    return dg.Failure(text, allow_retries=False)


def who(config: ActionsConfig, context: dg.OpExecutionContext) -> str:
    """Who decides."""
    return config.by or f"Dagster run {context.run_id[:8]}"


def _decide(
    verb: "Verb",
    context: dg.OpExecutionContext,
    config: ActionsConfig,
    *,
    settings: Settings,
    warehouse: Warehouse,
    now: datetime,
) -> None:
    """Decide, or say what would be decided."""
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.ledger_reviews import Reviewed
    from phash_dagster.moderation.mirror import mirror_ledger
    from phash_dagster.moderation.reviewing import choose, decide

    which = filter_of(config, now)
    try:
        chosen = choose(verb, which, settings)
    except ValueError as error:
        raise failure(str(error)) from None
    reviewed = Reviewed()
    if not config.dry_run and not chosen.is_empty:
        with Ledger(settings.effective_ledger_url, lambda: now) as ledger:
            reviewed = decide(verb, chosen, ledger, who(config, context), settings)
            mirror_ledger(ledger, warehouse)
    skipped = (*chosen.skipped, *reviewed.skipped)
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "concerned": len(chosen.action_ids),
            "changed": len(reviewed.changed),
            "actions": markdown_table(
                ("actions", "accounts", "state", "event", "label", "rule", "why"),
                [
                    (
                        each.rows,
                        each.accounts,
                        each.state,
                        each.event,
                        each.value,
                        each.rule_id,
                        each.reason or "",
                    )
                    for each in chosen.counts[:MOST_ROWS]
                ],
            ),
            "skipped": markdown_table(("action", "why"), skipped[:MOST_ROWS]),
            "backfills_that_go_on": list(chosen.backfills),
            "still_held": list(chosen.held_on),
        }
    )


@dg.op(out=dg.Out(dg.Nothing), pool=POOL, description="Lets held actions be sent.")
def release_held(
    context: dg.OpExecutionContext,
    config: ActionsConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    clock: ClockParam,
) -> None:
    """Release."""
    _decide("release", context, config, settings=settings, warehouse=warehouse, now=clock())


@dg.op(
    out=dg.Out(dg.Nothing),
    pool=POOL,
    description="Sees to it that actions which are held, planned, failed or dead are never sent.",
)
def reject_waiting(
    context: dg.OpExecutionContext,
    config: ActionsConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    clock: ClockParam,
) -> None:
    """Reject."""
    _decide("reject", context, config, settings=settings, warehouse=warehouse, now=clock())


@dg.op(
    out=dg.Out(dg.Nothing),
    pool=POOL,
    description="Plans actions again that failed or are dead.",
)
def retry_failed(
    context: dg.OpExecutionContext,
    config: ActionsConfig,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    clock: ClockParam,
) -> None:
    """Retry."""
    _decide("retry", context, config, settings=settings, warehouse=warehouse, now=clock())


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Send actions that are held. Launched as it is, it only lists what is held; name what to "
        "release and set dry_run to false. A whole backfill goes on if only its batch is named."
    ),
)
def release_actions() -> None:
    """The one step."""
    release_held()


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Never send actions that are held, planned, failed or dead. Launched as it is, it only "
        "lists them; name what to reject and set dry_run to false."
    ),
)
def reject_actions() -> None:
    """The one step."""
    reject_waiting()


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Send actions again that failed or are dead. Launched as it is, it only lists them; name "
        "what to retry and set dry_run to false."
    ),
)
def retry_actions() -> None:
    """The one step."""
    retry_failed()


review_jobs = (release_actions, reject_actions, retry_actions)
