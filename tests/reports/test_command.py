"""`phash-dagster report`: what it writes, prints and refuses."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.reports.render import SECTIONS
from tests.analysis.conftest import Snapped
from tests.preview.past import MEME, entry, near, post

ROOT = Path(__file__).parents[2]


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapped:
    """A past that ends now, which the command reads by the environment."""
    past = Snapped(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(past.settings.data_dir))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    past.hash({"x": MEME, "y": near(MEME, 2)})
    now = utc_now()
    rows = [post("1", "x", at=now, hours_ago=50), post("2", "y", at=now, did="did:plc:b")]
    past.posts.write_batch(rows, start="1", now=now)
    past.put_in_force(entry())
    return past


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


def posts(*arguments: str) -> int:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    return int(found["reading"]["seen"]["posts_with_images"])


def test_it_writes_the_page_and_prints_where_it_is(past: Snapped) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    page = Path(result.stdout.strip())
    assert page.name == f"match_report-{utc_now():%Y-%m-%d}-7d.html"
    assert "meme" in page.read_text()


def test_the_period_is_what_was_asked_for(past: Snapped) -> None:
    assert posts() == 2
    assert posts("--since", "12h") == 1
    assert posts("--days", "1") == 1
    assert not past.settings.reports_dir.exists(), "JSON writes no page"


def test_markdown_is_printed_for_chat(past: Snapped) -> None:
    result = run("--markdown")
    assert "2 posts with 2 images" in result.stdout
    assert not past.settings.reports_dir.exists()


@pytest.mark.parametrize("code", [0, 1])
def test_the_page_is_opened_in_the_browser(
    past: Snapped, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    opened: list[str] = []

    def launch(url: str) -> int:
        opened.append(url)
        return code

    monkeypatch.setattr("typer.launch", launch)
    result = run("--since", "7d", "--open")
    assert opened == [Path(result.stdout.strip()).as_uri()]
    assert ("No browser could be opened here" in result.stderr) is bool(code)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "7d", "--days", "7"), "one of --since and --days"),
        (("--json", "--markdown"), "one of --open, --json"),
        (("--since", "soon"), "is no time"),
        (("--days", "0"), "--days"),
    ],
)
def test_what_makes_no_sense_is_refused(
    past: Snapped, arguments: tuple[str, ...], said: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_before_anything_ran_there_is_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "new"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    result = run()
    assert result.exit_code == 0, result.output
    assert "Nothing was read from Jetstream" in Path(result.stdout.strip()).read_text()


def commands() -> list[str]:
    """Every `phash-dagster report` of the documentation."""
    texts = [path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")]
    return sorted(
        set(re.findall(r"^\$? ?(phash-dagster report[^>|\n]*)", "\n".join(texts), re.MULTILINE))
    )


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documentation_does_what_it_says(
    past: Snapped, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.launch", lambda _: 0)
    result = run(*shlex.split(command)[2:])
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_the_documentation_shows_the_command() -> None:
    assert len(commands()) == 4


def test_what_the_page_of_reports_says_of_sections_is_so() -> None:
    text = (ROOT / "docs" / "reports.md").read_text("utf-8")
    table = text.partition("## What it says")[2]
    named = re.findall(r"^\| ([A-Z][^|]+?) \|", table, flags=re.MULTILINE)
    assert named == ["Section", "Needs you", *SECTIONS.values()]
