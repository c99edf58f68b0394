"""What a report says, and that nothing of it can harm its reader."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.reports.charts import Chart
from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.markdown import escape_cell, escape_code
from phash_dagster.reports.pages import as_bytes, as_duration, short_name
from phash_dagster.reports.render import (
    SECTIONS,
    render_html,
    render_json,
    render_markdown,
    render_note,
    write_files,
)
from tests.analysis.world import World

HOSTILE = "<script>alert(1)</script>|x"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"style": [], "script": [], "h2": [], "caption": []}
        self._open: list[str] = []
        self._tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._tables.append([])
        elif tag == "tr":
            self._tables[-1].append([])
        elif tag in ("td", "th"):
            self._tables[-1][-1].append("")
            self._in_cell = True
        if tag in self.texts:
            self._open.append(tag)
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self._tables[-1][-1][-1] += data
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def table(self, caption: str) -> list[list[str]]:
        """The cells of the table of this name, its heads first."""
        return self._tables[self.texts["caption"].index(caption)]

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None]


@pytest.fixture(scope="module")
def html(report: MatchReport, charts: dict[str, Chart]) -> str:
    return render_html(report, charts)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def with_acting(report: MatchReport, **changes: Any) -> MatchReport:
    return replace(report, acting=replace(report.acting, **changes))


def test_every_section_is_there_and_linked(page: Page) -> None:
    assert page.texts["h2"] == ["Needs you", *SECTIONS.values()]
    ids = set(page.values("id"))
    assert len(ids) == len(page.values("id")), "an id stands for one thing"
    inner = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert set(SECTIONS) <= inner <= ids


def test_the_page_loads_nothing(page: Page) -> None:
    assert not {"img", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert page.values("src") == []
    outside = [link for link in page.values("href") if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://bsky.app/profile/did:plc:") for link in outside)
    assert not re.search(r"url\(|@import", "".join(page.texts["style"]))


def test_the_policy_allows_the_page_s_own_style_and_script_and_thumbnails(page: Page) -> None:
    [policy] = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv")]
    for kind in ("style", "script"):
        [text] = page.texts[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'; ")
    assert "img-src https://cdn.bsky.app;" in str(policy)


def test_thumbnails_come_from_the_cdn_of_the_settings(report: MatchReport) -> None:
    page = Page(render_html(report, {}, cdn="https://cdn.test"))
    row = report.judging.clusters[0]
    did = row["latest_post"].split("/")[2]
    wanted = f"https://cdn.test/img/feed_thumbnail/plain/{did}/{row['blob_cid']}@jpeg"
    assert wanted in page.values("data-image")


def test_with_its_address_subjects_are_linked_in_ozone_too(report: MatchReport) -> None:
    page = Page(render_html(report, {}, ozone_url="https://ozone.test"))
    subject = report.acting.latest[0]["subject"].removeprefix("at://")
    assert f"https://ozone.test/repositories/{subject}" in page.values("href")


def test_every_table_has_a_caption_and_heads_with_a_scope(page: Page) -> None:
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len(page.texts["caption"]) == len(tables) > 15
    assert all(attrs.get("scope") in {"row", "col"} for tag, attrs in page.tags if tag == "th")


def test_figures_of_the_report_are_on_the_page(report: MatchReport, html: str) -> None:
    assert f"<b>{report.actions_in_state('sent')}</b> actions sent" in html
    assert "may be missing: clamped, h." in html
    assert "embed:strange" in html
    assert "50.0 s at most" in html
    assert "phash-dagster actions list --state held --rule meme" in html


def test_each_backfill_is_on_the_page_with_what_it_did(report: MatchReport, page: Page) -> None:
    names = ("actions", "posts", "accounts", "sent", "shadow", "held")
    assert report.judging.backfills
    rows = [row[:7] for row in page.table("Backfills in this period")[1:]]
    assert rows == [
        [row["batch_id"], *(str(row[name]) for name in names)] for row in report.judging.backfills
    ]


def test_every_chart_is_on_the_page(charts: dict[str, Chart], page: Page) -> None:
    assert {f"chart-{name}" for name in charts} <= set(page.values("id"))


def test_a_period_without_a_backfill_says_so(report: MatchReport) -> None:
    without = replace(report, judging=replace(report.judging, backfills=()))
    assert "No backfill found anything in this period." in render_html(without, {})


def test_what_is_empty_says_so(empty: MatchReport) -> None:
    html = render_html(empty, {})
    for sentence in (
        "No events are known to be missing.",
        "Nothing was read from Jetstream in this period.",
        "No images in this period.",
        "No rules are in force.",
        "No actions in this period.",
        "Nothing is held.",
        "Unknown: no label and no takedown was sent yet.",
        "No account was hit in this period.",
        "No rules were loaded yet.",
    ):
        assert sentence in html
    assert "0 posts" in render_markdown(empty)
    assert "No events are known to be missing." in render_markdown(empty)


def test_long_lists_end(report: MatchReport) -> None:
    row = report.acting.matches[0]
    many = [{**row, "rule_id": f"rule-{number:03}"} for number in range(70)]
    html = render_html(with_acting(report, matches=tuple(many)), {})
    assert "rule-049" in html
    assert "rule-050" not in html
    assert "And 20 more rules with fewer posts" in html
    assert "rule-020" not in render_markdown(with_acting(report, matches=tuple(many)))


def with_many_changes(report: MatchReport) -> MatchReport:
    """So many loads and backfills that a report does not show them all."""
    changes = {"loads": 1_045, "backfills": 27}
    return replace(report, judging=replace(report.judging, changes=changes))


def test_changes_that_are_left_out_are_counted_with_where_they_are(report: MatchReport) -> None:
    loads, backfills = len(report.judging.loads), len(report.judging.backfills)
    html = render_html(with_many_changes(report), {})
    assert f"And {1_045 - loads:,} earlier: " in html
    assert "phash-dagster query rule-history --param most=1045" in html
    assert f"And {27 - backfills} earlier in this period: " in html
    assert "phash-dagster actions list --lane backfill --since 2026-11-16 --count" in html


def test_markdown_counts_the_changes_that_it_leaves_out(report: MatchReport) -> None:
    text = render_markdown(with_many_changes(report))
    assert "And 1,042 earlier: `phash-dagster query rule-history --param most=1045`." in text
    assert "And 24 earlier in this period: `phash-dagster actions list --lane backfill" in text


def test_where_all_changes_are_shown_no_more_are_spoken_of(report: MatchReport, html: str) -> None:
    assert not re.search(r"And \S+ earlier", html)
    assert not re.search(r"And \S+ earlier", render_markdown(report))


def test_text_from_strangers_is_only_text(report: MatchReport) -> None:
    reading = replace(
        report.reading,
        anomalies=({**report.reading.anomalies[0], "type": HOSTILE, "sample": HOSTILE},),
    )
    latest = ({**report.acting.latest[0], "reason": HOSTILE, "rule_id": HOSTILE},)
    held = ({**report.acting.held[0], "reason": HOSTILE, "rule_id": HOSTILE},)
    hostile = with_acting(replace(report, reading=reading), latest=latest, held=held)
    html = render_html(hostile, {})
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") >= 5
    assert "<script>" not in render_markdown(hostile).replace("\\<", "")


def test_a_cell_of_markdown_cannot_break_its_table() -> None:
    escaped = escape_cell(HOSTILE + "\n[x](javascript:1)")
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)[|<>\[\]]", escaped)


def test_markdown_says_the_same_in_short(report: MatchReport) -> None:
    text = render_markdown(report)
    assert "**Needs you:**" in text
    assert "| embed:strange | 12 |" in text
    assert f"{report.actions_in_state('held')} held" in text
    assert f"`{report.judging.clusters[0]['hash']}`" in text
    assert len(text) < 10_000
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def markdown_rows(report: MatchReport, head: str) -> list[list[str]]:
    """The cells of the table whose first head this is, without its heads."""
    lines = (
        render_markdown(report).split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    )
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_markdown_tells_what_is_held_and_failed_with_what_decides(report: MatchReport) -> None:
    rows = markdown_rows(report, "not sent")
    assert [(row[0], row[1], row[3]) for row in rows] == [
        *(("held", row["rule_id"], str(row["actions"])) for row in report.acting.held[:5]),
        *((row["state"], row["rule_id"], str(row["actions"])) for row in report.acting.failed[:5]),
    ]
    commands = {row[0]: row[4] for row in rows}
    assert commands["held"].startswith("`phash-dagster actions list --state held --rule ")
    assert commands["dead"].startswith("`phash-dagster actions retry --state dead --rule ")


def test_markdown_tells_the_least_certain_hashes(report: MatchReport) -> None:
    assert [row[:4] for row in markdown_rows(report, "least certain hash")] == [
        [f"`{row['rule_hash']}`", row["rule_id"], str(row["distance"]), str(row["actions"])]
        for row in report.judging.hashes[:5]
    ]


def test_markdown_tells_when_rules_changed(report: MatchReport) -> None:
    assert [row[:2] for row in markdown_rows(report, "rules in force since")] == [
        [f"{row['loaded_at']:%Y-%m-%d %H:%M} UTC", f"`{row['version'][:12]}`"]
        for row in report.judging.loads
    ]


def test_markdown_tells_what_backfills_did(report: MatchReport) -> None:
    names = ("actions", "posts", "accounts", "sent", "shadow", "held")
    assert markdown_rows(report, "backfill") == [
        [f"`{row['batch_id']}`", *(str(row[name]) for name in names)]
        for row in report.judging.backfills
    ]


@pytest.mark.parametrize("text", ["a`b", "a|b", "<b>", "a\nb"])
def test_a_command_that_is_not_plain_is_no_code(text: str) -> None:
    assert escape_code("actions list --rule 'a b'") == "`actions list --rule 'a b'`"
    assert escape_code(text) == escape_cell(text)


def test_a_note_for_chat_has_no_table_and_what_needs_a_person(report: MatchReport) -> None:
    text = render_note(report, dagster_url="http://dagster.test")
    assert "|" not in text
    assert f"{report.actions_in_state('held')} held" in text
    assert "`phash-dagster actions list --state held --count`" in text
    assert text.endswith("More: http://dagster.test/assets/match_report\n")
    assert len(text) < 2000


def test_json_holds_the_figures(report: MatchReport) -> None:
    found = json.loads(render_json(report))
    assert found["since"] == report.since.isoformat()
    assert found["reading"]["seen"]["images"] == report.reading.seen["images"]
    assert found["costs"]["machine"]["runs"]["jobs"][0]["job"] == "moderate_hour"
    assert found["reading"]["trend"]["span"]["length"] == timedelta(days=1).total_seconds()


def test_page_and_markdown_are_written_under_their_date_and_as_latest(
    world: World, report: MatchReport
) -> None:
    path = write_files(report, world.settings)
    assert path == world.settings.reports_dir / "match_report-2026-11-23-7d.html"
    assert {other.name for other in path.parent.iterdir()} == {
        "match_report-2026-11-23-7d.html",
        "match_report-2026-11-23-7d.md",
        "latest.html",
        "latest.md",
    }
    for file in (path, path.with_suffix(".md")):
        assert file.with_name(f"latest{file.suffix}").read_text() == file.read_text()
    assert path.with_suffix(".md").read_text() == render_markdown(report)


def test_a_folder_that_cannot_be_written_is_an_error(
    report: MatchReport, world: World, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    settings = world.settings.model_copy(update={"data_dir": blocked})
    with pytest.raises(OSError, match="file"):
        write_files(report, settings)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2.5e12, "2.5 TB")]
)
def test_sizes_as_people_read_them(size: float, text: str) -> None:
    assert as_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.25, "1.2 s"), (600, "10 min"), (9_000, "2.5 h"), (9e6, "2,500.0 h")]
)
def test_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("did:plc:abcdefghijklmnopqrstuvwx", "did:plc:abcdef…uvwx"),
        ("at://did:plc:abcdefghijklmnopqrstuvwx/app.bsky.feed.post/3k", "did:plc:abcdef…uvwx/3k"),
        ("did:web:a.test", "did:web:a.test"),
    ],
)
def test_subjects_are_short(subject: str, name: str) -> None:
    assert short_name(subject) == name
