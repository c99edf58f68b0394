"""`phash-dagster report`: what it writes, prints and refuses."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.reports.render import SECTIONS
from tests.alerts.webhook import Webhook, running_webhook
from tests.analysis.conftest import Snapped
from tests.preview.past import MEME, entry, near, post

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Snapped:
    """A past that ends now."""
    past = Snapped(tmp_path_factory.mktemp("past"))
    past.hash({"x": MEME, "y": near(MEME, 2)})
    now = utc_now()
    rows = [post("1", "x", at=now, hours_ago=50), post("2", "y", at=now, did="did:plc:b")]
    past.posts.write_batch(rows, start="1", now=now)
    past.put_in_force(entry())
    return past


@pytest.fixture
def past(stores: Snapped, monkeypatch: pytest.MonkeyPatch) -> Snapped:
    """The same, read by the command by the environment; no report was written yet."""
    monkeypatch.setenv("DATA_DIR", str(stores.settings.data_dir))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    shutil.rmtree(stores.settings.reports_dir, ignore_errors=True)
    return stores


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


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with running_webhook() as hook:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", hook.url)
        yield hook


def test_the_short_form_is_sent_to_the_chat(past: Snapped, webhook: Webhook) -> None:
    result = run("--since", "1d", "--send")
    assert (result.exit_code, result.output) == (0, "Delivered as json.\n")
    [message] = webhook.messages
    text = message["text"]
    assert "Posts with images: 1. Images hashed: 1 of 1, near a rule: 1." in text
    assert "- Nothing was read from Jetstream. `phash-dagster doctor`" in text
    assert not past.settings.reports_dir.exists()


def test_one_that_does_not_arrive_says_why(past: Snapped, webhook: Webhook) -> None:
    webhook.status = 404
    result = run("--send")
    assert result.exit_code == 1
    assert "not delivered as json: the webhook answered 404: it is gone" in result.stderr


def test_without_a_webhook_there_is_nobody_to_tell(
    past: Snapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALERT_WEBHOOK_URL", raising=False)
    result = run("--send")
    assert result.exit_code == 2
    assert "ALERT_WEBHOOK_URL is not set" in result.stderr


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
    past: Snapped, webhook: Webhook, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.launch", lambda _: 0)
    result = run(*shlex.split(command)[2:])
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_the_documentation_shows_the_command() -> None:
    assert "phash-dagster report --since 7d --open" in commands()


def test_what_the_page_of_reports_says_of_sections_is_so() -> None:
    text = (ROOT / "docs" / "reports.md").read_text("utf-8")
    table = text.partition("## What it says")[2]
    named = re.findall(r"^\| ([A-Z][^|]+?) \|", table, flags=re.MULTILINE)
    assert named == ["Section", "Needs you", *SECTIONS.values()]
