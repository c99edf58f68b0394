"""`phash-dagster quarantine …`: rule hashes whose actions are held since they were flooded."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.shared import errors_as_text, output, settings_or_exit

if TYPE_CHECKING:
    from phash_dagster.moderation.ledger_limits import Quarantine

app = typer.Typer(
    help="Rule hashes that found far more posts than ever before.", no_args_is_help=True
)

_NOT_THERE = 1


@app.command("list")
def list_quarantined(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List the quarantined hashes, those quarantined last first."""
    from rich.table import Table

    settings = settings_or_exit()
    with errors_as_text():
        found = _quarantined(settings.effective_ledger_url)
    if as_json:
        rows = [asdict(each) | {"since": each.since.isoformat()} for each in found]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo("No rule hash is quarantined.")
        return
    table = Table("rule", "rule hash", "since", "why", box=None)
    for each in found:
        since = f"{each.since:%Y-%m-%d %H:%M}"
        table.add_row(each.rule_id, each.rule_hash, since, each.reason)
    output().print(table)


@app.command()
def lift(
    rule_hash: Annotated[str, typer.Argument(metavar="HASH", help="The rule hash, in hex.")],
    rule: Annotated[
        str, typer.Option(help="Only for the rule of this id; else for all that have the hash.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who decides; by default the system's user.")] = "",
) -> None:
    """Let a hash act again. What was held of it stays held until it is released."""
    from phash_dagster.moderation.ledger import Ledger

    settings = settings_or_exit()
    wanted = rule_hash.strip().lower()
    with errors_as_text(), Ledger(settings.effective_ledger_url) as ledger:
        lifted = ledger.limits.lift_quarantine(wanted, by or _user(), rule or None)
    if not lifted:
        of_rule = f" for the rule {rule}" if rule else ""
        typer.echo(
            f"{wanted} is not quarantined{of_rule}; see `phash-dagster quarantine list`", err=True
        )
        raise typer.Exit(_NOT_THERE)
    typer.echo(
        f"{wanted} acts again, and is not quarantined for a day. Its held actions: "
        f"`phash-dagster actions list --state held --hash {wanted}`"
    )


def _quarantined(url: str) -> "list[Quarantine]":
    from sqlalchemy import Connection, inspect

    from phash_dagster.moderation.ledger_limits import quarantined_in
    from phash_dagster.moderation.ledger_reading import read_ledger
    from phash_dagster.moderation.ledger_schema import quarantined_hashes

    def look(connection: Connection) -> "list[Quarantine]":
        # A ledger of an earlier release lacks the table, until the pipeline opens it.
        known = inspect(connection).has_table(quarantined_hashes.name)
        return quarantined_in(connection) if known else []

    nothing: list[Quarantine] = []
    return read_ledger(url, look, nothing=nothing)


def _user() -> str:
    import getpass

    return getpass.getuser()
