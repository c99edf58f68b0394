"""Kill -9 at the worst moments, start again, and nothing is lost or done twice."""

import os
import signal
import time
from contextlib import suppress
from subprocess import Popen

import psutil
import pytest

from phash_dagster.moderation.actions import State
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.pipeline.conftest import (
    Publisher,
    has_settled,
    rule,
    sent_events,
    wait_until_ready,
    write_rules,
    written_rows,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SLOW = Failure(status=200, delay=1.5)
"""Lets a request through, late: time enough to kill whoever waits for the answer."""


def kill_everything(daemon: "Popen[bytes]") -> None:
    """What a power cut does: the daemon, its code server and every run, at once."""
    children = psutil.Process(daemon.pid).children(recursive=True)
    for pid in [daemon.pid, *(child.pid for child in children)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    daemon.wait()


def test_after_power_cuts_rows_and_events_are_those_of_an_undisturbed_run(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher
) -> None:
    bad, worse = pictures.photo(1), pictures.photo(2)
    write_rules(
        pipeline,
        "blobs.json",
        [rule(bad, "bad", toLabel=True), rule(worse, "worse", toLabel=True, reportPost=True)],
    )
    expected = set()

    def publish(round_number: int) -> None:
        for number in range(4):
            publisher.post(f"a{round_number}-{number}.test", pictures.photo(100 + number))
        labelled = publisher.post(f"b{round_number}.test", pictures.resized(bad))
        both = publisher.post(f"c{round_number}.test", pictures.reencoded(worse), bad)
        expected.update(
            {
                (labelled.uri, "label", "bad"),
                (both.uri, "label", "worse"),
                (both.uri, "report", ""),
                (both.uri, "label", "bad"),
            }
        )

    with pipeline.daemon() as daemon:
        wait_until_ready(pipeline)
        publish(1)
        time.sleep(1)  # the tick holds the socket for two seconds
        kill_everything(daemon)

    publish(2)  # while nobody listens
    sandbox.world.fail_next("ozone", 3, SLOW)
    with pipeline.daemon() as daemon:
        pipeline.wait_until(
            lambda: any(action.state is State.SENDING for action in pipeline.actions()),
            "an action being sent",
            seconds=60,
            every=0.05,
        )
        kill_everything(daemon)

    with pipeline.daemon():
        publish(3)
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "the rest", seconds=90)

    assert written_rows(pipeline) == publisher.rows
    assert set(sent_events(sandbox)) == expected
    assert set(sent_events(sandbox).values()) == {1}
    assert {action.state for action in pipeline.actions()} == {State.SENT}


def test_a_killed_run_is_repeated_by_the_daemon_and_sends_nothing_twice(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher
) -> None:
    bad = pictures.photo(1)
    write_rules(pipeline, "blobs.json", [rule(bad, "bad", toLabel=True)])
    with pipeline.daemon() as daemon:
        wait_until_ready(pipeline)
        sandbox.world.fail_next("ozone", 3, SLOW)
        posts = [publisher.post(f"a{number}.test", bad) for number in range(4)]
        pipeline.wait_until(
            lambda: any(action.state is State.SENDING for action in pipeline.actions()),
            "an action being sent",
            seconds=60,
            every=0.05,
        )
        os.kill(run_process(daemon).pid, signal.SIGKILL)
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "the rest", seconds=90)

    assert sent_events(sandbox) == {(post.uri, "label", "bad"): 1 for post in posts}
    assert {action.state for action in pipeline.actions()} == {State.SENT}


def run_process(daemon: "Popen[bytes]") -> psutil.Process:
    """The process of the run in progress: the youngest that the code server spawned."""
    spawned = [
        process
        for process in psutil.Process(daemon.pid).children(recursive=True)
        if "spawn_main" in " ".join(process.cmdline())
    ]
    return max(spawned, key=lambda process: process.create_time())
