"""`phash-dagster rules preview` and `phash-dagster similar`: what they print, and exit codes."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.preview import model
from phash_dagster.preview.since import parse_since
from phash_dagster.sandbox import images as pictures
from phash_dagster.warehouse import Warehouse
from tests.preview.past import LIVE, MEME, NOW, Past, delete, entry, hexadecimal, near, post, uri

pytestmark = pytest.mark.slow


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Past:
    """A past that ends now, which the commands read by the environment."""
    past = Past(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in LIVE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(past.settings.data_dir))
    monkeypatch.setenv("RULES_DIR", str(past.settings.rules_dir))
    past.hash({"x": MEME, "y": near(MEME, 2), "z": near(MEME, 4)})
    now = utc_now()
    past.posts.write_batch(
        [
            post("1", "x", at=now, hours_ago=30),
            post("2", "y", at=now, hours_ago=2, did="did:plc:b"),
            post("3", "y", at=now, hours_ago=1, did="did:plc:b"),
            post("4", "z", at=now, hours_ago=3),
        ],
        start="1",
        now=now,
    )
    return past


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_preview_of_the_folder_of_rules_is_a_table(past: Past) -> None:
    past.write_rules(entry())
    result = run("rules", "preview")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["meme", "live", "3", "3", "2", "2", "3", "3", "1"] in rows
    assert "label meme" in result.stdout
    assert result.stderr == ""


def test_the_period_ends_now_and_begins_when_it_is_told(past: Past) -> None:
    past.write_rules(entry())
    found = json.loads(run("rules", "preview", "--since", "1d", "--json").stdout)
    assert found["rules"][0]["within"] == {"posts": 2, "accounts": 1, "images": 1}


DOCUMENT = Path(__file__).parents[2] / "docs/rules-workflow.md"


def test_the_keys_of_the_json_are_documented(past: Past) -> None:
    past.write_rules(entry(), entry("flat", 0))
    past.put_in_force(at=utc_now())
    found = json.loads(run("rules", "preview", "--json").stdout)
    expected = {field.name for field in fields(model.Preview)} - {"recorded"}
    assert set(found) == expected
    similar = json.loads(run("similar", hexadecimal(MEME), "--json").stdout)
    text = DOCUMENT.read_text(encoding="utf-8")
    for key in keys_of(found) | keys_of(similar):
        assert f"`{key}`" in text, f"{key} is not documented"


def test_every_outcome_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for outcome in get_args(model.Outcome):
        assert f"| `{outcome}` |" in text


def keys_of(value: Any) -> set[str]:
    """All keys of JSON, but those of `compared`, which are names of algorithms."""
    if isinstance(value, list):
        return {key for each in value for key in keys_of(each)}
    if not isinstance(value, dict):
        return set()
    nested = {key for name, each in value.items() if name != "compared" for key in keys_of(each)}
    return set(value) | nested


def test_a_file_is_previewed_beside_the_rules_there_are(past: Past, tmp_path: Path) -> None:
    past.write_rules(entry())
    new = tmp_path / "new.json"
    new.write_text(json.dumps([entry("new", near(MEME, 20))]))
    found = json.loads(run("rules", "preview", new, "--json").stdout)
    assert [rule["rule_id"] for rule in found["rules"]] == ["new"]
    assert found["other_rules"] == 1


def test_a_page_is_written_where_it_is_told(past: Past, tmp_path: Path) -> None:
    past.write_rules(entry())
    page = tmp_path / "page.html"
    result = run("rules", "preview", "--html", page)
    assert result.exit_code == 0
    assert "Rules preview" in page.read_text()
    assert str(page) in result.stderr


def test_a_folder_is_no_page(past: Past, tmp_path: Path) -> None:
    past.write_rules(entry())
    result = run("rules", "preview", "--html", tmp_path)
    assert result.exit_code == 2
    assert "folder" in result.stderr


def test_open_without_a_page_is_a_usage_error(past: Past) -> None:
    assert run("rules", "preview", "--open").exit_code == 2


def test_rules_that_cannot_be_used_are_said_as_lint_says_them(past: Past) -> None:
    past.write_rules(entry(label="a b"))
    result = run("rules", "preview")
    assert result.exit_code == 1
    assert "blobs.json, rule 1, label" in result.stderr
    assert result.stdout == ""


def test_a_database_that_is_in_use_is_one_line(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Warehouse.__init__, "__kwdefaults__", {"lock_wait_seconds": 0.1})
    past.write_rules(entry())
    with duckdb.connect(past.warehouse.path):
        result = run("rules", "preview")
    assert result.exit_code == 2
    assert "in use by another process" in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_setting_is_a_usage_error(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_MARGIN", "x")
    assert run("rules", "preview").exit_code == 2
    assert run("similar", hexadecimal(MEME)).exit_code == 2


@pytest.mark.parametrize(
    "text",
    ["30", "d", "-1d", "30 d", "yesterday", "9999w", "999999999d", "0095-01-01", "2999-01-01"],
)
def test_a_time_that_is_none_is_a_usage_error(past: Past, text: str) -> None:
    result = run("rules", "preview", f"--since={text}")
    assert result.exit_code == 2
    assert "--since" in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", NOW - timedelta(days=30)),
        ("12h", NOW - timedelta(hours=12)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ],
)
def test_spans_and_dates_are_understood(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW) == expected


def test_similar_lists_images_by_distance_then_time(past: Past) -> None:
    past.hash({"w": near(MEME, 2)})
    now = utc_now()
    past.posts.write_batch([post("5", "w", at=now, hours_ago=0.1)], start="2", now=now)
    found = json.loads(run("similar", hexadecimal(MEME), "--json").stdout)
    assert (found["algorithm"], found["distance"], found["found"]) == ("average", 5, 4)
    shown = [(image["blob_cid"], image["distance"]) for image in found["images"]]
    assert shown == [("x", 0), ("w", 2), ("y", 2), ("z", 4)]
    image = found["images"][2]
    assert (image["posts"], image["accounts"], image["latest_post"]) == (
        2,
        1,
        uri("3", "did:plc:b"),
    )
    assert image["hash"] == hexadecimal(near(MEME, 2))
    assert image["first_seen"] < image["last_seen"]


def test_similar_takes_a_file(past: Past, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    pictures.photo(1, (64, 48)).save(picture)
    value = run("hash", picture).stdout.split()[0]
    past.hash({"x": int(value, 16)})
    result = run("similar", picture, "--distance", "0")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"1 images within 0 bits of {value}")
    assert uri("1") in result.stdout


def test_similar_takes_a_hash_as_programmers_write_it(past: Past) -> None:
    found = json.loads(run("similar", f"0x{hexadecimal(MEME)}", "--json").stdout)
    assert (found["hash"], found["found"]) == (hexadecimal(MEME), 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["0123456789abcde"], "have 16"),
        (["a" * 300], "have 16"),
        ([hexadecimal(MEME), "--distance", "65"], "have 64"),
    ],
    ids=["too short", "too long", "too far"],
)
def test_what_is_no_hash_or_distance_is_a_usage_error(
    past: Past, arguments: list[str], words: str
) -> None:
    result = run("similar", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_name_that_is_too_long_for_a_file_is_one_line(past: Past) -> None:
    result = run("similar", "x" * 300)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


def test_similar_is_bounded_by_distance_time_and_number(past: Past) -> None:
    text = hexadecimal(MEME)
    assert json.loads(run("similar", text, "--distance", "1", "--json").stdout)["found"] == 1
    assert json.loads(run("similar", text, "--since", "1d", "--json").stdout)["found"] == 2
    limited = json.loads(run("similar", text, "--limit", "1", "--json").stdout)
    assert (limited["found"], len(limited["images"])) == (3, 1)
    assert "2 more" in run("similar", text, "--limit", "1").stdout


def test_similar_tells_what_was_done_about_an_image(past: Past) -> None:
    from phash_dagster.moderation.ledger import Ledger
    from phash_dagster.moderation.mirror import mirror_ledger

    past.put_in_force(entry(), at=utc_now())
    now = utc_now()
    past.posts.write_batch([delete("1", at=now, hours_ago=0)], start="3", now=now)
    past.plan(now)
    with Ledger(past.settings.effective_ledger_url) as ledger:
        mirror_ledger(ledger, past.warehouse)
    found = json.loads(run("similar", hexadecimal(MEME), "--json").stdout)
    assert [image["actions"] for image in found["images"]] == [
        [{"event": "label", "value": "meme", "state": "suppressed", "actions": 1}],
        [{"event": "label", "value": "meme", "state": "planned", "actions": 2}],
        [],
    ]
    assert "label meme: 2 planned" in run("similar", hexadecimal(MEME)).stdout


def test_similar_to_what_is_no_image_is_one_line(past: Past, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("x")
    for source in (text, tmp_path / "missing.png"):
        result = run("similar", source)
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(source) in result.stderr


def test_similar_asks_for_the_algorithm_of_a_hash_of_another_length(past: Past) -> None:
    result = run("similar", "ab" * 32)
    assert result.exit_code == 2
    assert "--algorithm" in result.stderr
    assert run("similar", hexadecimal(MEME), "-a", "nonsense").exit_code == 2


def test_a_preview_without_a_past_says_where_it_looked(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.write_rules(entry())
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    result = run("rules", "preview")
    assert result.exit_code == 0
    assert str(tmp_path / "nothing") in result.stderr
    assert not (tmp_path / "nothing").exists()


def test_similar_without_a_past_finds_nothing(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    result = run("similar", hexadecimal(MEME))
    assert (result.exit_code, result.stdout[:8]) == (0, "0 images")
    assert not (tmp_path / "nothing").exists()
