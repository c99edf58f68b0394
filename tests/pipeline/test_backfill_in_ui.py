"""Backfills that a person launches in the Dagster UI, by the real web server and daemon."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

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
from tests.pipeline.webserver import web_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOURS = 200
"""Over a week, so that a backfill takes two runs."""


@contextmanager
def published(publisher: Publisher, stopped: threading.Event) -> Iterator[None]:
    """Posts with a known image come all the time while the block runs."""

    def publish() -> None:
        number = 0
        while not stopped.wait(3):
            number += 1
            publisher.post(f"author-{number}.test", pictures.photo(1))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def runs(pipeline: LocalPipeline, wanted: RunsFilter) -> list[RunRecord]:
    """These runs, the first to start first."""
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        records = instance.get_run_records(wanted)
    return sorted(records, key=lambda record: record.start_time or 0.0)


def test_partitions_of_rule_matches_are_shown_as_stale_and_brought_up_to_date_beside_live_runs(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher
) -> None:
    known, late = pictures.photo(1), pictures.photo(2)
    write_rules(pipeline, "blobs.json", [rule(known, "known", toLabel=True)])
    hours = write_history(pipeline, HOURS, 2, seed=1, known_hash=int(average_hash(late), 16))
    looked_at = [hours[0], hours[-1]]
    causes: tuple[list[str], list[str]] = ([], ["rules"])
    fresh, stale = [("FRESH", causes[0])] * 2, [("STALE", causes[1])] * 2
    with pipeline.daemon(), web_server(pipeline) as ui:
        wait_until_ready(pipeline)
        pipeline.wait_until(lambda: is_through(pipeline, hours), "the first rematch", seconds=300)
        assert ui.staleness("rule_matches", looked_at) == fresh
        ui.switch_off("rematch_sensor")
        write_rules(pipeline, "late.json", [rule(late, "late", toLabel=True)])
        pipeline.wait_until(
            lambda: ui.staleness("rule_matches", looked_at) == stale,
            "the hours shown as stale",
            seconds=60,
        )
        stopped = threading.Event()
        with published(publisher, stopped):
            backfills = [
                ui.launch_backfill(assets, hours)
                for assets in (["rule_matches", "moderation_actions"], ["rule_matches"])
            ]
            pipeline.wait_until(
                lambda: {ui.backfill_status(one) for one in backfills} == {"COMPLETED_SUCCESS"},
                "the backfills",
                seconds=500,
            )
        labels = {(post.uri, "label", "known"): 1 for post in publisher.posts}
        pipeline.wait_until(
            lambda: (
                labels.keys() <= sent_events(sandbox).keys() and has_settled(pipeline, publisher)
            ),
            "the labels of the posts that came meanwhile",
            seconds=240,
        )
        assert ui.staleness("rule_matches", looked_at) == fresh

    assert is_through(pipeline, hours)
    found = stored_matches(pipeline, "late")
    assert found == matches_by_comparing_all(pipeline, "late")
    assert len(found) >= HOURS
    late_actions = [action for action in pipeline.actions() if action.value == "late"]
    assert {(action.lane, action.state.value) for action in late_actions} == {
        ("backfill", "shadow")
    }
    assert len({action.subject for action in late_actions}) == len(late_actions) == HOURS
    # The live lane went on meanwhile, and did everything once.
    assert sent_events(sandbox) == labels
    past = runs(pipeline, RunsFilter(tags={"dagster/backfill": backfills}))
    assert len(past) == 4
    assert {record.dagster_run.status for record in past} == {DagsterRunStatus.SUCCESS}
    for before, after in pairwise(past):
        assert before.end_time is not None
        assert after.start_time is not None
        assert before.end_time <= after.start_time, "two runs of backfills at once"
    live = runs(pipeline, RunsFilter(job_name="moderate_hour"))
    assert any(
        one.start_time <= each.end_time and each.start_time <= one.end_time
        for one in live
        for each in past
        if one.start_time and one.end_time and each.start_time and each.end_time
    ), "no live run was at work beside a backfill's"
