"""Makes the pictures of the Dagster UI in `docs/images/`: `python -m tests.pipeline.pictures`.

Runs the demo and looks at what it left in Chromium. Nothing in it is anybody's.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

from dagster import DagsterInstance, RunsFilter

from phash_dagster.sandbox.demo import run_demo
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.browser import chromium, save_picture
from tests.pipeline.webserver import web_server

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
GROUPS: Final = ",".join(f"global@global:{group}" for group in ("images", "rules", "moderation"))
"""As the UI names open groups in the address."""
SETTLE_SECONDS: Final = 6.0
"""The UI asks for what it shows bit by bit."""


def main() -> None:
    """Write them."""
    with TemporaryDirectory() as name:
        folder = Path(name, "demo")
        if run_demo(folder):
            raise SystemExit("the demo failed")
        pipeline = LocalPipeline.under(folder, {})
        with web_server(pipeline) as ui, chromium() as browser:
            tab = browser.new_page(color_scheme="light")
            for picture, path, height in (
                ("lineage", f"/asset-groups?expanded={quote(GROUPS)}", 1150),
                ("automation", "/automation", 800),
                ("run", f"/runs/{last_run(pipeline)}", 800),
            ):
                tab.set_viewport_size({"width": 1400, "height": height})
                tab.goto(f"{ui.origin}{path}")
                tab.wait_for_timeout(SETTLE_SECONDS * 1000)
                save_picture(tab.screenshot(), IMAGES / f"{picture}.png")


def last_run(pipeline: LocalPipeline) -> str:
    """The last run that hashed, matched and acted."""
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        [run] = instance.get_runs(RunsFilter(job_name="moderate_hour"), limit=1)
    return run.run_id


if __name__ == "__main__":
    main()
