"""`phash-dagster rules …`: what rule files say, before anything acts on them."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phash_dagster.commands.preview import preview
from phash_dagster.commands.shared import errors_as_text, is_there, settings_or_exit
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.rules import Danger, RuleProblem, RuleSet

app = typer.Typer(help="Check rule files and see what they change.", no_args_is_help=True)
app.command()(preview)

_ERRORS, _DANGERS = 1, 3
"""Exit codes of `lint`; 2 is what Typer uses for wrong arguments."""

_VERSION = re.compile(r"[0-9a-fA-F]{4,64}")
"""The beginning of a version; not the name of a file, unless there is such a file."""


@app.command()
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR|FILE]...",
            help="Folders of rule files, or rule files, read as one set; RULES_DIR by default.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what is wrong with rule files, and what is dangerous in them.

    The exit code is 0 if nothing is, 1 if the files cannot be used, 3 if they can and some hashes
    are set aside.
    """
    from phash_dagster.clock import utc_now
    from phash_dagster.rules import RulesError, load_paths

    settings = settings_or_exit()
    try:
        loaded = load_paths(
            paths or [settings.rules_dir], settings.phash_hamming_threshold, utc_now()
        )
    except RulesError as error:
        typer.echo(_as_json(error.problems, ()) if as_json else error)
        raise typer.Exit(_ERRORS) from None
    if as_json:
        typer.echo(_as_json((), loaded.dangers))
    else:
        for danger in loaded.dangers:
            typer.echo(danger)
        typer.echo(loaded.summary)
    if loaded.dangers:
        raise typer.Exit(_DANGERS)


@app.command()
def diff(
    old: Annotated[
        str, typer.Argument(help="A version, or a folder or file; by default what is in force.")
    ] = "",
    new: Annotated[
        str, typer.Argument(help="A version, or a folder or file; by default RULES_DIR.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what differs between two sets of rules.

    A version is its first characters, four at least.
    """
    from phash_dagster.rules import difference, hashes_to_match

    settings = settings_or_exit()
    with errors_as_text():
        before = _named(old, settings) if old else _in_force(settings)
        after = _named(new or str(settings.rules_dir), settings)
    changes = difference(before, after)
    to_match = hashes_to_match(before, after, settings.match_margin)
    if as_json:
        found = {
            "old": before.version if before else None,
            "new": after.version,
            "changes": [asdict(change) for change in changes],
            "hashes_to_match": len(to_match),
        }
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for change in changes:
        typer.echo(change)
    typer.echo(
        f"{before.version[:12] if before else 'no rules'} → {after.version[:12]}: "
        f"changes: {len(changes)}, hashes to match with the past: {len(to_match)}"
    )


def _in_force(settings: Settings) -> "RuleSet | None":
    from phash_dagster.rules import current_version
    from phash_dagster.warehouse import Warehouse

    if not settings.warehouse_path.exists():
        return None
    with Warehouse(settings.warehouse_path).read() as connection:
        return current_version(connection)


def _named(name: str, settings: Settings) -> "RuleSet":
    """The rules that a person means: a folder, a file, or the beginning of a version."""
    from phash_dagster.clock import utc_now
    from phash_dagster.rules import RulesError, find_versions, load_paths
    from phash_dagster.warehouse import Warehouse

    found: list[RuleSet] = []
    if _VERSION.fullmatch(name) and settings.warehouse_path.exists():
        with Warehouse(settings.warehouse_path).read() as connection:
            found = find_versions(connection, name.lower())
    if len(found) == 1:
        return found[0]
    if found:
        typer.echo(f"{name!r} begins more than one version; write more of it", err=True)
        raise typer.Exit(2)
    if not is_there(name) and _VERSION.fullmatch(name):
        typer.echo(
            f"{name!r} begins no version that was ever in force, and there is no such folder or "
            "file; `phash-dagster query rule_history` lists the versions",
            err=True,
        )
        raise typer.Exit(2)
    try:
        return load_paths([Path(name)], settings.phash_hamming_threshold, utc_now()).ruleset
    except RulesError as error:
        typer.echo(error, err=True)
        raise typer.Exit(_ERRORS) from None


@app.command()
def schema() -> None:
    """Print the JSON schema of rule files, for editors."""
    from phash_dagster.rules.schema import schema_text

    typer.echo(schema_text(), nl=False)


def _as_json(errors: Iterable["RuleProblem"], dangers: Iterable["Danger"]) -> str:
    found = {
        "errors": [error.as_row() for error in errors],
        "dangers": [danger.as_row() for danger in dangers],
    }
    return json.dumps(found, indent=2, ensure_ascii=False)
