"""The jobs by which people release, reject, retry and undo actions."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from phash_dagster.definitions import definitions
from phash_dagster.defs.review_actions import reject_actions, release_actions, retry_actions
from phash_dagster.defs.undo_actions import undo_actions
from phash_dagster.moderation.actions import State
from tests.moderation.bench import post
from tests.moderation.builders import TTL, action_on_post
from tests.moderation.undo_bench import UndoBench, troll_rule, uri

pytestmark = pytest.mark.slow

STEPS = {
    release_actions: "release_held",
    reject_actions: "reject_waiting",
    retry_actions: "retry_failed",
    undo_actions: "undo_sent",
}


@pytest.fixture
def bench(tmp_path: Path) -> UndoBench:
    """A held and a failed label, and two that were sent."""
    bench = UndoBench(tmp_path)
    bench.load(troll_rule("a"), troll_rule("b"))
    bench.match(rule="a")
    bench.match("both", "a")
    bench.match("both", "b")
    bench.write(post("x"), post("y", blob_cid="both"))
    bench.plan()
    bench.send()
    rows = [action_on_post("held", state=State.HELD), action_on_post("failed", state=State.FAILED)]
    bench.ledger.record(rows, claim_ttl=TTL)
    return bench


HELD, FAILED = 3, 4
AS_THEY_WERE = ["sent", "sent", "held", "failed"]


def run(
    bench: UndoBench, job: dg.JobDefinition, *, raises: bool = True, **config: Any
) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(
        run_config={"ops": {STEPS[job]: {"config": config}}},
        resources={
            "settings": bench.settings,
            "warehouse": bench.warehouse,
            "clock": bench.clock,
        },
        raise_on_error=raises,
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = [
        event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT
    ]
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


@pytest.mark.parametrize(
    ("job", "concerned"), [(release_actions, 1), (reject_actions, 2), (retry_actions, 1)]
)
def test_launched_as_it_is_a_job_only_lists_what_it_is_about(
    bench: UndoBench, job: dg.JobDefinition, concerned: int
) -> None:
    found = metadata(run(bench, job))
    assert (found["dry_run"], found["concerned"], found["changed"]) == (True, concerned, 0)
    assert "| rule-1 |" in found["actions"]
    assert bench.states() == AS_THEY_WERE


@pytest.mark.parametrize(
    ("job", "after"),
    [
        (release_actions, ["sent", "sent", "planned", "failed"]),
        (reject_actions, ["sent", "sent", "suppressed", "suppressed"]),
        (retry_actions, ["sent", "sent", "held", "planned"]),
    ],
)
def test_in_earnest_a_job_decides_and_copies_the_ledger(
    bench: UndoBench, job: dg.JobDefinition, after: list[str]
) -> None:
    found = metadata(run(bench, job, rules=["rule-1"], dry_run=False, by="ana"))
    assert found["changed"] == found["concerned"]
    assert bench.states() == after
    with bench.warehouse.read() as connection:
        copied = connection.execute(
            "FROM moderation_actions SELECT state ORDER BY action_id"
        ).fetchall()
    assert [state for (state,) in copied] == after


def test_who_decides_is_the_run_unless_a_person_is_named(bench: UndoBench) -> None:
    result = run(bench, release_actions, everything=True, dry_run=False)
    [row] = bench.in_state(State.PLANNED)
    assert row.reviewed_by == f"Dagster run {result.run_id[:8]}"


def test_what_is_not_in_the_right_state_is_named(bench: UndoBench) -> None:
    found = metadata(run(bench, release_actions, actions=["3", "4", "99"], dry_run=False))
    assert found["changed"] == 1
    assert "| 4 | is failed, not held |" in found["skipped"]
    assert "| 99 | there is no such action |" in found["skipped"]


@pytest.mark.parametrize(
    ("job", "config", "words"),
    [
        (release_actions, {"dry_run": False}, "everything: true"),
        (release_actions, {"states": ["sent"]}, "held"),
        (reject_actions, {"actions": ["meme"]}, "names no action"),
        (retry_actions, {"since": "yesterday"}, "30d"),
        (undo_actions, {}, "say what to undo"),
        (undo_actions, {"everything": True, "dry_run": False}, "say what to undo"),
    ],
)
def test_a_configuration_that_names_nothing_fails_the_run_and_says_why(
    bench: UndoBench, job: dg.JobDefinition, config: dict[str, Any], words: str
) -> None:
    result = run(bench, job, raises=False, **config)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    assert data.user_failure_data is not None
    assert words in str(data.user_failure_data.description)
    assert bench.states() == AS_THEY_WERE


def test_an_undo_first_only_says_what_it_would_do(bench: UndoBench) -> None:
    found = metadata(run(bench, undo_actions, rules=["a"]))
    assert (found["taken_back"], found["kept"]) == (1, 1)
    assert f"| {uri('y')} | troll | rule b asks for it too | {uri('y')} |" in found["kept_labels"]
    assert "Nothing was changed" in found["remarks"][-1]
    assert bench.states() == AS_THEY_WERE


def test_an_undo_in_earnest_takes_back_and_copies_the_ledger(bench: UndoBench) -> None:
    result = run(bench, undo_actions, rules=["a"], dry_run=False)
    assert metadata(result)["batch"] == f"undo-{result.run_id}"
    bench.send()
    assert bench.ozone.standing == {(uri("y"), "troll")}
    with bench.warehouse.read() as connection:
        [(undone,)] = connection.execute(
            "FROM moderation_actions SELECT undoes WHERE undoes IS NOT NULL"
        ).fetchall()
    assert undone == bench.rows()[0].action_id


def test_the_jobs_share_the_pool_of_planning_and_sending() -> None:
    defs = definitions()
    assert isinstance(defs, dg.Definitions)
    for job, step in STEPS.items():
        [node] = defs.resolve_job_def(job.name).all_node_defs
        assert (node.name, node.pools) == (step, {"ozone"})
