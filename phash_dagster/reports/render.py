"""A report as one self-contained HTML file, as Markdown for Dagster and chat, and as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from phash_dagster.analysis.formats import json_value
from phash_dagster.reports.charts import Chart, draw
from phash_dagster.reports.costs import Costs
from phash_dagster.reports.data import CLUSTER_ACCOUNTS, MatchReport, Row
from phash_dagster.reports.markdown import escape_code
from phash_dagster.reports.matters import (
    backfills_command,
    cluster_command,
    failed_command,
    held_command,
    loads_command,
    matters,
)
from phash_dagster.reports.pages import as_bytes, as_duration, digest, environment, write_page
from phash_dagster.settings import Settings

_PACKAGE: Final = "phash_dagster.reports"

SECTIONS: Final = {
    "coverage": "Seen and hashed",
    "lag": "Lag",
    "matches": "Matches and actions",
    "queue": "Held and failed",
    "precision": "Precision",
    "clusters": "New images",
    "accounts": "Accounts",
    "rules": "Rule changes",
    "cost": "Cost",
}
"""The sections of the page by id, as they are called."""

ROWS_SHOWN: Final = 50
"""Rows of a table with a row for each rule."""

_FATES: Final = (
    ("sent",),
    ("shadow",),
    ("held",),
    ("failed", "dead"),
    ("suppressed",),
    ("planned", "sending"),
)
"""The states that are one column each."""

BSKY_CDN: Final = "https://cdn.bsky.app"


def render_html(
    report: MatchReport,
    charts: Mapping[str, Chart],
    *,
    ozone_url: str = "",
    cdn: str = BSKY_CDN,
) -> str:
    """One HTML file that loads nothing; readable in light and dark, and without colour.

    Its one script shows a thumbnail after a click; all else works without it, and the page forbids
    any other.

    Args:
        report: What it says.
        charts: Those of `charts.draw`.
        ozone_url: Address of the Ozone web UI, where each subject is linked then.
        cdn: Where thumbnails are loaded from.
    """
    found = _environment()
    found.filters["thumbnail"] = lambda row: _thumbnail(row, cdn)
    return found.get_template("match_report.html").render(
        report=report,
        ozone_url=ozone_url,
        images_from=cdn,
        charts=charts,
        matters=matters(report),
        sections=SECTIONS,
        matched=sorted(
            (row for row in report.acting.matches if row["posts"]),
            key=lambda row: (-row["posts"], row["rule_id"]),
        ),
        done=_done(report.acting.actions),
        most=ROWS_SHOWN,
        thumbnails=_script(),
        cluster_accounts=CLUSTER_ACCOUNTS,
        cost_lines=cost_lines(report.costs, report),
    )


def render_markdown(report: MatchReport) -> str:
    """The same as Markdown, shorter."""
    return (
        _environment()
        .get_template("match_report.md")
        .render(report=report, matters=matters(report), cost_lines=cost_lines(report.costs, report))
    )


def render_note(report: MatchReport, *, dagster_url: str = "") -> str:
    """The report in some lines for a chat, which shows no tables; it quotes nobody.

    With the address of the Dagster UI it ends with where the rest is.
    """
    seen, found = report.reading.seen, matters(report)
    lines = [
        f"phash-dagster, {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC",
        f"Posts with images: {seen['posts_with_images']:,}. Images hashed: "
        f"{report.reading.outcomes.get('hashed', 0):,} of {seen['distinct_images']:,}, "
        f"near a rule: {report.matched_images:,}.",
        f"Actions: {report.actions_in_state('sent'):,} sent, "
        f"{report.actions_in_state('shadow'):,} recorded in shadow mode, "
        f"{report.actions_in_state('held'):,} held, "
        f"{report.actions_in_state('failed', 'dead'):,} failed.",
        "Needs you:" if found else "Nothing needs you.",
        *(f"- {each.text}" + (f" `{each.command}`" if each.command else "") for each in found),
        *([f"More: {dagster_url}/assets/match_report"] if dagster_url else []),
    ]
    return "\n".join(lines) + "\n"


def render_json(report: MatchReport) -> str:
    """All figures as JSON, under the names of the attributes of `MatchReport`."""
    fields: dict[str, Any] = asdict(report)
    return json.dumps(fields, indent=2, ensure_ascii=False, default=json_value) + "\n"


def write_files(report: MatchReport, settings: Settings) -> Path:
    """Write `match_report-<date>-<length>.html` and the same as `.md`; return the page's path.

    Both are there as `latest.html` and `latest.md`, too.

    Raises:
        OSError: They cannot be written there.
    """
    folder = settings.reports_dir
    folder.mkdir(parents=True, exist_ok=True)
    cdn = str(settings.cdn_endpoint).rstrip("/")
    texts = {
        "html": render_html(report, draw(report), ozone_url=settings.ozone_url, cdn=cdn),
        "md": render_markdown(report),
    }
    dated = folder / f"match_report-{report.until:%Y-%m-%d}-{report.length}.html"
    for suffix, text in texts.items():
        for path in (dated, folder / "latest.html"):
            write_page(text, path.with_suffix(f".{suffix}"))
    return dated


def cost_lines(costs: Costs, report: MatchReport) -> list[str]:
    """What the period cost in sentences, and what of it nobody knows."""
    return [
        *_fetched(costs),
        *_batches(report.reading.lag),
        *_runs(costs, report),
        *_storage(costs),
    ]


def _fetched(costs: Costs) -> list[str]:
    if not costs.images_fetched:
        return ["No image was fetched."]
    sources = ", ".join(
        f"{row['images']:,} from the {row['source'].upper()}" for row in costs.fetched
    )
    return [
        f"{costs.images_fetched:,} images were fetched and hashed: {sources}.",
        "How many bytes that were is not recorded. By the word of their posts the originals of "
        f"{costs.images_with_size:,} of them have {as_bytes(costs.claimed_bytes)}; what a CDN "
        "sends is mostly smaller.",
    ]


def _batches(lag: Row) -> list[str]:
    if not lag["batches"]:
        return []
    return [
        f"{lag['batches']:,} batches with {lag['events']:,} events were read, which took "
        f"{as_duration(lag['reading_seconds'])}, mostly of waiting for events."
    ]


def _runs(costs: Costs, report: MatchReport) -> list[str]:
    runs = costs.machine.runs
    if runs is None:
        return ["Runs are unknown: Dagster was not asked."]
    count, seconds = sum(job.runs for job in runs.jobs), sum(job.seconds for job in runs.jobs)
    line = f"Dagster still has {count:,} finished runs of this period, which took "
    line += f"{as_duration(seconds)}."
    if runs.oldest is None or runs.oldest > report.since:
        line += " Runs of hours that are over are deleted, so there were more."
    return [line]


def _storage(costs: Costs) -> list[str]:
    lines = []
    if costs.machine.disk:
        lines.append(f"DATA_DIR holds {as_bytes(costs.disk_bytes)}.")
    size = costs.machine.dagster_storage_bytes
    if size is not None:
        lines.append(f"Dagster's storage takes {as_bytes(size)}.")
    else:
        lines.append("The size of Dagster's storage is unknown: it is not in files here.")
    return lines


def _done(actions: Iterable[Row]) -> list[Row]:
    """A row per rule, event and lane with the counts of its fates, the most actions first."""
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for row in actions:
        key = tuple(row[name] for name in ("rule_id", "event", "value", "lane"))
        counts.setdefault(key, Counter())[row["state"]] += row["actions"]
    rows = [
        {
            **dict(zip(("rule_id", "event", "value", "lane"), key, strict=True)),
            "counts": [sum(of_key[state] for state in states) for states in _FATES],
        }
        for key, of_key in counts.items()
    ]
    return sorted(rows, key=lambda row: (-sum(row["counts"]), row["rule_id"], row["event"]))


def _thumbnail(row: Row, cdn: str) -> str:
    """Where the CDN has a small rendition of a group's latest image."""
    did = row["latest_post"].removeprefix("at://").partition("/")[0]
    return f"{cdn}/img/feed_thumbnail/plain/{quote(did, safe=':')}/{quote(row['blob_cid'])}@jpeg"


def _environment() -> Environment:
    found = environment(_PACKAGE)
    found.filters |= {
        "held_command": held_command,
        "failed_command": failed_command,
        "cluster_command": cluster_command,
        "loads_command": loads_command,
        "backfills_command": backfills_command,
        "code": escape_code,
        "digest": digest,
    }
    return found


@cache
def _script() -> Markup:
    text = resources.files(_PACKAGE).joinpath("templates/thumbnails.js").read_text("utf-8")
    return Markup(text)  # noqa: S704 - our own file
