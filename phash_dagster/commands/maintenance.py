"""`phash-dagster maintenance`: what is removed when it is old, and what is given back."""

from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.shared import (
    FAILED,
    errors_as_text,
    output,
    progress_line,
    settings_or_exit,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from phash_dagster.defs.maintain_by_hand import DagsterPlan
    from phash_dagster.maintenance.run import Done, Plan, Stores
    from phash_dagster.settings import Settings


def maintenance(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done; the pipeline may be running."),
    ] = False,
) -> None:
    """Remove what is older than it has to be, and give free space back to the disk.

    The pipeline does this every night by itself. By hand it is of use while the pipeline is
    stopped: then large files are rewritten, too, which others would have to wait for.
    """
    import os

    from phash_dagster.stack import StackError, exclusive, home_of, prepare_home, recover

    settings = settings_or_exit()
    home = home_of(settings, os.environ)
    if not (home / "dagster.yaml").exists():
        typer.echo(f"Nothing has run on DATA_DIR ({settings.data_dir}) yet.")
        return
    if dry_run:
        with errors_as_text():
            _tell(settings, home)
        return
    environment = prepare_home(settings, os.environ)
    try:
        with exclusive(settings), errors_as_text():
            recover(environment)
            _do(settings, home)
    except StackError as error:
        typer.echo(
            f"{error}\nOr leave it running: it maintains itself every night, and the job "
            "`maintain` does at any time. With --dry-run this command tells what it would do.",
            err=True,
        )
        raise typer.Exit(FAILED) from None


def _tell(settings: "Settings", home: "Path") -> None:
    from phash_dagster.clock import utc_now
    from phash_dagster.defs.maintain_by_hand import tell

    with progress_line() as progress:
        progress("looking for what has expired")
        plan, dagster = tell(_stores(settings), home, utc_now())
    output().print(_plan_table("Would be done", plan, dagster))
    _print_held(plan)
    typer.echo("Nothing was changed.")


def _do(settings: "Settings", home: "Path") -> None:
    from phash_dagster.clock import utc_now
    from phash_dagster.defs.maintain_by_hand import do

    with progress_line() as progress:
        done, dagster, rewritten = do(_stores(settings), home, utc_now(), progress)
    console = output()
    console.print(_plan_table("Done", done.plan, dagster))
    console.print(_done_table(done, dict(rewritten)))
    _print_held(done.plan)


def _stores(settings: "Settings") -> "Stores":
    from phash_dagster.ingest import IngestRecords
    from phash_dagster.maintenance.run import Stores
    from phash_dagster.warehouse import ImagePosts, Warehouse

    return Stores(
        settings,
        Warehouse(settings.warehouse_path),
        ImagePosts(settings.image_posts_dir),
        IngestRecords.under(settings.data_dir),
    )


def _plan_table(title: str, plan: "Plan", dagster: "DagsterPlan") -> "Table":
    table = _table(title)
    expiry = plan.expiry
    if expiry.before is None:
        table.add_row("posts", "kept for ever (RETENTION_DAYS=0)")
    else:
        table.add_row(
            "posts that expire", f"hours that ended before {expiry.before:%Y-%m-%d %H:%M}"
        )
        table.add_row("hours of posts to remove", f"{len(expiry.hours)} ({_megabytes(plan.bytes)})")
        table.add_row("expired hours for the next time", str(expiry.left))
        table.add_row("expired hours that stay for now", str(len(expiry.held)))
    if plan.set_aside:
        table.add_row("hours left half removed, to complete", str(len(plan.set_aside)))
    for name, old in (("old ingest records", plan.records), ("old reports", plan.reports)):
        table.add_row(name, f"{len(old.files)} files ({_megabytes(old.bytes)})")
    table.add_row("runs that others have overtaken", str(dagster.runs))
    table.add_row("logs of ticks that are gone", str(dagster.tick_logs))
    table.add_row("warehouse.duckdb", _space(plan.space.total, plan.space.free))
    for file in dagster.files:
        table.add_row(file.path.name, _space(file.total, file.free))
    return table


def _done_table(done: "Done", rewritten: dict[str, str]) -> "Table":
    table = _table("What became of it")
    table.add_row("hours of posts removed", str(len(done.forgotten.hours)))
    table.add_row("images forgotten", f"{done.forgotten.images:,}")
    table.add_row("images that a later post carries", f"{done.forgotten.kept_images:,}")
    table.add_row(
        "warehouse.duckdb", f"{_megabytes(done.reclaimed.after.total)}, {done.reclaimed.note}"
    )
    for name, what in rewritten.items():
        table.add_row(name, what)
    return table


def _print_held(plan: "Plan") -> None:
    for hour, why in plan.expiry.held.items():
        typer.echo(f"{hour} has expired and stays for now: {why}")


def _table(title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("how much")
    return table


def _space(total: int, free: int) -> str:
    return f"{_megabytes(total)}, of these {_megabytes(free)} free for reuse"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
