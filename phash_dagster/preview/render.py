"""A preview as JSON, as one self-contained HTML file, and as Markdown for the Dagster UI."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment

from phash_dagster.preview.model import Preview, RulePreview
from phash_dagster.preview.values import rfc3339
from phash_dagster.reports.pages import environment, write_page


def as_json(preview: Preview) -> str:
    """The preview as JSON; `docs/rules-workflow.md` documents the keys."""
    fields: dict[str, Any] = asdict(replace(preview, recorded=(), dangers=()))
    del fields["recorded"]
    fields["dangers"] = [danger.as_row() for danger in preview.dangers]
    return json.dumps(fields, indent=2, ensure_ascii=False, default=rfc3339)


def render_html(preview: Preview, *, ozone_url: str = "") -> str:
    """One HTML file without scripts, images or outside resources; readable in light and dark.

    With the address of the Ozone web UI each post and account is linked there too.
    """
    template = _environment().get_template("preview.html")
    return template.render(preview=preview, ozone_url=ozone_url)


def render_markdown(preview: Preview) -> str:
    """The same as Markdown, shorter."""
    return _environment().get_template("preview.md").render(preview=preview)


def write_html(preview: Preview, path: Path, *, ozone_url: str = "") -> Path:
    """Write the HTML file, all of it or nothing.

    Raises:
        OSError: It cannot be written there.
    """
    return write_page(render_html(preview, ozone_url=ozone_url), path)


def actions_with(preview: Preview, outcome: str) -> int:
    """How many actions of the rules that were asked for have this outcome."""
    return sum(
        count.actions
        for rule in preview.rules
        for count in rule.actions
        if count.outcome == outcome
    )


def _environment() -> Environment:
    found = environment("phash_dagster.preview")
    found.filters["bar"] = _bar
    found.globals["actions_with"] = actions_with
    return found


def _bar(posts: int, rule: RulePreview) -> int:
    """How long a bar of a rule's histogram is, in percent of the longest."""
    longest = max(count.posts for count in rule.distances)
    return round(100 * posts / longest)
