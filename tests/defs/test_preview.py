"""The job `preview_rules`."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from phash_dagster.defs.preview import preview_rules
from tests.preview.past import MEME, NOW, Past, entry, post

pytestmark = pytest.mark.slow


@pytest.fixture
def past(tmp_path: Path) -> Past:
    past = Past(tmp_path)
    past.hash({"x": MEME})
    past.write(post("1", "x"), post("old", "x", hours_ago=300))
    past.write_rules(entry("other", MEME ^ 0xFFFFF))
    return past


def run(past: Past, *, raises: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
    return preview_rules.execute_in_process(
        run_config={"ops": {"try_rules": {"config": config}}},
        resources={"settings": past.settings, "clock": lambda: NOW},
        raise_on_error=raises,
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = [
        event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT
    ]
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


def test_the_text_of_a_rule_file_is_tried_beside_the_rules_there_are(past: Past) -> None:
    found = metadata(run(past, rules_json=json.dumps([entry()])))
    assert (found["posts_decided"], found["would_be_sent"]) == (2, 2)
    assert "| meme |" in found["summary"]
    assert "| other |" not in found["summary"]
    page = Path(found["page"])
    assert page.parent == past.settings.reports_dir
    assert "Rules preview" in page.read_text()


def test_a_folder_is_tried_over_the_days_that_are_asked_for(past: Past, tmp_path: Path) -> None:
    folder = tmp_path / "candidate"
    folder.mkdir()
    (folder / "rules.json").write_text(json.dumps([entry()]))
    assert metadata(run(past, path=str(folder), days=2))["posts_decided"] == 1


def test_without_a_path_the_rules_there_are_are_tried(past: Past) -> None:
    assert "| other |" in metadata(run(past))["summary"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rules_json": "{"}, "new.json"),
        ({"path": "/nowhere"}, "/nowhere"),
        ({"rules_json": "[]", "path": "/nowhere"}, "not both"),
    ],
)
def test_rules_that_cannot_be_used_fail_the_run_and_say_why(
    past: Past, config: dict[str, str], words: str
) -> None:
    result = run(past, raises=False, **config)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    assert data.user_failure_data is not None
    assert words in str(data.user_failure_data.description)
    assert not past.settings.reports_dir.exists()
