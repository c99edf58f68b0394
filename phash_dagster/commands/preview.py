"""`phash-dagster rules preview`: what rules would find and do in the past."""

from pathlib import Path
from typing import Annotated

import typer

from phash_dagster.commands.shared import (
    errors_as_text,
    moment,
    output,
    progress_line,
    settings_or_exit,
)

_REFUSED = 1
"""Exit code where the rule files cannot be used, as of `rules lint`."""


def preview(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE|DIR]",
            help="A rule file, tried as if it were saved in RULES_DIR; or a folder, tried in its "
            "place. RULES_DIR by default.",
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(help="How far back: 30d, 12h, 2w, or a date such as 2026-11-01.")
    ] = "30d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with links to the posts.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Show the page in the browser; needs --html.")
    ] = False,
) -> None:
    """Try rules on the past: what they find, and what would be done. Writes and sends nothing."""
    from phash_dagster.clock import utc_now
    from phash_dagster.preview.candidate import load_candidate
    from phash_dagster.preview.render import as_json as to_json
    from phash_dagster.preview.render import write_html
    from phash_dagster.preview.run import preview_rules
    from phash_dagster.rules import RulesError

    now = utc_now()
    settings, beginning = settings_or_exit(), moment(since, now)
    if open_page and html is None:
        raise typer.BadParameter("name the page with --html", param_hint="--open")
    if html is not None and html.is_dir():
        raise typer.BadParameter(f"{html} is a folder; name a file in it", param_hint="--html")
    try:
        candidate = load_candidate(path, settings, now)
    except RulesError as error:
        typer.echo(error, err=True)
        raise typer.Exit(_REFUSED) from None
    with errors_as_text():
        with progress_line() as progress:
            found = preview_rules(
                candidate, settings=settings, since=beginning, now=now, progress=progress
            )
        if html is not None:
            write_html(found, html, ozone_url=settings.ozone_url)
    if not found.hours:
        typer.echo(f"DATA_DIR ({settings.data_dir}) has no posts of this period.", err=True)
    if as_json:
        typer.echo(to_json(found))
    else:
        from phash_dagster.preview.text import print_preview

        print_preview(found, output())
    if html is not None:
        typer.echo(f"Written: {html}", err=True)
        if open_page:
            typer.launch(str(html.absolute()))
