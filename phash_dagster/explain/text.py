"""An explanation as text in a terminal: what there is to know, and one line at the end."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phash_dagster.explain.lines import (
    account_facts,
    action_facts,
    afterwards,
    blob_facts,
    image_facts,
    post_facts,
    precision,
    short,
)
from phash_dagster.explain.model import AccountStory, ActionStory, BlobStory, Explanation, PostStory
from phash_dagster.explain.parts import ImageStory
from phash_dagster.explain.words import moment

_MOST: Final = 20
"""Rows of a table; JSON has them all."""


def print_explanation(explanation: Explanation, console: Console, *, ozone_url: str = "") -> None:
    """Print everything, the line that answers the question last."""
    if explanation.action:
        _print_facts(action_facts(explanation.action), console)
    for number, story in enumerate(explanation.stories):
        if number:
            console.rule()
        match story:
            case PostStory():
                _print_post(story, console, ozone_url)
            case AccountStory():
                _print_account(story, console, ozone_url)
            case BlobStory():
                _print_blob(story, console)
    console.print()
    for line in explanation.because.splitlines():
        console.print(f"[bold]{escape(line)}[/]", highlight=False, soft_wrap=True)


def as_json(explanation: Explanation) -> str:
    """The explanation as JSON."""
    fields = {**asdict(explanation), "because": explanation.because}
    return json.dumps(fields, indent=2, ensure_ascii=False, default=_json_form)


def _json_form(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


# Posts


def _print_post(story: PostStory, console: Console, ozone_url: str) -> None:
    _print_facts(post_facts(story, ozone_url), console)
    for image in story.images:
        _print_image(image, console, of=len(story.images))
    _print_wishes(story, console)
    _print_actions(story.actions, console, ozone_url)


# Images


def _print_image(image: ImageStory, console: Console, of: int = 1) -> None:
    console.print()
    _print_facts(image_facts(image, of), console)
    if image.hashes:
        console.print(
            _table(
                ("hash", "algorithm", "quality", "hashed at", "by", "compared with rules"),
                (
                    (
                        each.hash,
                        each.algorithm,
                        each.quality,
                        moment(each.hashed_at),
                        each.hasher_version,
                        short(each.matched_with) if each.matched_with else "none yet",
                    )
                    for each in image.hashes
                ),
            )
        )
    if image.matches:
        console.print(
            _table(
                ("distance", "<=", "rule", "rule hash", "found with rules", "decides"),
                (
                    (
                        each.distance,
                        "" if each.threshold is None else each.threshold,
                        each.rule_id,
                        each.rule_hash,
                        short(each.first_version),
                        "yes" if each.decides else f"no: {each.why_not}",
                    )
                    for each in image.matches[:_MOST]
                ),
            )
        )
        _print_more(len(image.matches), console)


# What follows


def _print_wishes(story: PostStory, console: Console) -> None:
    if not story.wishes:
        return
    console.print("\nWhat the rules in force ask for:", highlight=False)
    console.print(
        _table(
            ("rule", "distance", "action", "subject", "lane", "mode", "claimed by action"),
            (
                (
                    wish.rule_id,
                    wish.distance,
                    f"{wish.event} {wish.value}".strip(),
                    "post" if wish.subject == story.uri else "account",
                    wish.lane,
                    wish.mode + (f" ({', '.join(wish.why_shadow)})" if wish.why_shadow else ""),
                    "" if wish.claimed_by is None else wish.claimed_by,
                )
                for wish in story.wishes
            ),
        )
    )


def _print_actions(actions: Sequence[ActionStory], console: Console, ozone_url: str) -> None:
    if not actions:
        return
    console.print("\nActions, the latest first:", highlight=False)
    console.print(
        _table(
            ("action", "what", "subject", "rule", "distance", "state", "reason", "planned at"),
            (
                (
                    each.action.action_id,
                    f"{each.action.event.value} {each.action.value}".strip(),
                    each.action.subject,
                    each.action.rule_id,
                    each.action.distance,
                    each.action.state.value,
                    each.action.reason or "",
                    moment(each.action.planned_at),
                )
                for each in actions[:_MOST]
            ),
        )
    )
    _print_more(len(actions), console)
    lines = [
        (f"action {each.action.action_id}", line)
        for each in actions[:_MOST]
        for line in afterwards(each, ozone_url)
    ]
    _print_facts(iter(lines), console)
    _print_facts(precision(actions), console)


# Accounts and images


def _print_account(story: AccountStory, console: Console, ozone_url: str) -> None:
    _print_facts(account_facts(story, ozone_url), console)
    if story.matched:
        console.print("\nPosts near a rule in force, the latest first:", highlight=False)
        console.print(
            _table(
                ("seen", "record", "rule", "distance", "within threshold"),
                (
                    (
                        moment(each.time),
                        each.uri,
                        each.rule_id,
                        each.distance,
                        "yes" if each.within else "no",
                    )
                    for each in story.matched[:_MOST]
                ),
            )
        )
        _print_more(len(story.matched), console)
    _print_actions(story.actions, console, ozone_url)


def _print_blob(story: BlobStory, console: Console) -> None:
    _print_facts(blob_facts(story), console)
    _print_image(story.image, console)
    if story.actions:
        console.print("\nActions because of it:", highlight=False)
        console.print(
            _table(
                ("actions", "accounts", "what", "state", "rule"),
                (
                    (
                        each.actions,
                        each.accounts,
                        f"{each.event} {each.value}".strip(),
                        each.state,
                        each.rule_id,
                    )
                    for each in story.actions
                ),
            )
        )


# Tables


def _print_facts(facts: Iterable[tuple[str, str]], console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    previous = ""
    for name, text in facts:
        grid.add_row("" if name == previous else escape(name), escape(text))
        previous = name
    if grid.row_count:
        console.print(grid)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; columns of numbers are aligned at the right."""
    cells = [tuple(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        number = bool(cells) and all(isinstance(row[place], int) for row in cells)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table


def _print_more(found: int, console: Console) -> None:
    if found > _MOST:
        console.print(f"{found - _MOST} more; --json has them all.", highlight=False)
