"""Rules that change twice while the runs that bring them to the past are killed."""

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from random import Random

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from phash_dagster.clock import utc_now
from phash_dagster.matching import match_partition
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.benchmarks.history import write_history
from tests.pipeline.conftest import (
    Publisher,
    average_hash,
    has_settled,
    is_through,
    matches_by_comparing_all,
    rule,
    sent_events,
    stored_matches,
    wait_until_ready,
    write_rules,
)
from tests.pipeline.test_crash import kill_everything, run_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HOURS = 200


def rematch_is(pipeline: LocalPipeline, *statuses: DagsterRunStatus) -> bool:
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        wanted = RunsFilter(job_name="rematch_hours", statuses=statuses)
        return instance.get_runs_count(wanted) > 0


def wait_until_a_rematch_is_at_work(pipeline: LocalPipeline) -> None:
    pipeline.wait_until(
        lambda: rematch_is(pipeline, DagsterRunStatus.STARTED), "a rematch", seconds=90, every=0.1
    )


def test_rules_that_change_twice_reach_the_whole_past_though_their_runs_are_killed(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher
) -> None:
    known, first, second = (pictures.photo(number) for number in (1, 2, 3))
    chance = Random(7)
    write_rules(pipeline, "blobs.json", [rule(known, "known", toLabel=True)])
    hours = write_history(pipeline, HOURS, 2, seed=1, known_hash=int(average_hash(first), 16))
    with pipeline.daemon() as daemon:
        wait_until_ready(pipeline)
        pipeline.wait_until(lambda: is_through(pipeline, hours), "the past", seconds=200)

        write_rules(pipeline, "first.json", [rule(first, "first", toLabel=True)])
        wait_until_a_rematch_is_at_work(pipeline)
        time.sleep(chance.uniform(0, 2))
        with suppress(psutil.NoSuchProcess, ValueError):  # it may have ended
            os.kill(run_process(daemon).pid, signal.SIGKILL)

        before = publisher.post("before.test", second)
        live = {(publisher.post("known.test", known).uri, "known")}
        write_rules(pipeline, "second.json", [rule(second, "second", toLabel=True)])
        wait_until_a_rematch_is_at_work(pipeline)
        time.sleep(chance.uniform(0, 2))
        kill_everything(daemon)

    with pipeline.daemon():
        pipeline.wait_until(
            lambda: (
                labels_in_force(pipeline) == {"known", "first", "second"}
                and is_through(pipeline, hours)
                and has_settled(pipeline, publisher)
            ),
            "the past once more",
            seconds=300,
        )
        live.add((publisher.post("after.test", second).uri, "second"))
        live.add((publisher.post("another.test", first).uri, "first"))
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "the rest", seconds=120)

    for label in ("first", "second", "known"):
        found = stored_matches(pipeline, label)
        assert found == matches_by_comparing_all(pipeline, label)
    assert len(stored_matches(pipeline, "first")) >= HOURS
    assert_rebuilding_gives_the_same_rows(pipeline)
    assert sent_events(sandbox) == {(uri, "label", label): 1 for uri, label in live}
    lanes = Counter((action.lane, action.value, action.subject) for action in pipeline.actions())
    assert set(lanes.values()) == {1}, "decided twice"
    assert {(uri, label) for lane, label, uri in lanes if lane == "live"} == live
    past = {(uri, label) for lane, label, uri in lanes if lane == "backfill"}
    assert (before.uri, "second") in past
    assert Counter(label for _, label in past) == {"first": HOURS, "second": 1}


def labels_in_force(pipeline: LocalPipeline) -> set[str]:
    rules = pipeline.rules_in_force()
    return {rule.label for rule in rules.rules} if rules else set()


def assert_rebuilding_gives_the_same_rows(pipeline: LocalPipeline) -> None:
    """Whatever was matched when: from nothing, the same comes out."""
    rules = pipeline.rules_in_force()
    assert rules is not None
    content = (
        "FROM rule_matches SEMI JOIN (FROM rule_hashes SEMI JOIN version_in_force USING (version)) "
        "USING (rule_id, rule_hash, algorithm) "
        "SELECT blob_cid, rule_id, rule_hash, algorithm, distance"
    )
    with pipeline.warehouse.write() as connection:
        before = Counter(connection.execute(content).fetchall())
        connection.execute("DELETE FROM rule_matches; DELETE FROM matched_hashes")
        match_partition(
            connection,
            version=rules.version,
            margin=pipeline.settings.match_margin,
            matched_at=utc_now(),
            partition_keys=[],
        )
        assert Counter(connection.execute(content).fetchall()) == before
