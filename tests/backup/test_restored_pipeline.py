"""A pipeline lost some time after its backup: restored, it does everything once and misses nothing.

With the real daemon, its runs and the commands, beside a sandbox that keeps what was sent.
"""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

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
)
from tests.pipeline.test_crash import kill_everything

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SLOW = Failure(status=200, delay=1.5)
BAD, WORSE = pictures.photo(1), pictures.photo(2)


def command(pipeline: LocalPipeline, *arguments: str) -> str:
    # Compiled modules are kept under DATA_DIR by the pipeline's own processes only.
    environment = {**pipeline.environment, "PYTHONPYCACHEPREFIX": ""}
    done = subprocess.run(
        [sys.executable, "-m", "phash_dagster.cli", *arguments],
        env=environment,
        cwd=pipeline.settings.data_dir.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def folded_rows(pipeline: LocalPipeline) -> Counter[tuple[str, str, str]]:
    """The image rows as everything in the pipeline sees them."""
    with pipeline.warehouse.read() as connection:
        pipeline.posts.attach(connection, pipeline.posts.partition_keys())
        return Counter(
            connection.execute(
                "SELECT uri, cid, blob_cid FROM image_posts WHERE blob_cid IS NOT NULL"
            ).fetchall()
        )


class Life:
    """What happens on the network, and what must come of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.publisher = Publisher(sandbox)
        self.expected: Counter[tuple[str, str, str]] = Counter()

    def go_on(self, part: int) -> set[str]:
        """Publish some posts; return the ones that get labels."""
        for number in range(3):
            self.publisher.post(f"a{part}-{number}.test", pictures.photo(100 * part + number))
        one = self.publisher.post(f"b{part}.test", pictures.resized(BAD))
        both = self.publisher.post(f"c{part}.test", pictures.reencoded(WORSE), BAD)
        labels = [(one.uri, "bad"), (both.uri, "bad"), (both.uri, "worse")]
        self.expected.update((uri, "label", label) for uri, label in labels)
        return {one.uri, both.uri}


def test_a_restored_pipeline_sends_nothing_twice_and_misses_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    variables = {
        **sandbox.settings_environment(),
        "MODERATION_MODE": "live",
        "MICROBATCH_SECONDS": "2",
        "RATE_LIMIT_MS": "10",
        "RETRY_DELAY_MS": "50",
    }

    def place(name: str, **more: str) -> LocalPipeline:
        return LocalPipeline.under(tmp_path / name, {**variables, **more})

    life, backup = Life(sandbox), str(tmp_path / "backup.zip")
    lost = place("lost")
    write_rules(
        lost, "blobs.json", [rule(BAD, "bad", toLabel=True), rule(WORSE, "worse", toLabel=True)]
    )
    with lost.daemon() as daemon:
        wait_until_ready(lost)
        life.go_on(1)
        sandbox.world.fail_next("ozone", 10, SLOW)
        lost.wait_until(
            lambda: bool(lost.actions()), "an action in the ledger", seconds=240, every=0.05
        )
        command(lost, "backup", backup)  # in the midst of planning and sending
        after_the_backup = life.go_on(2)
        lost.wait_until(
            lambda: has_settled(lost, life.publisher), "what came after the backup", seconds=300
        )
        kill_everything(daemon)
    assert sent_events(sandbox) == life.expected
    shutil.rmtree(lost.settings.data_dir)

    # With another claim window every identifier is another, as it is from one window to the next.
    restored = place("restored", CLAIM_TTL_DAYS="6")
    shutil.rmtree(restored.settings.data_dir)
    said = command(restored, "restore", backup)
    assert "asked of Ozone" in said
    life.go_on(3)
    with restored.daemon():
        restored.wait_until(lambda: has_settled(restored, life.publisher), "the rest", seconds=300)
    assert folded_rows(restored) == life.publisher.rows
    assert sent_events(sandbox) == life.expected
    actions = restored.actions()
    assert {action.state for action in actions} == {State.SENT}
    settled = {action.subject for action in actions if "restored" in (action.reason or "")}
    # What was planned at the time of the backup and sent after it is settled with Ozone, too.
    assert after_the_backup <= settled
