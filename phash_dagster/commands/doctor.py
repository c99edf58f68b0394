"""`phash-dagster doctor`: is everything as the pipeline needs it?"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from phash_dagster.commands.shared import output, progress_line
from phash_dagster.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from phash_dagster.doctor import Finding

_PROBLEMS: Final = 1
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}
_LONGEST: Final = 500
"""Characters of a finding; some of it is text of servers."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Check settings, network, accounts, storage and versions, and say what to do.

    Nothing is changed and nothing is sent, but a login. The exit code is 1 if there is a problem.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        findings = _wrong_settings(error)
    else:
        findings = _examined(settings)
    has_problem = any(finding.status == "problem" for finding in findings)
    if as_json:
        typer.echo(_as_json(findings, has_problem=has_problem))
    else:
        _print(findings)
    if has_problem:
        raise typer.Exit(_PROBLEMS)


def _examined(settings: Settings) -> "Sequence[Finding]":
    from phash_dagster.doctor import examine

    with progress_line() as tell:
        return examine(settings, progress=lambda name: tell(f"looking at {name}"))


def _wrong_settings(error: SettingsError) -> "Sequence[Finding]":
    from phash_dagster.doctor import Finding, Status

    advice = "See docs/configuration.md. Nothing else can be looked at before."
    return [Finding("settings", Status.PROBLEM, line, advice) for line in str(error).splitlines()]


def _print(findings: "Sequence[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "what", "found"):
        table.add_column(column, no_wrap=not column or column == "what", overflow="fold")
    for finding in findings:
        found = Text(_printable(finding.found))
        if finding.advice:
            found.append(f"\n→ {_printable(finding.advice)}", style="italic")
        status = Text(finding.status.value, style=_STYLES[finding.status.value])
        table.add_row(status, _printable(finding.about), found)
    console = output()
    console.print(table)
    console.print(_summary(findings), markup=False, highlight=False)


def _summary(findings: "Sequence[Finding]") -> str:
    problems = sum(finding.status == "problem" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if not problems and not warnings:
        return "All is well."
    return f"Problems: {problems}, warnings: {warnings}."


def _printable(text: str) -> str:
    one_line = " ".join(text[:_LONGEST].split())
    return "".join(sign if sign.isprintable() else "�" for sign in one_line)


def _as_json(findings: "Sequence[Finding]", *, has_problem: bool) -> str:
    found = {
        "status": "problem" if has_problem else "ok",
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(found, indent=2, ensure_ascii=False)
