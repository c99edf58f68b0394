"""Makes the picture of a report in `docs/images/`: `python -m tests.reports.picture`.

Needs Chromium. Shows a made-up week; nothing in it is anybody's.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from phash_dagster.reports.charts import draw
from phash_dagster.reports.data import make_report
from phash_dagster.reports.render import render_html
from tests.browser import chromium, save_picture
from tests.preview.past import NOW
from tests.reports.week import MACHINE, SINCE, build

PATH: Final = Path(__file__).parents[2] / "docs" / "images" / "match-report.png"


def main() -> None:
    """Write it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        week = build(folder)
        report = make_report(week.sources, week.path, lambda: NOW, since=SINCE, machine=MACHINE)
        page = folder / "page.html"
        page.write_text(render_html(report, draw(report)), encoding="utf-8")
        save_picture(_photographed(page), PATH)


def _photographed(page: Path) -> bytes:
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1180, "height": 1050}, color_scheme="light")
        tab.goto(page.as_uri())
        return tab.screenshot()


if __name__ == "__main__":
    main()
