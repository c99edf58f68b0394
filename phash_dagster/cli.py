"""The `phash-dagster` command. Parses and prints; the work is done elsewhere.

Modules are imported where they are used, so that `--help` and `hash` answer at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from phash_dagster.commands import alerts, backup, hashes, quarantine, rules, serve
from phash_dagster.commands.actions import app as actions_app
from phash_dagster.commands.doctor import doctor
from phash_dagster.commands.explain import explain
from phash_dagster.commands.import_legacy import import_legacy
from phash_dagster.commands.maintenance import maintenance
from phash_dagster.commands.metrics import metrics
from phash_dagster.commands.query import query
from phash_dagster.commands.report import report
from phash_dagster.commands.shared import announcement, writable_settings_or_exit
from phash_dagster.commands.similar import similar

app = typer.Typer(
    help="Image-hash moderation for Bluesky and other AT Protocol networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(rules.app, name="rules")
app.add_typer(actions_app, name="actions")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alerts.app, name="alerts")
app.add_typer(serve.app, name="serve")
hashes.register(app)
backup.register(app)
app.command()(similar)
app.command()(explain)
app.command()(import_legacy)
app.command()(maintenance)
app.command()(doctor)
app.command()(query)
app.command()(report)
app.command()(metrics)


def main() -> None:
    """Entry point of the console script."""
    import stamina

    # A retry that helped is nothing a person at the console needs to read about.
    stamina.instrumentation.set_on_retry_hooks([])
    app()


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the web UI.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to listen on. The UI has no login: keep it local.")
    ] = "127.0.0.1",
) -> None:
    """Run the Dagster UI and daemon: sensors on, shadow mode unless the settings say otherwise."""
    from phash_dagster.stack import StackError, run_dev

    settings = writable_settings_or_exit()
    typer.echo(announcement(settings))
    try:
        code = run_dev(settings, host=host, port=port)
    except StackError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


@app.command()
def demo(
    data_dir: Annotated[
        Path, typer.Option(help="Folder for the demo's data; emptied at the start.")
    ] = Path("var/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the generated images and posts.")] = 7,
) -> None:
    """Run the whole pipeline on a small network of its own, and check what it did."""
    from phash_dagster.sandbox.demo import DemoFolderError, run_demo

    try:
        code = run_demo(data_dir.absolute(), seed=seed)
    except DemoFolderError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
