"""What the commands share: settings, times, errors, a progress line."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import typer

from phash_dagster.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from rich.console import Console

FAILED: Final = 2
"""Exit code where a setting, an argument or a store cannot be used."""

_WIDE: Final = 200
"""Characters of a line in files and pipes."""


def settings_or_exit() -> Settings:
    """The settings; what is wrong with them is printed and ends the command."""
    try:
        return load_settings()
    except SettingsError as error:
        typer.echo(f"{error}\nSee docs/configuration.md for what each variable means.", err=True)
        raise typer.Exit(FAILED) from None


def moment(text: str, now: datetime) -> datetime:
    """The moment that an option `--since` names.

    Raises:
        typer.BadParameter: It names none.
    """
    from phash_dagster.preview.since import parse_since

    try:
        return parse_since(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def output() -> "Console":
    """Where tables go. Lines that nobody's terminal bounds are not folded at its width."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE)


@contextmanager
def errors_as_text() -> Iterator[None]:
    """Print what a store says that cannot be used, and end the command."""
    from phash_dagster.moderation.ledger_database import LedgerError
    from phash_dagster.preview.sources import OldWarehouseError
    from phash_dagster.warehouse import WarehouseBusyError

    try:
        yield
    except (WarehouseBusyError, OldWarehouseError, LedgerError, OSError) as error:
        typer.echo(f"phash-dagster: {error}", err=True)
        raise typer.Exit(FAILED) from None


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Tells a person at a terminal what is done at the moment; tells nobody else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda words: status.update(words)
