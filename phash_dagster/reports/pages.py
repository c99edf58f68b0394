"""What all HTML pages and Markdown texts share: the look, the filters, how a file is written."""

import os
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from phash_dagster.reports.markdown import escape_cell

_POST: Final = "app.bsky.feed.post"


def environment(package: str) -> Environment:
    """An environment with the templates of `package`; `page.html` is the page they extend.

    Pages have no scripts and no outside resources, and are readable in light and dark. Text in
    HTML is escaped.
    """
    found = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("phash_dagster.reports")]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "time": _time,
        "link": post_link,
        "cell": escape_cell,
        "path": _path,
        "seconds": _seconds,
    }
    return found


def write_page(text: str, path: Path) -> Path:
    """Write a page, all of it or nothing.

    Raises:
        OSError: It cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def post_link(subject: str) -> str:
    """Where people look at a post or account: `https://bsky.app/profile/…`."""
    did, _, rest = subject.removeprefix("at://").partition("/")
    address = f"https://bsky.app/profile/{quote(did, safe=':')}"
    collection, _, rkey = rest.partition("/")
    return f"{address}/post/{quote(rkey, safe='')}" if collection == _POST else address


def _path(subject: str) -> str:
    """A DID or AT URI as the path under which Ozone shows it."""
    return quote(subject.removeprefix("at://"), safe="/:")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
