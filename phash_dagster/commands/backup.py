"""`phash-dagster backup` and `restore`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.shared import FAILED, errors_as_text, progress_line, settings_or_exit
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.backup.manifest import Manifest
    from phash_dagster.backup.parts import DagsterStorage
    from phash_dagster.backup.restore import Restored


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="The file to write; in a folder a new one, named by the time.",
        ),
    ],
    days: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of the Parquet files only those of so many days; all by default. "
            "They are most of a backup and never change once an hour is over.",
        ),
    ] = None,
) -> None:
    """Write a backup of everything but settings and secrets, also while the pipeline runs."""
    from phash_dagster.backup.create import Source, create_backup
    from phash_dagster.clock import utc_now

    settings = settings_or_exit()
    now = utc_now()
    target = file / f"phash-dagster-{now:%Y%m%dT%H%M%SZ}.zip" if file.is_dir() else file
    first_day = None if days is None else f"{now - timedelta(days=days):%Y-%m-%d}"
    with _errors(), progress_line() as progress, _dagster_there(settings) as dagster:
        made = create_backup(
            Source(settings, dagster), target.absolute(), first_day=first_day, on_step=progress
        )
    typer.echo(f"{target}: {_size(made)}. Settings, .env and secrets are not in it.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether it is whole and can be restored here.")
    ] = False,
    keep_ledger: Annotated[
        bool,
        typer.Option(
            "--keep-ledger",
            help="Go on with the ledger that is at LEDGER_URL, which is newer than the backup.",
        ),
    ] = False,
) -> None:
    """Restore a backup into an empty DATA_DIR; nothing is overwritten."""
    from phash_dagster.backup.restore import Target, check_backup, restore_backup
    from phash_dagster.stack import exclusive

    settings = settings_or_exit()
    with _errors(), progress_line() as progress:
        if check:
            found = check_backup(file, progress)
            typer.echo(f"{file} is whole: {_size(found)}, made {found.made_at:%Y-%m-%d %H:%M} UTC.")
            return
        with exclusive(settings):
            target = Target(settings, lambda: _dagster_here(settings))
            done = restore_backup(file, target, keep_ledger=keep_ledger, on_step=progress)
    typer.echo(_what_now(done, settings))


def _what_now(done: "Restored", settings: Settings) -> str:
    made_at = f"{done.manifest.made_at:%Y-%m-%d %H:%M} UTC"
    lines = [f"Restored into {settings.data_dir}: the state of {made_at}. {done.rules}"]
    if done.manifest.first_day:
        lines.append(
            f"Parquet files from before {done.manifest.first_day} were not in the backup: copy "
            "them back if you kept them."
        )
    if not done.ledger_kept:
        lines.append(
            "What was sent since then is asked of Ozone before anything is sent again. What people "
            "decided since then (released, rejected) is lost: decide it anew."
        )
    return "\n".join(lines)


def _size(manifest: "Manifest") -> str:
    megabytes = sum(entry.size for entry in manifest.files.values()) / 1e6
    return f"{len(manifest.files)} files of {megabytes:.1f} MB in all"


@contextmanager
def _dagster_there(settings: Settings) -> "Iterator[DagsterStorage]":
    """The storage of a pipeline, which may be running: its instance settings stay as they are."""
    from phash_dagster.backup.archive import BackupError
    from phash_dagster.stack import home_environment, home_of, storage_is_named_by_url

    instance_file = home_of(settings, os.environ) / "dagster.yaml"
    if not instance_file.exists():
        raise BackupError(f"there is no {instance_file}: no pipeline was started on this DATA_DIR")
    if storage_is_named_by_url(instance_file) and not settings.dagster_storage_url:
        raise BackupError(
            "this pipeline has its Dagster storage in PostgreSQL, and DAGSTER_STORAGE_URL is not "
            "set here: give this command the settings that the pipeline has"
        )
    with _storage(home_environment(settings, os.environ)) as storage:
        yield storage


@contextmanager
def _dagster_here(settings: Settings) -> "Iterator[DagsterStorage]":
    """The storage that a pipeline with these settings has, made where it is missing."""
    from phash_dagster.stack import prepare_home

    with _storage(prepare_home(settings, os.environ)) as storage:
        yield storage


@contextmanager
def _storage(environment: dict[str, str]) -> "Iterator[DagsterStorage]":
    from phash_dagster.defs.storage_copy import storage_of
    from phash_dagster.stack import dagster_instance

    with dagster_instance(environment) as instance:
        yield storage_of(instance)


@contextmanager
def _errors() -> Iterator[None]:
    from phash_dagster.backup.archive import BackupError
    from phash_dagster.stack import StackError

    try:
        with errors_as_text():
            yield
    except (BackupError, StackError) as error:
        typer.echo(f"phash-dagster: {error}", err=True)
        raise typer.Exit(FAILED) from None
