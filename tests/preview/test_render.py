"""The page and the Markdown: what they show, and that nothing in them can harm their reader."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from phash_dagster.preview.model import AccountCount, Preview
from phash_dagster.preview.render import (
    actions_with,
    as_json,
    render_html,
    render_markdown,
    write_html,
)
from phash_dagster.reports.pages import post_link
from tests.preview.past import MEME, NOW, Past, entry, near, post, uri

pytestmark = pytest.mark.slow

HOSTILE = '"><script>alert(1)</script>|x'


@pytest.fixture
def preview(tmp_path: Path) -> Preview:
    """A rule with everything that a page can show, and one that finds nothing."""
    past = Past(tmp_path, BACKFILL_MAX_SHARE="1")
    past.hash({"x": MEME, "y": near(MEME, 4)})
    past.write(
        *(post("1", "x", did=f"did:plc:{number}") for number in range(20)),
        post("2", "y", did="did:plc:y"),
    )
    past.put_in_force(entry("older", hammingThreshold=0, label="same"))
    return past.preview(
        past.write_rules(entry("meme", MEME, 0, label="same"), entry("none", near(MEME, 20)))
    )


class Tags(HTMLParser):
    """Collects the tags of a page, and where they lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]


def test_the_page_links_to_posts_and_accounts_and_loads_nothing(preview: Preview) -> None:
    tags = Tags(render_html(preview))
    assert "https://bsky.app/profile/did:plc:3/post/1" in tags.addresses
    assert "https://bsky.app/profile/did:plc:0" in tags.addresses
    assert all(
        address.startswith("https://bsky.app/profile/did:plc:")
        for address in tags.addresses
        if address != "#content"
    )
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(tags.names)
    assert "url(" not in render_html(preview)


def test_with_its_address_posts_are_linked_in_ozone_too(preview: Preview) -> None:
    tags = Tags(render_html(preview, ozone_url="https://ozone.test"))
    assert "https://ozone.test/repositories/did:plc:3/app.bsky.feed.post/1" in tags.addresses


def test_the_page_is_readable_in_dark_and_light(preview: Preview) -> None:
    assert "color-scheme: light dark" in render_html(preview)


def test_the_page_shows_every_part(preview: Preview) -> None:
    text = re.sub(r"<[^>]*>", " ", render_html(preview))
    for part in (
        "Dangers",
        "flat-hash",
        "Popular images near it",
        "Hamming distance",
        "margin",
        "Hashes",
        "Actions",
        "Rules in force that decide the same posts",
        "Most hit accounts",
        "Latest posts in reach",
    ):
        assert part in text


def hostile(preview: Preview) -> Preview:
    """The same with text that strangers chose."""
    rule = preview.rules[0]
    bad = replace(
        rule,
        rule_id=HOSTILE,
        accounts=(AccountCount(f"did:plc:{HOSTILE}", 1, 1),),
        actions=(replace(rule.actions[0], why=HOSTILE, value=HOSTILE),),
        examples=(replace(rule.examples[0], uri=uri(HOSTILE), did=HOSTILE),),
        popular=(replace(rule.popular[0], example=uri(HOSTILE)),),
        overlaps=(replace(rule.overlaps[0], rule_id=HOSTILE),),
    )
    dangers = tuple(replace(danger, found=HOSTILE) for danger in preview.dangers)
    return replace(preview, rules=(bad,), dangers=dangers, sources=(HOSTILE,))


def test_text_from_strangers_is_only_text(preview: Preview) -> None:
    for ozone_url in ("", "https://ozone.test"):
        text = render_html(hostile(preview), ozone_url=ozone_url)
        honest = Tags(render_html(preview, ozone_url=ozone_url))
        tags = Tags(text)
        assert "script" not in tags.names
        assert tags.attributes == honest.attributes
        assert "&lt;script&gt;" in text
        assert all('"' not in address and "<" not in address for address in tags.addresses)


def test_text_from_strangers_cannot_break_the_markdown(preview: Preview) -> None:
    text = render_markdown(hostile(preview))
    assert not re.search(r"(?<!\\)<script", text)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) in {5, 10, 11} for row in rows)


def test_a_link_never_leaves_bsky_app() -> None:
    assert post_link("at://did:plc:a/app.bsky.feed.post/../../x?y#z") == (
        "https://bsky.app/profile/did:plc:a/post/..%2F..%2Fx%3Fy%23z"
    )
    assert post_link("did:plc:a") == "https://bsky.app/profile/did:plc:a"
    assert post_link("at://did:plc:a/app.bsky.actor.profile/self") == (
        "https://bsky.app/profile/did:plc:a"
    )


def test_the_file_is_written_as_a_whole(preview: Preview, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    page = write_html(preview, folder / "page.html")
    assert page.read_text() == render_html(preview)
    assert list(folder.iterdir()) == [page]


def test_json_has_times_and_no_actions_one_by_one(preview: Preview) -> None:
    fields = json.loads(as_json(preview))
    assert fields["made_at"] == NOW.isoformat()
    assert "recorded" not in fields
    assert fields["dangers"][0]["danger"] == "flat-hash"
    assert fields["rules"][0]["actions"][0]["outcome"] == "sent"
    assert actions_with(preview, "sent") == 20
