"""`phash-dagster serve …`: web server, daemon and code server, each for a supervisor to run."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from phash_dagster.commands.shared import (
    FAILED,
    announcement,
    settings_or_exit,
    writable_settings_or_exit,
)

app = typer.Typer(
    help="Run one part of the pipeline, for systemd or containers (docs/production.md).",
    no_args_is_help=True,
)


@app.command()
def code() -> None:
    """The pipeline itself: evaluates sensors, runs the runs. One per DATA_DIR."""
    from phash_dagster.services import serve_code

    settings = writable_settings_or_exit()
    typer.echo(announcement(settings))
    _or_exit(lambda: serve_code(settings))


@app.command()
def daemon() -> None:
    """Dagster's daemon: sensors, schedules, the queue of runs."""
    from phash_dagster.services import serve_daemon

    settings = settings_or_exit()
    _or_exit(lambda: serve_daemon(settings))


@app.command()
def web(
    port: Annotated[int, typer.Option(help="Port of the web UI.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to listen on. The UI has no login: put one in front.")
    ] = "127.0.0.1",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="For people who are to look and change nothing.")
    ] = False,
) -> None:
    """The Dagster UI."""
    from phash_dagster.services import serve_web

    settings = settings_or_exit()
    _or_exit(lambda: serve_web(settings, host=host, port=port, read_only=read_only))


def _or_exit(serve: Callable[[], NoReturn]) -> NoReturn:
    from phash_dagster.stack import StackError

    try:
        serve()
    except (StackError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(FAILED) from None
