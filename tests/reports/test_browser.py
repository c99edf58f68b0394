"""The report in a browser: what it loads, how it fits, and that a keyboard and a reader suffice."""

import base64
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from phash_dagster.reports.charts import Chart
from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.render import render_html
from tests.browser import chromium, find_chromium
from tests.programs import missing

pytestmark = pytest.mark.slow

Scheme = Literal["light", "dark"]
VIEWS: tuple[tuple[int, Scheme], ...] = (
    (400, "light"),
    (400, "dark"),
    (1400, "light"),
    (1400, "dark"),
)
CDN = "https://cdn.test"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all: Debian's."""
    if find_chromium() is None:
        missing("the package chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    report: MatchReport,
    empty: MatchReport,
    charts: dict[str, Chart],
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "full": render_html(report, charts, ozone_url="https://ozone.test", cdn=CDN),
        "empty": render_html(empty, {}, cdn=CDN),
    }
    found = {name: folder / f"{name}.html" for name in pages}
    for name, path in found.items():
        path.write_text(pages[name], encoding="utf-8")
    return found


class Visit:
    """A page that is open, and what it did since it was opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def asks_of_network(self) -> list[str]:
        return [url for url in self.requests if not url.startswith("file:")]


def visit(
    browser: Browser, path: Path, width: int = 1400, scheme: Scheme = "light", **options: Any
) -> Visit:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, **options
    )
    context.set_default_timeout(60_000)
    opened = Visit(context.new_page())
    opened.page.goto(path.as_uri())
    return opened


@pytest.fixture
def full(browser: Browser, files: dict[str, Path]) -> Iterator[Visit]:
    opened = visit(browser, files["full"])
    yield opened
    opened.page.context.close()


@pytest.fixture(params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def view(
    request: pytest.FixtureRequest, browser: Browser, files: dict[str, Path]
) -> Iterator[Visit]:
    width, scheme = request.param
    opened = visit(browser, files["full"], width, scheme)
    yield opened
    opened.page.context.close()


def overflow(page: Page) -> int:
    """How many pixels of the page lie beyond the window."""
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def test_it_says_nothing_to_the_console_asks_nothing_and_fits(view: Visit) -> None:
    view.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert view.said == []
    assert len(view.requests) == 1
    assert view.asks_of_network() == []
    assert overflow(view.page) == 0


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "dark")])
def test_it_has_no_known_barrier(
    browser: Browser, files: dict[str, Path], width: int, scheme: Scheme
) -> None:
    page = visit(browser, files["full"], width, scheme).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.context.close()


def test_an_empty_report_is_as_good(browser: Browser, files: dict[str, Path]) -> None:
    opened = visit(browser, files["empty"], 400, "dark")
    assert (opened.said, opened.asks_of_network(), overflow(opened.page)) == ([], [], 0)
    found = Axe().run(opened.page)
    assert found.violations_count == 0, found.generate_report()
    opened.page.context.close()


def test_wide_tables_scroll_in_their_box(browser: Browser, files: dict[str, Path]) -> None:
    page = visit(browser, files["full"], 400).page
    box = page.get_by_role("region", name="Matches by rule")
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")
    box.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("one => one.scrollLeft > 0", arg=box.element_handle())
    page.context.close()


def test_one_drawing_of_each_chart_is_seen_and_has_a_name(
    view: Visit, charts: dict[str, Chart]
) -> None:
    images = view.page.get_by_role("img")
    assert images.count() == len(charts), "what is not shown is not read out either"
    for chart in charts.values():
        expect(view.page.get_by_role("img", name=f"{chart.title}. {chart.text}")).to_be_visible()


def test_charts_have_the_colours_of_the_page(view: Visit) -> None:
    ink, paper, label = view.page.evaluate(
        """() => {
            const style = getComputedStyle(document.body);
            const labels = [...document.querySelectorAll("figure text")];
            const label = labels.find(one => one.checkVisibility());
            return [style.color, style.backgroundColor, getComputedStyle(label).fill];
        }"""
    )
    assert label == ink != paper


def test_headings_come_in_order(full: Visit) -> None:
    levels = [
        int(level)
        for level in full.page.eval_on_selector_all(
            "h1, h2, h3, h4", "all => all.map(one => one.tagName[1])"
        )
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_landmarks_have_names(full: Visit) -> None:
    expect(full.page.get_by_role("navigation", name="Sections")).to_be_visible()
    expect(full.page.get_by_role("main")).to_be_visible()
    for name in ("Seen and hashed", "Held and failed", "New images", "Cost"):
        expect(full.page.get_by_role("region", name=name, exact=True)).to_be_visible()
    expect(full.page.get_by_role("table", name="How the images ended")).to_be_visible()


def test_the_tab_key_reaches_everything_in_order_and_one_sees_where_it_is(full: Visit) -> None:
    page = full.page
    wanted: list[str] = page.eval_on_selector_all(
        "a[href], button, summary, [tabindex='0']",
        """all => all.filter(one => one.checkVisibility()).map((one, place) => {
            one.dataset.place = place; return String(place);
        })""",
    )
    assert len(wanted) > 60
    reached = []
    for _ in wanted:
        page.keyboard.press("Tab")
        place, outline = page.evaluate(
            """() => {
                const one = document.activeElement, style = getComputedStyle(one);
                return [one.dataset.place, style.outlineStyle + " " + style.outlineWidth];
            }"""
        )
        reached.append(place)
        assert outline == "solid 3px"
    assert reached == wanted


def test_the_first_link_skips_to_the_content(full: Visit) -> None:
    page = full.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_the_figures_of_a_chart_open_with_the_keyboard(full: Visit) -> None:
    table = full.page.get_by_role("table", name="Images seen and hashed, by day")
    expect(table).not_to_be_visible()
    full.page.locator("#chart-seen summary").focus()
    full.page.keyboard.press("Enter")
    expect(table).to_be_visible()
    expect(table.get_by_role("rowheader")).to_have_count(8)


def test_links_to_strangers_tell_them_nothing(full: Visit) -> None:
    kinds = full.page.eval_on_selector_all("a[href^='http']", "all => all.map(one => one.rel)")
    assert set(kinds) == {"noopener noreferrer"}


def test_a_thumbnail_is_loaded_after_a_click_veiled_and_hidden_again(
    full: Visit, report: MatchReport
) -> None:
    page, headers = full.page, []

    def answer(route: Route) -> None:
        headers.append(route.request.headers)
        route.fulfill(body=PIXEL, content_type="image/png")

    page.route(f"{CDN}/**", answer)
    group = report.judging.clusters[0]
    button = page.get_by_role("button", name=f"Show image of group {group['hash']}")
    expect(button).to_have_accessible_description(re.compile("which then sees your address"))
    assert full.asks_of_network() == []

    button.focus()
    page.keyboard.press("Enter")
    image = page.get_by_role("img", name=f"image of group {group['hash']}")
    expect(image).to_be_visible()
    expect(image).to_have_css("filter", re.compile("blur"))
    [url] = full.asks_of_network()
    assert url.startswith(f"{CDN}/img/feed_thumbnail/plain/did:plc:")
    assert url.endswith(f"/{group['blob_cid']}@jpeg")
    assert "referer" not in headers[0]

    page.get_by_role("button", name="Unveil image of group").click()
    expect(image).to_have_css("filter", "none")
    page.get_by_role("button", name="Hide image of group").click()
    expect(image).to_have_count(0)
    expect(button).to_be_visible()
    assert full.said == []
    assert overflow(page) == 0


def test_an_image_that_is_gone_is_said_to_be_gone(full: Visit) -> None:
    full.page.route(f"{CDN}/**", lambda route: route.fulfill(status=404))
    button = full.page.get_by_role("button", name="Show image of group").first
    button.click()
    expect(full.page.get_by_text("The image is not there.")).to_be_visible()


def test_nothing_else_may_be_loaded(full: Visit) -> None:
    blocked = full.page.evaluate(
        """() => new Promise(resolve => {
            const found = [];
            document.addEventListener("securitypolicyviolation", event => {
                found.push(event.effectiveDirective);
                if (found.length === 3) resolve(found.sort());
            });
            const add = (tag, more) =>
                document.body.append(Object.assign(document.createElement(tag), more));
            add("img", {src: "https://elsewhere.test/x.png"});
            add("script", {src: "https://cdn.test/x.js"});
            add("script", {textContent: "alert(1)"});
        })"""
    )
    assert blocked == ["img-src", "script-src-elem", "script-src-elem"]


def test_without_scripts_only_the_thumbnails_are_missing(
    browser: Browser, files: dict[str, Path]
) -> None:
    opened = visit(browser, files["full"], java_script_enabled=False)
    expect(opened.page.get_by_role("button")).to_have_count(0)
    expect(opened.page.get_by_role("table", name="New groups of images")).to_be_visible()
    opened.page.locator("#chart-seen summary").click()
    expect(opened.page.get_by_role("table", name="Images seen and hashed, by day")).to_be_visible()
    opened.page.context.close()
