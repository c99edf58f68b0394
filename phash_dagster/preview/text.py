"""A preview as tables in a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phash_dagster.preview.model import DistanceCount, Preview, RulePreview

_BAR: Final = 30
"""Characters of the longest bar of a histogram."""

_MOST: Final = 20
"""Rows of a table; HTML and JSON have them all."""


def print_preview(preview: Preview, console: Console) -> None:
    """Print what the rules find and do."""
    for line in _introduction(preview):
        console.print(line, highlight=False)
    console.print(_rules_table(preview.rules))
    for rule in preview.rules:
        if rule.within.posts or rule.beyond.posts:
            _print_rule(rule, preview, console)


def _introduction(preview: Preview) -> Iterator[str]:
    in_force = preview.version_in_force
    state = (
        "in force" if preview.version == in_force else f"in force is {(in_force or 'none')[:12]}"
    )
    yield (
        f"{preview.since:%Y-%m-%d %H:%M} to {preview.made_at:%Y-%m-%d %H:%M} UTC: "
        f"{preview.image_posts} images of posts in {preview.hours} hours."
    )
    yield f"Rules version {preview.version[:12]} ({state}). Nothing is written or sent."
    for algorithm, images in preview.compared.items():
        if not images:
            yield f"[yellow]No stored image has a hash by {escape(algorithm)}.[/]"
    if preview.other_rules:
        yield (
            f"{preview.other_rules} other rules would be in force too; {preview.other_actions} "
            "of their actions would be recorded with these."
        )
    for danger in preview.dangers:
        yield f"[yellow]{escape(str(danger))}[/]"


def _rules_table(rules: Sequence[RulePreview]) -> Table:
    table = _table(
        "rule", "mode", "<=", "posts", "accounts", "images", "decided", "new", "margin", numbers=2
    )
    for rule in rules:
        table.add_row(
            escape(rule.rule_id),
            rule.mode,
            *_texts(
                rule.threshold,
                rule.within.posts,
                rule.within.accounts,
                rule.within.images,
                rule.decided.posts,
                rule.new_posts,
                rule.beyond.posts,
            ),
        )
    return table


def _print_rule(rule: RulePreview, preview: Preview, console: Console) -> None:
    console.print(f"\n[bold]{escape(rule.rule_id)}[/]", highlight=False)
    for line in _remarks(rule, preview):
        console.print(line, highlight=False)
    for table in (
        _distances_table(rule.distances),
        _hashes_table(rule),
        _actions_table(rule),
        _overlaps_table(rule),
        _popular_table(rule),
        _accounts_table(rule),
    ):
        if table.row_count:
            console.print(table)


def _remarks(rule: RulePreview, preview: Preview) -> Iterator[str]:
    if rule.ignored_posts:
        yield f"Posts by accounts that the rule ignores: {rule.ignored_posts}."
    if rule.plain_posts:
        quality = preview.min_quality
        yield f"Posts with images of a quality below {quality} only: {rule.plain_posts}."
    if rule.popular:
        yield (
            f"[yellow]Look at the popular images near it ({len(rule.popular)}), each posted by at "
            f"least {preview.popular_accounts} accounts.[/]"
        )


def _distances_table(counts: Sequence[DistanceCount]) -> Table:
    table = _table("distance", "posts", "images", "", numbers=0, texts=(3,))
    longest = max((count.posts for count in counts), default=1)
    for count in counts:
        bar = ("█" if count.within else "░") * max(1, round(_BAR * count.posts / longest))
        note = bar if count.within else f"{bar} margin"
        table.add_row(*_texts(count.distance, count.posts, count.images), note)
    return table


def _hashes_table(rule: RulePreview) -> Table:
    table = _table("hash", "posts", "accounts", "images", "margin", "", texts=(5,))
    found = [each for each in rule.hashes if each.within.posts or each.beyond.posts]
    for each in found[:_MOST]:
        table.add_row(
            each.rule_hash,
            *_texts(each.within.posts, each.within.accounts, each.within.images, each.beyond.posts),
            f"set aside: {each.set_aside}" if each.set_aside else "",
        )
    return table


def _actions_table(rule: RulePreview) -> Table:
    table = _table(
        "action", "on", "lane", "outcome", "why", "actions", "accounts", texts=(1, 2, 3, 4)
    )
    for count in rule.actions:
        table.add_row(
            escape(f"{count.event} {count.value}".strip()),
            count.subject,
            count.lane,
            count.outcome,
            escape(count.why),
            *_texts(count.actions, count.accounts),
        )
    return table


def _overlaps_table(rule: RulePreview) -> Table:
    table = _table("decided already by", "posts", "accounts")
    for overlap in rule.overlaps[:_MOST]:
        own = " (this rule, as it is now)" if overlap.rule_id == rule.rule_id else ""
        table.add_row(escape(overlap.rule_id) + own, *_texts(overlap.posts, overlap.accounts))
    return table


def _popular_table(rule: RulePreview) -> Table:
    table = _table(
        "popular image", "distance", "accounts", "posts", "decided now", "latest post", texts=(5,)
    )
    for image in rule.popular[:_MOST]:
        distance = f"{image.distance}" if image.within else f"{image.distance} (margin)"
        table.add_row(
            image.hash,
            distance,
            *_texts(image.accounts, image.posts, image.decided_posts),
            escape(image.example),
        )
    return table


def _accounts_table(rule: RulePreview) -> Table:
    table = _table("most hit accounts", "posts", "images")
    for account in rule.accounts:
        table.add_row(escape(account.did), *_texts(account.posts, account.images))
    return table


def _table(*columns: str, numbers: int = 1, texts: Iterable[int] = ()) -> Table:
    """A table whose columns are numbers from the one of index `numbers` on, but for `texts`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    left = set(texts)
    for index, name in enumerate(columns):
        is_number = index >= numbers and index not in left
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    return table


def _texts(*values: int) -> tuple[str, ...]:
    return tuple(map(str, values))
