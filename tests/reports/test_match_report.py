"""What a report says, and that nothing of it can harm its reader."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.ingest import Anomaly, IngestRecords
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.mirror import save_actions
from phash_dagster.reports.data import MatchReport, collect
from phash_dagster.reports.markdown import escape_cell
from phash_dagster.reports.render import render_html, render_markdown, write_report
from phash_dagster.rules import Rule, RuleSet, save_version
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from tests.ingest.records import gap, record

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HASH = "783101f7e7870f0f"
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
HOSTILE = "<script>alert(1)</script>|x"


def rule(label: str = "troll") -> Rule:
    return Rule.model_validate(
        {
            "id": f"rule:{label}",
            "phashes": [HASH],
            "label": label,
            "comment": "x",
            "reportAcct": False,
            "labelAcct": False,
            "reportPost": False,
            "toLabel": True,
        }
    )


ACTION = Action(
    external_id="e1",
    subject_uri=f"at://{DID}/app.bsky.feed.post/r1",
    subject_did=DID,
    subject_cid="record",
    source_uri=f"at://{DID}/app.bsky.feed.post/r1",
    blob_cids=("x",),
    event=Event.LABEL,
    value="troll",
    rule_id="rule:troll",
    rule_version="v",
    rule_hash=HASH,
    distance=1,
    comment="x",
    report_reason=None,
    lane="live",
    mode="live",
    state=State.SENT,
    reason=None,
    batch_id="b",
    run_id="b",
    planned_at=NOW - timedelta(hours=1),
    action_id=1,
    updated_at=NOW,
)


def post(rkey: str, blob_cid: str, at: datetime = NOW) -> ImagePost:
    return ImagePost(
        time_us=int(at.timestamp() * 1_000_000),
        seq=None,
        host="h",
        did=DID,
        collection="app.bsky.feed.post",
        rkey=rkey,
        uri=f"at://{DID}/app.bsky.feed.post/{rkey}",
        cid="record",
        operation="create",
        blob_cid=blob_cid,
        position=0,
    )


@pytest.fixture
def posts(tmp_path: Path) -> ImagePosts:
    return ImagePosts(tmp_path / "image_posts")


@pytest.fixture
def warehouse(tmp_path: Path, posts: ImagePosts) -> Warehouse:
    """Three posts, one too old, of two images; one hashed and near the rule, one corrupt."""
    store = Warehouse(tmp_path / "warehouse.duckdb")
    old = post("r0", "x", NOW - timedelta(days=30))
    posts.write_batch([old, post("r1", "x"), post("r2", "y")], start="1", now=NOW)
    image_hash = ImageHash("average", int(HASH, 16), 50, "average-1")
    with store.write() as connection:
        save_results(
            connection,
            [
                ImageResult(
                    ImageReference("x", DID, None),
                    Outcome.hashed,
                    source="cdn",
                    width=1,
                    height=1,
                    format="jpeg",
                    hashes=(image_hash,),
                ),
                ImageResult(ImageReference("y", DID, None), Outcome.corrupt, "broken"),
            ],
            now=NOW,
        )
        save_version(connection, RuleSet.of((rule(),), default_threshold=3), loaded_at=NOW)
        connection.execute(
            "INSERT INTO rule_matches VALUES ('x', 'rule:troll', $1, 'average', 1, 'v', now())",
            [HASH],
        )
        save_actions(connection, [ACTION])
    return store


def collected(warehouse: Warehouse, posts: ImagePosts) -> MatchReport:
    ingest = IngestRecords(posts.root.parent / "ingest_batches")
    return collect(warehouse, posts, ingest, since=NOW - timedelta(days=7), until=NOW)


def test_the_figures_are_those_of_the_period(warehouse: Warehouse, posts: ImagePosts) -> None:
    report = collected(warehouse, posts)
    assert report.seen["posts_with_images"] == 2
    assert report.seen["distinct_images"] == 2
    assert report.outcomes == {"hashed": 1, "corrupt": 1}
    [match] = report.matches
    assert (match["rule_id"], match["posts"], match["nearest"]) == ("rule:troll", 1, 1)
    assert report.actions_in_state("sent") == 1
    assert report.actions_in_state("failed") == 0


def test_an_empty_warehouse_still_gives_a_report(tmp_path: Path) -> None:
    report = collected(Warehouse(tmp_path / "w.duckdb"), ImagePosts(tmp_path / "posts"))
    assert report.seen["images"] == 0
    assert "No rules are in force." in render_html(report)
    assert "0 posts" in render_markdown(report)


def test_a_report_without_gaps_says_so(warehouse: Warehouse, posts: ImagePosts) -> None:
    report = collected(warehouse, posts)
    assert "No events are known to be missing." in render_html(report)
    assert "No events are known to be missing." in render_markdown(report)


def test_gaps_anomalies_and_lag_of_the_period_are_named(
    warehouse: Warehouse, posts: ImagePosts
) -> None:
    ingest = IngestRecords(posts.root.parent / "ingest_batches")
    odd = (Anomaly("unknown_embed:x", 7, "at://did/c/r"),)
    ingest.write(record("1", lag=3.0, gaps=(gap(60),), anomalies=odd))
    ingest.write(record("2", ended=NOW - timedelta(days=8), gaps=(gap(60, host="old"),)))
    report = collected(warehouse, posts)
    text = (
        "Events between 2026-11-23 18:30 UTC and 2026-11-23 18:40 UTC may be missing: clamped, h."
    )
    for page in (render_html(report), render_markdown(report)):
        assert text in page
        assert page.count("may be missing") == 1
        assert "3.0 s" in page
        assert "at://did/c/r" in page
        assert "No events are known to be missing." not in page
    assert "<td>unknown_embed:x</td>" in render_html(report)
    assert "| unknown\\_embed:x | 7 |" in render_markdown(report)


def test_anomalies_are_only_text(warehouse: Warehouse, posts: ImagePosts) -> None:
    ingest = IngestRecords(posts.root.parent / "ingest_batches")
    ingest.write(record("1", anomalies=(Anomaly("odd", 1, HOSTILE),)))
    report = collected(warehouse, posts)
    assert "<script>" not in render_html(report) + render_markdown(report).replace("\\<", "")


class Tags(HTMLParser):
    """Collects the tags of a page, and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]


def test_the_page_links_to_the_post_and_loads_nothing(
    warehouse: Warehouse, posts: ImagePosts
) -> None:
    tags = Tags()
    tags.feed(render_html(collected(warehouse, posts)))
    assert tags.addresses == [f"https://bsky.app/profile/{DID}/post/r1"]
    assert not {"script", "img", "link", "iframe"} & set(tags.names)


def test_with_its_address_subjects_are_linked_in_ozone_too(
    warehouse: Warehouse, posts: ImagePosts
) -> None:
    tags = Tags()
    tags.feed(render_html(collected(warehouse, posts), ozone_url="https://ozone.test"))
    address = f"https://ozone.test/repositories/{DID}/app.bsky.feed.post/r1"
    assert address in tags.addresses


def test_text_from_strangers_is_only_text(warehouse: Warehouse, posts: ImagePosts) -> None:
    with warehouse.write() as connection:
        save_actions(connection, [replace(ACTION, reason=HOSTILE)])
    report = collected(warehouse, posts)
    assert "<script>" not in render_html(report)
    assert "&lt;script&gt;" in render_html(report)


def test_a_cell_of_markdown_cannot_break_its_table() -> None:
    escaped = escape_cell(HOSTILE + "\n[x](javascript:1)")
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)[|<>\[\]]", escaped)


def test_the_file_is_written_under_its_date_and_as_latest(
    warehouse: Warehouse, posts: ImagePosts, tmp_path: Path
) -> None:
    report = collected(warehouse, posts)
    path = write_report(report, tmp_path / "reports")
    assert path.name == "match_report-2026-11-23.html"
    assert (path.parent / "latest.html").read_text() == path.read_text()
    assert len(list(path.parent.iterdir())) == 2
