"""What a report says that needs a person."""

import shlex
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.matters import (
    backfills_command,
    failed_command,
    held_command,
    loads_command,
    matters,
)
from tests.analysis.world import World


def with_reading(report: MatchReport, **changes: Any) -> MatchReport:
    return replace(report, reading=replace(report.reading, **changes))


def texts(report: MatchReport) -> list[str]:
    return [matter.text for matter in matters(report)]


def test_a_quiet_week_needs_nobody(report: MatchReport) -> None:
    quiet = replace(
        with_reading(report, gaps=(), outcomes={"hashed": 3}, lag={"batches": 1, "p95_seconds": 2}),
        acting=replace(report.acting, held=(), failed=(), matches=()),
        judging=replace(
            report.judging, rules=(), clusters=(), past={"hours": 2, "planned": 2, "matched": 2}
        ),
    )
    assert matters(quiet) == ()


def test_each_thing_that_is_wrong_is_named_with_its_number(report: MatchReport) -> None:
    held = sum(row["actions"] for row in report.acting.held)
    failed = sum(row["actions"] for row in report.acting.failed)
    found = texts(report)
    assert "Events may be missing in one span of time." in found
    assert "2 images could not be fetched yet, and will be tried again." in found
    assert f"{held} actions held for you." in found
    assert f"{failed} actions could not be sent." in found
    assert "2 actions taken back." in found
    assert "1 hash set aside as dangerous, and not acted upon." in found


@pytest.mark.parametrize(("seconds", "said"), [(59.0, False), (61.0, True), (None, False)])
def test_late_reading_is_told_from_a_minute_on(
    report: MatchReport, seconds: float | None, said: bool
) -> None:
    late = with_reading(report, lag={"batches": 1, "p95_seconds": seconds})
    assert any("were read late" in text for text in texts(late)) is said


def test_that_nothing_was_read_comes_first(empty: MatchReport) -> None:
    assert texts(empty)[0] == "Nothing was read from Jetstream."


def test_the_commands_are_understood(
    world: World, report: MatchReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(world.settings.data_dir))
    lines = [matter.command for matter in matters(report) if matter.command]
    lines += [held_command(row) for row in report.acting.held]
    lines += [loads_command(report), backfills_command(report)]
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "phash-dagster"
        result = CliRunner().invoke(app, arguments)
        # The ledger of this past is empty; what is written wrongly ends with 2.
        assert result.exit_code == 0 or "No action is as asked for." in result.output, line


def test_the_name_of_a_rule_cannot_become_a_command() -> None:
    row = {"rule_id": "x; rm -rf ~", "state": "dead"}
    assert shlex.split(held_command(row))[-1] == row["rule_id"]
    assert shlex.split(failed_command(row)) == [
        *("phash-dagster", "actions", "retry", "--state", "dead", "--rule"),
        row["rule_id"],
    ]
