"""`phash-dagster explain`: what was done about a post, and why nothing was."""

from typing import Annotated, Final

import typer

from phash_dagster.commands.shared import (
    errors_as_text,
    output,
    progress_line,
    settings_or_exit,
)

_UNKNOWN: Final = 1
"""Exit code where nothing is known of what is asked."""


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="POST|DID|CID|ACTION",
            help="The at:// URI or the bsky.app address of a post, the DID of an account, the CID "
            "of an image, or the number of an action.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Tell the whole story of a post, an account, an image or an action. Writes nothing.

    The last line says what was done, or why nothing was. Exit code 1 if nothing is known of it.
    """
    from phash_dagster.clock import utc_now
    from phash_dagster.explain.question import parse_question
    from phash_dagster.explain.run import Explainer, UnknownActionError
    from phash_dagster.explain.text import as_json as to_json
    from phash_dagster.explain.text import print_explanation

    settings = settings_or_exit()
    try:
        question = parse_question(subject)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="POST|DID|CID|ACTION") from None
    try:
        with errors_as_text(), progress_line() as progress:
            found = Explainer(settings, utc_now(), progress).explain(question)
    except UnknownActionError as error:
        typer.echo(f"phash-dagster: {error.args[0]}", err=True)
        raise typer.Exit(_UNKNOWN) from None
    if as_json:
        typer.echo(to_json(found))
    else:
        print_explanation(found, output(), ozone_url=settings.ozone_url)
    if all(story.searched for story in found.stories):
        raise typer.Exit(_UNKNOWN)
