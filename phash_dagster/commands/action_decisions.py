"""`phash-dagster actions release|reject|retry`: what people decide about actions."""

from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.action_options import (
    ActionOptions,
    ByOption,
    JsonOption,
    YesOption,
    about_actions,
    who,
)
from phash_dagster.commands.action_tables import as_json, print_counts, print_skipped
from phash_dagster.commands.shared import FAILED, errors_as_text, settings_or_exit
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.moderation.ledger_reviews import Reviewed
    from phash_dagster.moderation.reviewing import Chosen, Verb

AllOption = Annotated[bool, typer.Option("--all", help="All there are, where nothing is named.")]

_NOTHING = 1
"""Exit code where nothing is as asked for, something was skipped, or the answer was no."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (release, reject, retry):
        app.command()(about_actions(command))


def release(
    options: ActionOptions,
    everything: AllOption = False,
    by: ByOption = "",
    yes: YesOption = False,
    as_json_: JsonOption = False,
) -> None:
    """Let held actions be sent.

    A whole backfill that is held goes on with --batch and nothing else.
    """
    _decide("release", options, everything=everything, by=by, yes=yes, json=as_json_)


def reject(
    options: ActionOptions,
    everything: AllOption = False,
    by: ByOption = "",
    yes: YesOption = False,
    as_json_: JsonOption = False,
) -> None:
    """Never send actions that are held, planned, failed or dead.

    On a post that holds for good, on an account for CLAIM_TTL_DAYS.
    """
    _decide("reject", options, everything=everything, by=by, yes=yes, json=as_json_)


def retry(
    options: ActionOptions,
    everything: AllOption = False,
    by: ByOption = "",
    yes: YesOption = False,
    as_json_: JsonOption = False,
) -> None:
    """Send actions again that failed or are dead."""
    _decide("retry", options, everything=everything, by=by, yes=yes, json=as_json_)


def _decide(
    verb: "Verb", options: ActionOptions, *, everything: bool, by: str, yes: bool, json: bool
) -> None:
    settings, which = settings_or_exit(), options.row_filter()
    if which.is_empty and not everything:
        typer.echo(f"Name the actions to {verb}, by numbers or options; or --all.", err=True)
        raise typer.Exit(FAILED)
    from phash_dagster.moderation.reviewing import choose

    with errors_as_text():
        try:
            chosen = choose(verb, which, settings)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--state") from None
        if chosen.is_empty:
            print_skipped(chosen.skipped)
            typer.echo(f"There is nothing to {verb}.", err=True)
            raise typer.Exit(_NOTHING)
        _confirm(verb, chosen, yes=yes, quiet=json)
        reviewed = _carry_out(verb, chosen, settings, who(by))
    _print(verb, chosen, reviewed, json=json)
    if reviewed.skipped or chosen.skipped:
        raise typer.Exit(_NOTHING)


def _confirm(verb: "Verb", chosen: "Chosen", *, yes: bool, quiet: bool) -> None:
    """Say what would be decided, and ask where it is about many."""
    if not quiet:
        print_counts(chosen.counts)
        for batch_id in chosen.backfills:
            typer.echo(f"The backfill {batch_id} goes on: what it finds later is sent, too.")
    if yes or (len(chosen.action_ids) == 1 and not chosen.backfills):
        return
    question = f"{verb.capitalize()} {len(chosen.action_ids):,} actions?"
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        typer.echo("Nothing was changed. --yes does it without asking.", err=True)
        raise typer.Exit(_NOTHING)


def _carry_out(verb: "Verb", chosen: "Chosen", settings: Settings, by: str) -> "Reviewed":
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.reviewing import decide

    with Ledger(settings.effective_ledger_url) as ledger:
        return decide(verb, chosen, ledger, by, settings)


def _print(verb: "Verb", chosen: "Chosen", reviewed: "Reviewed", *, json: bool) -> None:
    from phash_dagster.moderation.reviewing import DONE

    skipped = (*chosen.skipped, *reviewed.skipped)
    if json:
        typer.echo(
            as_json(
                {
                    "changed": reviewed.changed,
                    "skipped": [{"action_id": row, "why": why} for row, why in skipped],
                    "backfills": chosen.backfills,
                }
            )
        )
        return
    print_skipped(skipped)
    typer.echo(f"{DONE[verb].capitalize()}: {len(reviewed.changed):,}")
    for text in chosen.held_on:
        typer.echo(f"Note: {text}.")
    if verb != "reject" and reviewed.changed:
        typer.echo("They are sent by the next run of moderate_hour, unless no longer wanted.")
