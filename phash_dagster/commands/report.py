"""`phash-dagster report`: what was seen, matched and done, as a page."""

from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.shared import (
    FAILED,
    errors_as_text,
    moment,
    progress_line,
    writable_settings_or_exit,
)

if TYPE_CHECKING:
    from phash_dagster.reports.data import MatchReport
    from phash_dagster.settings import Settings

_DAYS = 7


def report(
    since: Annotated[
        str | None,
        typer.Option(help="How far to look back: 12h, 7d, 2w, or a date such as 2026-11-01."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="The same in days; 7 if neither is given.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON; write no page.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the report as Markdown; write no page.")
    ] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send it in short to ALERT_WEBHOOK_URL; write no page.")
    ] = False,
) -> None:
    """Write the report of the last days as HTML and print where it is."""
    if since is not None and days is not None:
        raise typer.BadParameter("give one of --since and --days", param_hint="--since")
    if sum((open_, as_json, as_markdown, send)) > 1:
        raise typer.BadParameter(
            "give one of --open, --json, --markdown and --send", param_hint="--json"
        )
    settings = writable_settings_or_exit()
    if send and not settings.alert_webhook_url.get_secret_value():
        typer.echo("ALERT_WEBHOOK_URL is not set: there is nobody to tell.", err=True)
        raise typer.Exit(FAILED)
    with errors_as_text():
        made = _make(settings, since or f"{days or _DAYS}d")
        if as_json or as_markdown:
            from phash_dagster.reports.render import render_json, render_markdown

            typer.echo(render_json(made) if as_json else render_markdown(made), nl=False)
            return
        if send:
            _send(settings, made)
            return
        from phash_dagster.reports.render import write_files

        page = write_files(made, settings)
    typer.echo(page)
    if open_ and typer.launch(page.absolute().as_uri()):
        typer.echo("No browser could be opened here; open the file above.", err=True)


def _send(settings: "Settings", made: "MatchReport") -> None:
    from phash_dagster.alerts.send import DeliveryError, webhook_format
    from phash_dagster.clock import utc_now
    from phash_dagster.reports.chat import send_to_chat

    form = webhook_format(settings)
    try:
        send_to_chat(made, settings, utc_now())
    except DeliveryError as error:
        typer.echo(f"phash-dagster: not delivered as {form}: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Delivered as {form}.")


def _make(settings: "Settings", since: str) -> "MatchReport":
    import os

    from phash_dagster.analysis import Sources
    from phash_dagster.clock import utc_now
    from phash_dagster.defs.machine_costs import machine_costs_at
    from phash_dagster.ingest import IngestRecords
    from phash_dagster.reports.data import make_report
    from phash_dagster.stack import home_of
    from phash_dagster.warehouse import ImagePosts, Warehouse

    begin = moment(since, utc_now())
    with progress_line() as progress:
        progress("measuring files")
        machine = machine_costs_at(home_of(settings, os.environ), settings.data_dir, since=begin)
        return make_report(
            Sources(
                Warehouse(settings.warehouse_path),
                ImagePosts(settings.image_posts_dir),
                IngestRecords.under(settings.data_dir),
            ),
            settings.analytics_path,
            utc_now,
            since=begin,
            machine=machine,
            progress=progress,
        )
