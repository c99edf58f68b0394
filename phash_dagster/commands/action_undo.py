"""`phash-dagster actions undo`: take labels and takedowns back."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.action_options import (
    ActionOptions,
    ByOption,
    JsonOption,
    about_actions,
    who,
)
from phash_dagster.commands.action_tables import as_json, print_undo
from phash_dagster.commands.shared import FAILED, errors_as_text, progress_line, settings_or_exit
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.moderation.undo import UndoRequest
    from phash_dagster.moderation.undo_run import Undo

_NOTHING = 1
"""Exit code where there is no action as asked for."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(about_actions(undo))


def undo(
    options: ActionOptions,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without, it is only said what would be done.")
    ] = False,
    allow_again: Annotated[
        bool,
        typer.Option(help="Let the rules do the same again, once CLAIM_TTL_DAYS are over."),
    ] = False,
    by: ByOption = "",
    as_json_: JsonOption = False,
) -> None:
    """Take back labels and takedowns, and stop what waits. Only says so, unless --yes is given.

    What another rule in force asks for stays. What was undone is not done again: on posts for good,
    on accounts for CLAIM_TTL_DAYS.
    """
    settings, which = settings_or_exit(), options.row_filter()
    if which.is_empty:
        typer.echo(
            "Name what to undo: numbers, --rule, --hash, --batch, --rule-version …", err=True
        )
        raise typer.Exit(FAILED)
    from phash_dagster.clock import utc_now
    from phash_dagster.moderation.undo import UndoRequest

    now = utc_now()
    batch = undo_batch(now)
    request = UndoRequest(
        which=which,
        by=who(by),
        batch_id=batch,
        run_id=batch,
        now=now,
        mode=settings.effective_mode,
        allow_again=allow_again,
    )
    with errors_as_text():
        found = _run(request, settings, in_earnest=yes)
    _print(found, request, settings, done=yes, json=as_json_)
    if found.is_empty:
        raise typer.Exit(_NOTHING)


def undo_batch(now: datetime) -> str:
    """The name of the batch of an undo at a time."""
    return f"undo-{now:%Y%m%dT%H%M%SZ}"


def _run(request: "UndoRequest", settings: Settings, *, in_earnest: bool) -> "Undo":
    from phash_dagster.moderation.undo_run import look_at_undo
    from phash_dagster.moderation.undo_run import undo as carry_out

    with progress_line() as progress:
        act = carry_out if in_earnest else look_at_undo
        return act(request, settings, progress=progress)


def _print(
    found: "Undo", request: "UndoRequest", settings: Settings, *, done: bool, json: bool
) -> None:
    from phash_dagster.moderation.undo_counts import counted, remarks

    counts, notes = counted(found.plan), remarks(found, request, settings, done=done)
    if json:
        typer.echo(
            as_json(
                {
                    "dry_run": not done,
                    "mode": request.mode,
                    "batch": request.batch_id if done else None,
                    "counts": counts,
                    "remarks": notes,
                    "kept": [
                        {
                            "action_id": kept.action.action_id,
                            "subject": kept.action.subject,
                            "why": str(kept.support),
                            "rule_id": kept.support.rule_id,
                            "post": kept.support.post,
                        }
                        for kept in found.plan.kept
                    ],
                }
            )
        )
        return
    if counts:
        print_undo(counts)
    for note in notes:
        typer.echo(note)
