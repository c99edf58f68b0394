"""`phash-dagster actions …`: what was planned and sent, and what people decide about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands import action_decisions, action_undo
from phash_dagster.commands.action_options import ActionOptions, JsonOption, about_actions
from phash_dagster.commands.action_tables import (
    as_json,
    print_action,
    print_actions,
    print_counts,
)
from phash_dagster.commands.shared import errors_as_text, settings_or_exit

if TYPE_CHECKING:
    from phash_dagster.moderation.ledger_reading import Listing

app = typer.Typer(
    help="Look at actions; release, reject, retry and undo them.", no_args_is_help=True
)

_NOTHING = 1
"""Exit code where nothing is as asked for."""


@app.command("list")
@about_actions
def list_actions(
    options: ActionOptions,
    limit: Annotated[int, typer.Option(min=1, help="Actions that are listed.")] = 50,
    count: Annotated[
        bool, typer.Option("--count", help="Count them by state, event, rule and reason.")
    ] = False,
    as_json_: JsonOption = False,
) -> None:
    """List actions, those planned last first. Exit code 1 if there is none."""
    from phash_dagster.moderation.ledger_reading import list_actions as find

    settings, which = settings_or_exit(), options.row_filter()
    with errors_as_text():
        found = find(settings.effective_ledger_url, which, limit=0 if count else limit)
    if as_json_:
        actions = {"counts": found.counts} if count else {"actions": found.actions}
        typer.echo(
            as_json({"total": found.total, **actions, "held_as_a_whole": found.held_as_a_whole})
        )
    else:
        _print_listing(found, count=count)
    if not found.total:
        typer.echo("No action is as asked for.", err=True)
        raise typer.Exit(_NOTHING)


def _print_listing(found: "Listing", *, count: bool) -> None:
    if count and found.counts:
        print_counts(found.counts)
    elif found.actions:
        print_actions(found.actions)
        if more := found.total - len(found.actions):
            typer.echo(f"{more:,} more; --limit lists more of them, --count counts them.")
    for text in found.held_as_a_whole:
        typer.echo(text)


@app.command()
def show(
    targets: Annotated[
        list[str], typer.Argument(metavar="ACTION|AT-URI|DID...", help="As for list.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="Actions that are shown.")] = 20,
    as_json_: JsonOption = False,
) -> None:
    """Print everything about actions: by their numbers, or all on a post or an account."""
    from phash_dagster.moderation.ledger_reading import show_actions

    settings, which = settings_or_exit(), ActionOptions(targets=targets).row_filter()
    with errors_as_text():
        found = show_actions(settings.effective_ledger_url, which, limit + 1)
    shown = found[:limit]
    if as_json_:
        typer.echo(as_json(shown))
    for each in shown if not as_json_ else ():
        print_action(each.action, each.undone_by)
        typer.echo()
    if len(found) > limit:
        typer.echo("There are more; --limit shows more of them.", err=True)
        return
    unknown = sorted(set(which.action_ids) - {each.action.action_id for each in shown})
    for action_id in unknown:
        typer.echo(f"There is no action {action_id}.", err=True)
    if not shown and not unknown:
        typer.echo("There is no action on these.", err=True)
    if unknown or not shown:
        raise typer.Exit(_NOTHING)


action_decisions.register(app)
action_undo.register(app)
