"""`phash-dagster explain`: what it prints, exit codes, and that it changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.explain import archive
from phash_dagster.explain.question import Question, parse_question
from phash_dagster.moderation.ledger import Ledger
from tests.explain.stage import MEME, Stage, blob, entry, key, near, uri
from tests.preview.past import LIVE
from tests.preview.test_sources import contents

pytestmark = pytest.mark.slow

KEY = key()
POST = uri(KEY)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A post that was labelled, in stores that the command finds by the environment."""
    stage = Stage(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in LIVE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(stage.settings.data_dir))
    monkeypatch.setenv("RULES_DIR", str(stage.settings.rules_dir))
    monkeypatch.setenv("OZONE_URL", "https://ozone.example.org")
    stage.give(meme=near(MEME, 2))
    stage.post(KEY, "meme", embed_type="app.bsky.embed.images")
    stage.rule(entry(reportPost=True))
    rows = stage.live()
    stage.send(event_id=12)
    stage.mirror()
    stage.outcome(rows[0].action_id, "appealed")
    return stage


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def words(text: str) -> str:
    """The text without the places where it is folded."""
    return " ".join(text.split())


def test_the_last_line_answers_the_question(stage: Stage) -> None:
    result = run(POST)
    assert result.exit_code == 0
    last = result.stdout.rstrip().splitlines()[-1]
    assert last.startswith("Done: label meme on the post was sent at 2026-11-23 20:15:00 UTC")
    assert result.stderr == ""


def test_the_story_names_what_is_needed_to_check_it(stage: Stage) -> None:
    text = words(run(POST).stdout)
    for part in (
        POST,
        f"https://bsky.app/profile/did:plc:a/post/{KEY}",
        f"https://ozone.example.org/repositories/did:plc:a/app.bsky.feed.post/{KEY}",
        f"create of record-{KEY}, told by h (image_posts/hour=2026-11-23-19/1.parquet)",
        f"{blob('meme')} (app.bsky.embed.images, image/jpeg, 9,000 bytes)",
        "hashed, 640 x 480 jpeg, from the cdn",
        "of 500 actions in 24 hours",
        "appealed by did:plc:mod (people) at 2026-11-23 20:15:00 UTC: art",
        "1 sent, 0 taken back by people, 0 undone, 1 appealed; right in at least 21% of cases",
        "as Ozone's event 12",
    ):
        assert part in text


def test_json_has_the_whole_story(stage: Stage) -> None:
    found = json.loads(run(POST, "--json").stdout)
    assert found["because"].startswith("Done: label meme")
    [story] = found["stories"]
    assert (story["kind"], story["uri"], story["rules"]["hour"]) == (
        "post",
        POST,
        "2026-11-23-19:00",
    )
    assert story["images"][0]["matches"][0]["distance"] == 2
    assert story["actions"][0]["action"]["state"] == "sent"
    assert story["events"][0]["time"].endswith("+00:00")


@pytest.mark.parametrize("kind", ["account", "image", "action"])
def test_accounts_images_and_actions_have_stories_too(stage: Stage, kind: str) -> None:
    asked = {"account": "did:plc:a", "image": blob("meme"), "action": "1"}[kind]
    result = run(asked)
    assert result.exit_code == 0
    assert words(result.stdout).rpartition("Done")[1]
    [story] = json.loads(run(asked, "--json").stdout)["stories"]
    assert story["kind"] == ("post" if kind == "action" else kind)


def test_text_of_strangers_is_no_markup(stage: Stage) -> None:
    stage.post(key(number=1), "meme", created_at="[red]now[/]", did="did:plc:b")
    assert "created at [red]now[/] by its author" in words(
        run(uri(key(number=1), "did:plc:b")).stdout
    )


def test_what_nobody_knows_has_exit_code_one(stage: Stage) -> None:
    result = run(uri(key(number=9)))
    assert result.exit_code == 1
    assert "perhaps it has no image" in result.stdout
    result = run("99")
    assert (result.exit_code, result.stderr) == (1, "phash-dagster: there is no action 99\n")


def test_what_cannot_be_explained_says_what_can(stage: Stage) -> None:
    result = run("alice")
    assert result.exit_code == 2
    assert "the CID of an image" in words(result.stderr.replace("│", " "))


def test_nothing_is_written(stage: Stage, tmp_path: Path) -> None:
    before = contents(tmp_path)
    for asked in (POST, "did:plc:a", blob("meme"), "1", uri(key(number=9)), blob("unknown")):
        run(asked)
    assert contents(tmp_path) == before


def test_an_empty_folder_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for asked in (POST, "did:plc:a", blob("meme"), "1"):
        assert run(asked).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_compaction_removes_meanwhile_is_looked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([duckdb.IOException("No files found that match the pattern")])
    real = archive._set_files

    def vanish(*arguments: object) -> None:
        for failure in failures:
            raise failure
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(archive, "_set_files", vanish)
    assert run(POST).exit_code == 0


HOLD = """
import sys, time
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.warehouse import Warehouse
from pathlib import Path
with Ledger(sys.argv[2]), Warehouse(Path(sys.argv[1])).write():
    print("held", flush=True)
    time.sleep(1.5)
"""


def test_it_waits_while_the_pipeline_writes(stage: Stage) -> None:
    arguments = [str(stage.settings.warehouse_path), stage.settings.effective_ledger_url]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        result = run(POST)
        assert result.exit_code == 0
        assert "Done: label meme" in result.stdout
        assert writer.wait() == 0


def test_the_pipeline_may_write_while_posts_are_searched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = archive._set_files, []

    def write_meanwhile(*arguments: object) -> None:
        with stage.warehouse.write() as connection:
            connection.execute("CREATE OR REPLACE TABLE scratch AS SELECT 1 AS one")
        with Ledger(stage.settings.effective_ledger_url) as ledger:
            seen.append(ledger.counts())
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(archive, "_set_files", write_meanwhile)
    assert run(POST).exit_code == 0
    assert seen


# What may be asked


DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f"at://{DID}/app.bsky.feed.post/3k", "record", f"at://{DID}/app.bsky.feed.post/3k"),
        (
            f" https://bsky.app/profile/{DID}/post/3k ",
            "record",
            f"at://{DID}/app.bsky.feed.post/3k",
        ),
        ("https://bsky.app/profile/a.test/post/3k", "key", "app.bsky.feed.post/3k"),
        ("at://a.test/app.bsky.feed.post/3k", "key", "app.bsky.feed.post/3k"),
        (DID, "account", DID),
        (f"at://{DID}", "account", DID),
        (f"https://bsky.app/profile/{DID}", "account", DID),
        (blob("x"), "cid", blob("x")),
        ("17", "action", "17"),
        ("#17", "action", "17"),
    ],
)
def test_what_people_paste_is_understood(text: str, kind: str, value: str) -> None:
    question = parse_question(text)
    assert question == Question(text.strip(), question.kind, value)
    assert question.kind == kind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "none of what can be explained"),
        ("hello", "none of what can be explained"),
        ("https://example.org/profile/a.test/post/3k", "none of what can be explained"),
        ("a.test", "a.test is a handle"),
        ("@a.test", "is a handle"),
        ("https://bsky.app/profile/a.test", "a.test is a handle"),
    ],
)
def test_what_cannot_be_looked_up_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_question(text)
