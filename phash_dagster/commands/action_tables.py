"""How actions look at a terminal, and as JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from phash_dagster.commands.shared import output

if TYPE_CHECKING:
    from phash_dagster.moderation.actions import Action
    from phash_dagster.moderation.ledger_reading import RowCount
    from phash_dagster.moderation.ledger_reviews import Skipped
    from phash_dagster.moderation.undo_counts import UndoCount

_SKIPPED_SHOWN = 20


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; columns of numbers are aligned at the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    cells = [tuple(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        number = bool(cells) and all(isinstance(row[place], int) for row in cells)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(_text(cell)) for cell in row))
    output().print(table)


def print_actions(actions: Sequence["Action"]) -> None:
    """One line for each action."""
    columns = ("action", "state", "event", "label", "subject", "rule", "planned, UTC", "why")
    print_table(
        columns,
        (
            (
                action.action_id,
                state_of(action),
                action.event.value,
                action.value,
                action.subject,
                action.rule_id,
                action.planned_at,
                action.reason,
            )
            for action in actions
        ),
    )


def print_counts(counts: Iterable["RowCount"]) -> None:
    """Actions by what they have in common."""
    columns = ("actions", "accounts", "state", "event", "label", "rule", "why")
    print_table(
        columns,
        (
            (
                each.rows,
                each.accounts,
                each.state.value,
                each.event,
                each.value,
                each.rule_id,
                each.reason,
            )
            for each in counts
        ),
    )


def print_undo(counts: Iterable["UndoCount"]) -> None:
    """What becomes of the actions that an undo is about."""
    columns = ("", "actions", "accounts", "event", "label", "rule", "because")
    print_table(
        columns,
        (
            (
                each.outcome,
                each.actions,
                each.accounts,
                each.event,
                each.value,
                each.rule_id,
                each.because,
            )
            for each in counts
        ),
    )


def print_skipped(skipped: Sequence["Skipped"]) -> None:
    """What was left, and why."""
    for action_id, why in skipped[:_SKIPPED_SHOWN]:
        link = " " if why.startswith(("is ", "was ")) else ": "
        typer.echo(f"Skipped: action {action_id}{link}{why}", err=True)
    if len(skipped) > _SKIPPED_SHOWN:
        typer.echo(f"Skipped: {len(skipped) - _SKIPPED_SHOWN} more", err=True)


def print_action(action: "Action", undos: Sequence["Action"]) -> None:
    """All of one action, and what happened to it when."""
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("action", str(action.action_id))
    for name, value in asdict(action).items():
        if name != "action_id" and value not in (None, "", ()):
            table.add_row(name, escape(_text(value)))
    for time, event in sorted(history(action, undos)):
        table.add_row(_text(time), escape(event))
    output().print(table)


def history(action: "Action", undos: Sequence["Action"]) -> Iterator[tuple[datetime, str]]:
    """What happened to an action when, as far as its row and those that undo it tell."""
    run = f"run {action.run_id}, batch {action.batch_id}"
    what = f"undo of action {action.undoes} planned" if action.undoes else "planned"
    yield action.planned_at, f"{what} by {run}"
    if action.reviewed_at:
        yield action.reviewed_at, f"{_reviewed(action)} by {action.reviewed_by}"
    if action.sent_at:
        found = f", event {action.ozone_event_id} in Ozone" if action.ozone_event_id else ""
        yield action.sent_at, f"sent{found}"
    for undo in undos:
        yield undo.planned_at, f"undone by action {undo.action_id}, which is {undo.state.value}"


def _reviewed(action: "Action") -> str:
    if action.undoes:
        return "asked for"
    if action.review == "rejected" and action.sent_at:
        return "found to be a mistake"
    return str(action.review)


def state_of(action: "Action") -> str:
    """The state in a word, and that it was undone where it was."""
    undone = action.state == "sent" and action.review == "rejected"
    return f"{action.state.value}, undone" if undone else action.state.value


def as_json(value: Any) -> str:
    """JSON of anything that holds actions and counts."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else asdict(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)
