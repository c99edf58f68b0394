"""`phash-dagster actions …`: what it prints, what it changes, and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.moderation.actions import Action, Event, Review, State
from tests.moderation.bench import CREDENTIALS, post
from tests.moderation.builders import DID, HASH, NOW, TTL, action_on_account, action_on_post
from tests.moderation.undo_bench import UndoBench, troll_rule, uri


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UndoBench:
    """A ledger with a held, a failed and a sent label, which the commands find by settings."""
    bench = UndoBench(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in {**CREDENTIALS, "MODERATION_MODE": "live"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    record(bench, action_on_post("held", state=State.HELD, reason="over budget: 1 action"))
    failed = record(bench, action_on_post("failed"))
    bench.ledger.mark_sending(failed.action_id)
    bench.ledger.mark_failed(failed.action_id, "InvalidRequest: no")
    sent = record(bench, action_on_account())
    bench.ledger.mark_sending(sent.action_id)
    bench.ledger.mark_sent(sent.action_id, 17, NOW)
    return bench


HELD, FAILED, SENT = 1, 2, 3


def record(bench: UndoBench, action: Action) -> Action:
    assert bench.ledger.record([action], claim_ttl=TTL) == 1
    return bench.rows()[-1]


def run(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["actions", *map(str, arguments)], input=answer)


def found(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def states(bench: UndoBench) -> dict[int, str]:
    return {row.action_id: row.state.value for row in bench.rows()}


AS_THEY_WERE = {HELD: "held", FAILED: "failed", SENT: "sent"}

# Looking


def test_actions_are_listed_the_last_first(bench: UndoBench) -> None:
    result = run("list")
    assert result.exit_code == 0
    words = [line.split() for line in result.stdout.splitlines()]
    assert [line[:2] for line in words if line and line[0].isdigit()] == [
        ["3", "sent"],
        ["2", "failed"],
        ["1", "held"],
    ]
    assert "over budget: 1 action" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--state", "held"], [HELD]),
        (["--state", "held", "--state", "sent"], [SENT, HELD]),
        (["--rule", "rule-1", "--event", "label"], [SENT, FAILED, HELD]),
        (["--label", "troll"], [SENT, FAILED, HELD]),
        (["--hash", HASH.upper()], [SENT, FAILED, HELD]),
        (["--batch", "batch-1"], [SENT, FAILED, HELD]),
        (["--run", "run-1"], [SENT, FAILED, HELD]),
        (["--rule-version", "aaaaaa"], [SENT, FAILED, HELD]),
        (["--lane", "live"], [SENT, FAILED, HELD]),
        (["--since", "2026-11-23"], [SENT, FAILED, HELD]),
        ([DID], [SENT, FAILED, HELD]),
        ([uri("held")], [HELD]),
        (["--subject", uri("held")], [HELD]),
        ([FAILED, uri("held")], [FAILED, HELD]),
        ([FAILED, "--state", "failed"], [FAILED]),
    ],
    ids=str,
)
def test_options_say_which_are_meant(
    bench: UndoBench, arguments: list[object], expected: list[int]
) -> None:
    assert [row["action_id"] for row in found("list", *arguments)["actions"]] == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--state", "held", "--rule", "another"],
        ["--rule-version", "aaaa"],
        ["--batch", "batch"],
        ["--since", "2026-11-24"],
        ["--label", "trolls"],
        [uri("other")],
        [99],
    ],
    ids=str,
)
def test_nothing_as_asked_for_is_said_and_an_exit_code(
    bench: UndoBench, arguments: list[object]
) -> None:
    result = run("list", *arguments)
    assert (result.exit_code, result.stderr) == (1, "No action is as asked for.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["meme"], "names no action"),
        (["at://alice.test/app.bsky.feed.post/1"], "phash-dagster explain"),
        (["https://bsky.app/profile/alice.test/post/1"], "can change hands"),
        (["https://bsky.app/profile/alice.test"], "write its did:"),
        (["--lane", "fast"], "live, backfill"),
        (["--since", "yesterday"], "30d"),
        (["--state", "gone"], "planned"),
    ],
    ids=str,
)
def test_what_names_nothing_is_a_usage_error(
    bench: UndoBench, arguments: list[str], words: str
) -> None:
    result = run("list", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_no_more_are_listed_than_asked_for_and_the_rest_is_counted(bench: UndoBench) -> None:
    assert "2 more; --limit" in run("list", "--limit", 1).stdout
    listed = found("list", "--limit", 1)
    assert (listed["total"], len(listed["actions"])) == (3, 1)


def test_actions_are_counted_by_what_they_have_in_common(bench: UndoBench) -> None:
    record(bench, action_on_post("more", state=State.HELD, reason="over budget: 1 action"))
    first = found("list", "--count")["counts"][0]
    assert first == {
        "state": "held",
        "event": "label",
        "value": "troll",
        "rule_id": "rule-1",
        "reason": "over budget: 1 action",
        "rows": 2,
        "accounts": 1,
    }
    assert "over budget" in run("list", "--count").stdout


def test_without_a_ledger_there_is_nothing_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    assert run("list").exit_code == 1
    assert run("show", 1).exit_code == 1
    assert run("release", 1).exit_code == 1
    assert run("undo", "--rule", "x", "--yes").exit_code == 1
    assert not (tmp_path / "nothing").exists()


def test_looking_leaves_no_file_beside_a_ledger_that_nobody_has_open(
    bench: UndoBench, tmp_path: Path
) -> None:
    bench.ledger.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run("list").exit_code == 0
    assert run("undo", "--rule", "rule-1").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_ledger_that_cannot_be_opened_is_named(
    bench: UndoBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-ledger").write_text("this is no database, however long it may be")
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{tmp_path / 'no-ledger'}")
    result = run("list")
    assert result.exit_code == 2
    assert "LEDGER_URL" in result.stderr


def test_an_action_is_shown_with_all_its_fields_and_its_history(bench: UndoBench) -> None:
    bench.ledger.reviews.release([HELD], "ana")
    result = run("show", HELD)
    assert result.exit_code == 0
    for words in (
        "subject_uri",
        uri("held"),
        "planned by run run-1, batch batch-1",
        "released by ana; before: over budget: 1 action",
    ):
        assert words in result.stdout
    [shown] = found("show", HELD)
    assert shown["action"]["reviewed_by"] == "ana"
    assert shown["undone_by"] == []


def test_everything_on_a_post_or_an_account_is_shown(bench: UndoBench) -> None:
    assert [each["action"]["action_id"] for each in found("show", DID)] == [3, 2, 1]
    assert len(found("show", DID, "--limit", 2)) == 2


def test_a_number_that_is_none_is_said(bench: UndoBench) -> None:
    result = run("show", SENT, 99)
    assert (result.exit_code, result.stderr) == (1, "There is no action 99.\n")
    assert DID in result.stdout


# Deciding


def test_one_action_is_released_without_a_question(bench: UndoBench) -> None:
    result = run("release", HELD, "--by", "ana")
    assert result.exit_code == 0
    assert "Released: 1\n" in result.stdout
    [row] = [row for row in bench.rows() if row.action_id == HELD]
    assert (row.state, row.review, row.reviewed_by) == (State.PLANNED, Review.RELEASED, "ana")


def test_who_decides_is_the_user_unless_said_otherwise(
    bench: UndoBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    run("reject", HELD)
    assert [row.reviewed_by for row in bench.rows() if row.action_id == HELD] == ["bob"]


def test_many_are_decided_after_a_question_with_counts(bench: UndoBench) -> None:
    record(bench, action_on_post("more", state=State.HELD, reason="flood"))
    refused = run("release", "--rule", "rule-1", answer="n\n")
    assert refused.exit_code == 1
    assert "flood" in refused.stdout
    assert "Release 2 actions? [y/N]" in refused.stderr
    assert "Nothing was changed." in refused.stderr
    assert run("release", "--rule", "rule-1").exit_code == 1
    assert states(bench) == AS_THEY_WERE | {4: "held"}
    assert run("release", "--rule", "rule-1", answer="y\n").exit_code == 0
    assert states(bench) == {HELD: "planned", FAILED: "failed", SENT: "sent", 4: "planned"}


def test_yes_asks_nothing(bench: UndoBench) -> None:
    assert run("reject", "--rule", "rule-1", "--yes").exit_code == 0
    assert states(bench) == {HELD: "suppressed", FAILED: "suppressed", SENT: "sent"}


def test_everything_is_decided_only_where_that_is_said(bench: UndoBench) -> None:
    result = run("release", "--yes")
    assert (result.exit_code, states(bench)) == (2, AS_THEY_WERE)
    assert "--all" in result.stderr
    assert run("release", "--all", "--yes").exit_code == 0
    assert states(bench)[HELD] == "planned"


def test_a_failed_action_is_retried(bench: UndoBench) -> None:
    assert run("retry", FAILED).exit_code == 0
    assert states(bench)[FAILED] == "planned"


def test_what_is_not_in_the_right_state_is_named_and_skipped(bench: UndoBench) -> None:
    result = run("release", HELD, FAILED, SENT, 99, "--yes")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Skipped: action 2 is failed, not held",
        "Skipped: action 3 is sent, not held",
        "Skipped: action 99: there is no such action",
    ]
    assert states(bench) == AS_THEY_WERE | {HELD: "planned"}


def test_a_number_that_other_options_exclude_is_named(bench: UndoBench) -> None:
    result = run("release", HELD, "--rule", "another")
    assert "Skipped: action 1 is not what the other options ask for" in result.stderr
    assert result.exit_code == 1


def test_states_that_a_decision_does_not_start_from_are_a_usage_error(bench: UndoBench) -> None:
    result = run("release", "--state", "sent", "--yes")
    assert result.exit_code == 2
    assert states(bench) == AS_THEY_WERE


def test_decisions_are_printed_as_json(bench: UndoBench) -> None:
    assert found("release", HELD, FAILED, "--yes") == {
        "changed": [HELD],
        "skipped": [{"action_id": FAILED, "why": "is failed, not held"}],
        "backfills": [],
    }


def test_a_backfill_that_is_held_goes_on_where_it_is_named_alone(bench: UndoBench) -> None:
    from phash_dagster.moderation.ledger_limits import Batch

    limits = bench.ledger.limits
    limits.judge_batch(
        Batch(
            batch_id="backfill-abc",
            state="held",
            posts=9,
            accounts=9,
            images=9,
            reason="too far",
            evaluated_at=NOW,
        )
    )
    record(bench, action_on_post("a", state=State.HELD, batch_id="backfill-abc", lane="backfill"))
    assert "Held as a whole: backfill-abc: too far" in run("list").stdout
    part = run("release", "--batch", "backfill-abc", "--rule", "rule-1", "--yes")
    assert "the backfill backfill-abc is still held as a whole" in part.stdout
    assert run("release", "--batch", "backfill-abc", "--yes", "--by", "ana").exit_code == 0
    batch = limits.batch("backfill-abc")
    assert batch is not None
    assert (batch.state, batch.reviewed_by) == ("released", "ana")


def test_a_quarantine_is_named(bench: UndoBench) -> None:
    from phash_dagster.moderation.budgets import HashKey

    hour = NOW.replace(minute=0)
    bench.ledger.limits.note_posts({(HashKey("rule-1", HASH), hour): 99}, min_posts=9, factor=1.0)
    assert f"Quarantined: {HASH} of rule rule-1" in run("list").stdout
    assert "is quarantined; `quarantine lift" in run("release", HELD).stdout


# Undoing


@pytest.fixture
def labelled(bench: UndoBench) -> UndoBench:
    """Two posts labelled now by one rule, one of them also by another."""
    now = utc_now()
    bench.clock.time = now
    bench.load(troll_rule("a"), troll_rule("b"), at=now)
    bench.match(rule="a")
    bench.match("both", "a")
    bench.match("both", "b")
    bench.write(post("x", at=now), post("y", at=now, blob_cid="both"))
    bench.plan(now)
    bench.send()
    return bench


def test_an_undo_only_says_what_it_would_do(labelled: UndoBench) -> None:
    before = labelled.rows()
    result = run("undo", "--rule", "a")
    assert result.exit_code == 0
    assert "rule b asks for it too" in result.stdout
    assert "Rule a is in force and goes on" in result.stdout
    assert result.stdout.rstrip().endswith("Nothing was changed. --yes does it.")
    assert labelled.rows() == before


def test_an_undo_is_done_with_yes(labelled: UndoBench) -> None:
    result = run("undo", "--rule", "a", "--yes", "--by", "ana")
    assert result.exit_code == 0
    labelled.send()
    assert labelled.ozone.standing == {(uri("y"), "troll")}
    assert "undone by ana" in labelled.ozone.asked[-1].comment
    shown = run("show", uri("x")).stdout
    assert "found to be a mistake by ana" in shown
    assert "which is sent" in shown
    again = found("undo", "--rule", "a", "--yes")
    assert [(each["outcome"], each["actions"]) for each in again["counts"]] == [
        ("keep", 1),
        ("undone before", 1),
    ]


def test_an_undo_is_printed_as_json(labelled: UndoBench) -> None:
    result = found("undo", uri("x"), uri("y"))
    assert (result["dry_run"], result["mode"], result["batch"]) == (True, "live", None)
    assert [(each["outcome"], each["rule_id"]) for each in result["counts"]] == [
        ("undo", "a"),
        ("keep", "a"),
    ]
    assert [(each["rule_id"], each["post"]) for each in result["kept"]] == [("b", uri("y"))]


def test_an_undo_in_shadow_mode_says_that_nothing_is_sent(
    labelled: UndoBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_MODE", "shadow")
    result = run("undo", "--rule", "a", "--yes")
    assert "(MODERATION_MODE=shadow): it is only recorded" in result.stdout
    events = [row.event for row in labelled.rows() if row.state is State.SHADOW]
    assert events == [Event.NEGATE_LABEL]


def test_an_undo_of_nothing_is_said(bench: UndoBench) -> None:
    result = run("undo", "--rule", "another")
    assert (result.exit_code, result.stdout) == (1, "No action is as asked for.\n")
    assert run("undo").exit_code == 2
