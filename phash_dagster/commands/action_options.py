"""The options that say which actions are meant, the same for every command about actions."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from phash_dagster.commands.shared import FAILED, moment
from phash_dagster.moderation.actions import Event, State

if TYPE_CHECKING:
    from phash_dagster.moderation.row_filter import RowFilter

ByOption = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who decides; by default your user name.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@dataclass(frozen=True)
class ActionOptions:
    """What was written at the command line. Typer reads the options off the fields."""

    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ACTION|AT-URI|DID]...",
            help="Numbers of actions, at:// URIs or bsky.app addresses of posts, or DIDs of "
            "accounts with their posts.",
        ),
    ] = None
    state: Annotated[list[State] | None, typer.Option(help="In this state.")] = None
    rule: Annotated[list[str] | None, typer.Option(metavar="ID", help="By this rule.")] = None
    rule_hash: Annotated[
        list[str] | None, typer.Option("--hash", metavar="HASH", help="By this rule hash.")
    ] = None
    batch: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of this batch, e.g. a backfill.")
    ] = None
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Planned by this Dagster run; 8 characters will do."),
    ] = None
    rule_version: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION", help="By this rules version; 6 characters will do."),
    ] = None
    event: Annotated[list[Event] | None, typer.Option(help="Of this event.")] = None
    label: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="With this label.")] = (
        None
    )
    lane: Annotated[
        list[str] | None, typer.Option(metavar="live|backfill", help="Of this lane.")
    ] = None
    subject: Annotated[
        list[str] | None,
        typer.Option(metavar="AT-URI|DID", help="On this post or account, as without an option."),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(help="Planned or sent since: 30d, 12h, 2w, or a date such as 2026-11-01."),
    ] = None

    def row_filter(self) -> "RowFilter":
        """The filter.

        Raises:
            typer.BadParameter: Something names nothing.
        """
        from phash_dagster.clock import utc_now
        from phash_dagster.moderation.row_filter import parse_filter

        try:
            return parse_filter(
                targets=[*(self.targets or ()), *(self.subject or ())],
                states=self.state or (),
                events=self.event or (),
                labels=self.label or (),
                rules=self.rule or (),
                hashes=self.rule_hash or (),
                versions=self.rule_version or (),
                batches=self.batch or (),
                runs=self.run or (),
                lanes=self.lane or (),
                since=moment(self.since, utc_now()) if self.since else None,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


Command = Callable[..., None]


def about_actions(command: Command) -> Command:
    """Give a command, which takes `ActionOptions` first, their options beside its own."""
    names = [field.name for field in fields(ActionOptions)]
    hints = get_type_hints(ActionOptions, include_extras=True)
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name]
        )
        for name in names
    ]
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    def run(**given: Any) -> None:
        command(ActionOptions(**{name: given.pop(name) for name in names}), **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    run.__signature__ = inspect.Signature([*options, *keywords])  # type: ignore[attr-defined]
    return run


def who(by: str) -> str:
    """Who decides: the name given, or that of the system's user."""
    if by.strip():
        return by.strip()
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        typer.echo("Your user has no name here; say who decides with --by NAME", err=True)
        raise typer.Exit(FAILED) from None
