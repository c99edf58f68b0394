"""`phash-dagster import-legacy`: takes over what the predecessor kept in Redis."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phash_dagster.commands.shared import errors_as_text, progress_line, settings_or_exit

if TYPE_CHECKING:
    from phash_dagster.legacy.keys import Sorted
    from phash_dagster.settings import Settings

_SHOWN_KEYS = 3


def import_legacy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|redis://…",
            help="An RDB file, a JSON dump, or the address of the running Redis.",
        ),
    ],
    algorithm: Annotated[
        Literal["average", "average-integer"],
        typer.Option(help="`phash-dagster calibrate` tells which one made your hashes."),
    ] = "average",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what there is, and write nothing.")
    ] = False,
) -> None:
    """Take over the predecessor's hashes and claims, so that nothing is fetched or labelled twice.

    Run it as often as you like: what is known is left as it is. Redis is only read.
    """
    from phash_dagster.clock import utc_now
    from phash_dagster.legacy.keys import sort_entries
    from phash_dagster.legacy.sources import LegacySourceError, read_entries

    settings = settings_or_exit()
    try:
        with progress_line() as progress:
            progress("reading")
            found = sort_entries(read_entries(source, utc_now()))
    except LegacySourceError as error:
        typer.echo(f"phash-dagster: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(_found(found))
    if not dry_run:
        with errors_as_text():
            _import(found, settings, algorithm)


def _found(found: "Sorted") -> str:
    lines = [
        f"Found {len(found.hashes):,} hashes and {len(found.claims):,} claims; "
        f"{found.others:,} other keys are left alone."
    ]
    if found.unreadable:
        shown = ", ".join(repr(key) for key in found.unreadable[:_SHOWN_KEYS])
        lines.append(f"{len(found.unreadable):,} keys could not be understood, such as {shown}.")
    return "\n".join(lines)


def _import(found: "Sorted", settings: "Settings", algorithm: str) -> None:
    from phash_dagster.clock import utc_now
    from phash_dagster.legacy.store import import_claims, import_hashes
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.warehouse import Warehouse

    now = utc_now()
    with progress_line() as progress:
        progress("keeping hashes")
        with Warehouse(settings.warehouse_path).write() as connection:
            hashes = import_hashes(connection, found.hashes, algorithm=algorithm, now=now)
        progress("keeping claims")
        with Ledger(settings.effective_ledger_url) as ledger:
            window = timedelta(days=settings.claim_ttl_days)
            claims = import_claims(ledger, found.claims, claim_ttl=window, now=now)
    typer.echo(f"Imported {hashes:,} hashes and {claims:,} claims; the others were known.")
