"""What the commands share: settings, times, errors, a progress line."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

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


def writable_settings_or_exit() -> Settings:
    """The settings, of a `DATA_DIR` that can be written to; else the command ends."""
    settings = settings_or_exit()
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        typer.echo(f"DATA_DIR: {folder} cannot be written ({error.strerror})", err=True)
        raise typer.Exit(FAILED) from None
    return settings


def announcement(settings: Settings) -> str:
    """What a pipeline with these settings will do: whether it sends, what it reads, where it is."""
    if settings.effective_mode == "live":
        mode = f"LIVE: actions are sent to {settings.labeler_did} as {settings.automod_handle}."
    elif settings.moderation_mode == "live":
        missing = ", ".join(settings.missing_credentials)
        mode = f"Shadow mode, since {missing} is not set: actions are recorded, nothing is sent."
    else:
        mode = "Shadow mode: actions are recorded, nothing is sent (MODERATION_MODE=live sends)."
    return (
        f"{mode}\nReading {settings.jetstream_url}; rules in {settings.rules_dir} "
        f"({_rule_files(settings.rules_dir)}); data in {settings.data_dir}."
    )


def _rule_files(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder yet: nothing can match"
    from phash_dagster.rules import rule_files

    return f"{len(rule_files(folder))} files"


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


def is_there(name: str) -> bool:
    """Whether there is such a file or folder; what is too long for a name is none."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def output(file: IO[str] | None = None) -> "Console":
    """Where tables go, by default to standard output. Lines that nobody's terminal bounds are not
    folded at its width."""
    from rich.console import Console

    on_terminal = file is None and sys.stdout.isatty()
    return Console(width=None if on_terminal else _WIDE, file=file)


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
