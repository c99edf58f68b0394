"""A report as one self-contained HTML file, and as Markdown for the Dagster UI and chat."""

from pathlib import Path
from typing import Final

from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.pages import environment, write_page

_PACKAGE: Final = "phash_dagster.reports"


def render_html(report: MatchReport, *, ozone_url: str = "") -> str:
    """One HTML file without scripts or outside resources; readable in light and dark.

    With the address of the Ozone web UI each subject is linked there too.
    """
    template = environment(_PACKAGE).get_template("match_report.html")
    return template.render(report=report, ozone_url=ozone_url)


def render_markdown(report: MatchReport) -> str:
    """The same as Markdown, shorter."""
    return environment(_PACKAGE).get_template("match_report.md").render(report=report)


def write_report(report: MatchReport, folder: Path, *, ozone_url: str = "") -> Path:
    """Write `match_report-<date>.html`, and the same as `latest.html`; return the dated path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = render_html(report, ozone_url=ozone_url)
    dated = folder / f"match_report-{report.until:%Y-%m-%d}.html"
    for path in (dated, folder / "latest.html"):
        write_page(text, path)
    return dated
