"""A report as one self-contained HTML file, and as Markdown for the Dagster UI and chat."""

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.markdown import escape_cell


def render_html(report: MatchReport, *, ozone_url: str = "") -> str:
    """One HTML file without scripts or outside resources; readable in light and dark.

    With the address of the Ozone web UI each subject is linked there too.
    """
    template = _environment().get_template("match_report.html")
    return template.render(report=report, ozone_url=ozone_url)


def render_markdown(report: MatchReport) -> str:
    """The same as Markdown, shorter."""
    return _environment().get_template("match_report.md").render(report=report)


def write_report(report: MatchReport, folder: Path, *, ozone_url: str = "") -> Path:
    """Write `match_report-<date>.html`, and the same as `latest.html`; return the dated path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = render_html(report, ozone_url=ozone_url)
    dated = folder / f"match_report-{report.until:%Y-%m-%d}.html"
    for path in (dated, folder / "latest.html"):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return dated


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("phash_dagster.reports"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"time": _time, "link": _link, "cell": escape_cell, "path": _path}
    return environment


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def _link(subject: str) -> str:
    """Where people look at a post or account: `https://bsky.app/profile/…`."""
    did, _, rest = _path(subject).partition("/")
    address = f"https://bsky.app/profile/{quote(did, safe=':')}"
    collection, _, rkey = rest.partition("/")
    return f"{address}/post/{quote(rkey)}" if collection == "app.bsky.feed.post" else address


def _path(subject: str) -> str:
    """A DID or AT URI as the path under which Ozone shows it."""
    return subject.removeprefix("at://")
