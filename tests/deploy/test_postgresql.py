"""The whole pipeline with Dagster's storage and the ledger in a real PostgreSQL."""

import itertools
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus, RunRecord, RunsFilter

from phash_dagster.moderation.actions import State
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.demo import PUBLISH_SECONDS, SETTINGS
from phash_dagster.sandbox.demo_checks import Check, check_late_rule, check_live
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.sandbox.scenario import Scenario, ScenarioRule
from phash_dagster.stack import dagster_instance
from tests.deploy.services import code_check, running_services
from tests.pipeline.conftest import (
    Publisher,
    average_hash,
    has_settled,
    rule,
    sent_events,
    wait_until_ready,
    write_rules,
    written_rows,
)
from tests.testnet.postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_names = (f"pipeline_{number}" for number in itertools.count())
SLOW = Failure(status=200, delay=1.5)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        yield network


@pytest.fixture
def pipeline(sandbox: Sandbox, postgres: Postgres, tmp_path: Path) -> LocalPipeline:
    name = next(_names)
    postgres.create_database(name)
    url = postgres.url(name, scheme="postgresql+psycopg2")
    return LocalPipeline.under(
        tmp_path,
        {
            **sandbox.settings_environment(),
            **SETTINGS,
            "DAGSTER_STORAGE_URL": url,
            "LEDGER_URL": url,
        },
    )


def rules_of(rules: Iterable[ScenarioRule]) -> list[dict[str, object]]:
    return [dict(one.entry([average_hash(image) for image in one.originals()])) for one in rules]


def runs(pipeline: LocalPipeline) -> list[RunRecord]:
    with dagster_instance(pipeline.environment) as instance:
        return list(instance.get_run_records(RunsFilter(), limit=1000))


def most_at_once(records: Iterable[RunRecord]) -> int:
    """How many runs were being worked on at the same time, at most."""
    edges = [
        edge
        for record in records
        if record.start_time and record.end_time
        for edge in ((record.start_time, 1), (record.end_time, -1))
    ]
    return max(itertools.accumulate(change for _, change in sorted(edges)), default=0)


def assert_holds(checks: list[Check]) -> None:
    assert [(check.name, check.expected, check.found) for check in checks if not check.holds] == []


def test_the_pipeline_on_postgresql_does_what_was_published_with_several_runs_at_once(
    sandbox: Sandbox, pipeline: LocalPipeline
) -> None:
    scenario = Scenario(sandbox.world)
    write_rules(pipeline, "blobs.json", rules_of(scenario.rules))
    with running_services(pipeline):
        wait_until_ready(pipeline)
        # Each of these rules sends a run over the past beside the live ones.
        changes = iter(range(1, 4))
        for number, _ in enumerate(scenario.publish()):
            if number % 100 == 50:
                change = next(changes)
                write_rules(pipeline, "more.json", [rule(pictures.photo(9000 + change), "none")])
            time.sleep(PUBLISH_SECONDS / len(scenario.steps))
        expected = scenario.expected.outcomes
        pipeline.wait_until(
            lambda: len(pipeline.outcomes()) >= len(expected) and pipeline.is_settled(),
            "every image processed",
            seconds=240,
        )
        checks = check_live(scenario, pipeline, sandbox)
        write_rules(pipeline, "late.json", rules_of([scenario.late_rule]))
        pipeline.wait_until(
            lambda: (
                any(action.lane == "backfill" for action in pipeline.actions())
                and pipeline.is_settled()
            ),
            "the backfill",
            seconds=240,
        )
        checks += check_late_rule(scenario, pipeline, sandbox)
    assert_holds(checks)
    records = runs(pipeline)
    assert most_at_once(records) >= 2
    assert {record.dagster_run.status for record in records} == {DagsterRunStatus.SUCCESS}
    assert not list(pipeline.settings.data_dir.rglob("*.sqlite"))
    assert not list(pipeline.settings.data_dir.rglob("*.db"))


def test_a_killed_code_server_is_started_again_and_its_runs_are_repeated(
    sandbox: Sandbox, pipeline: LocalPipeline
) -> None:
    publisher = Publisher(sandbox)
    bad = pictures.photo(1)
    write_rules(pipeline, "blobs.json", [rule(bad, "bad", toLabel=True)])
    with running_services(pipeline) as (code, _):
        wait_until_ready(pipeline)
        sandbox.world.fail_next("ozone", 3, SLOW)
        posts = [publisher.post(f"a{number}.test", bad) for number in range(4)]
        pipeline.wait_until(
            lambda: any(action.state is State.SENDING for action in pipeline.actions()),
            "an action being sent",
            seconds=60,
            every=0.05,
        )
        code.stop(signal.SIGKILL)
        posts += [publisher.post(f"b{number}.test", bad) for number in range(4)]
        code.start()
        code.wait_until_ready(*code_check(pipeline.environment))
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "the rest", seconds=240)

    assert written_rows(pipeline) == publisher.rows
    assert sent_events(sandbox) == {(post.uri, "label", "bad"): 1 for post in posts}
    assert {action.state for action in pipeline.actions()} == {State.SENT}
    failed = [run for run in runs(pipeline) if run.dagster_run.status is DagsterRunStatus.FAILURE]
    assert failed
