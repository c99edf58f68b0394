"""What all HTML pages and Markdown texts share: the look, the filters, how a file is written."""

import base64
import hashlib
import os
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from phash_dagster.reports.markdown import escape_cell

_POST: Final = "app.bsky.feed.post"


def environment(package: str) -> Environment:
    """An environment with the templates of `package`; `page.html` is the page they extend.

    Pages load nothing, and are readable in light and dark. Text in HTML is escaped.
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
        "when": _when,
        "link": post_link,
        "cell": escape_cell,
        "path": _path,
        "seconds": _seconds,
        "short": short_name,
        "figure": _figure,
        "percent": _percent,
        "bytes": as_bytes,
        "duration": as_duration,
    }
    found.globals["stylesheet"] = _stylesheet()
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


def short_name(subject: str) -> str:
    """A DID or AT URI short enough for a table: `did:plc:abcdef…wxyz/3kabc`."""
    did, _, rest = subject.removeprefix("at://").partition("/")
    name = f"{did[:14]}…{did[-4:]}" if len(did) > 20 else did
    return f"{name}/{rest.rpartition('/')[2]}" if rest else name


def digest(text: str) -> str:
    """What a Content Security Policy calls an inline style sheet or script: `sha256-…`."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def as_bytes(size: float) -> str:
    """A size as people read it: `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def as_duration(seconds: float) -> str:
    """A duration as people read it: `1.5 h`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


@cache
def _stylesheet() -> Markup:
    file = resources.files("phash_dagster.reports").joinpath("templates/page.css")
    return Markup(file.read_text("utf-8"))  # noqa: S704 - our own file


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", "\N{NO-BREAK SPACE}%")


def _path(subject: str) -> str:
    """A DID or AT URI as the path under which Ozone shows it."""
    return quote(subject.removeprefix("at://"), safe="/:")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def _when(moment: datetime) -> str:
    """A time on a page that says that all its times are UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
