"""How long from an event on the network to the action at Ozone, in the running system.

The real daemon with default settings (but for addresses and credentials) runs beside a sandbox.
Posts with images that match nothing pass by; posts with a known image come at random times. For
each of these the stages are read off what the pipeline itself leaves behind: the time at which its
Parquet file got its name, the time of its hash row, the events of its run, and the time of the
event at the sandbox's Ozone.

    python -m tests.benchmarks.latency
    python -m tests.benchmarks.latency --backfill --minutes 5
    python -m tests.benchmarks.latency --set MICROBATCH_SECONDS=4

With `--backfill` the rules change as soon as the past was matched with the last ones, so that a
backfill over a long history goes on all the time. Fails unless each matching post was acted on
exactly once.
"""

import argparse
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dagster import DagsterRunStatus
from rich.console import Console
from stamina.instrumentation import set_on_retry_hooks

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.benchmarks.history import write_history
from tests.benchmarks.journeys import PARTS, STAGES, Journey, journeys, percentile, table
from tests.benchmarks.usage import Usage, count_runs
from tests.pipeline.conftest import (
    average_hash,
    rule,
    sent_events,
    wait_until_ready,
    write_rules,
)

GOAL_MEDIAN_SECONDS = 9.0
GOAL_P95_SECONDS = 16.0
ORDINARY_PER_SECOND = 3.0
MATCHING_PER_SECOND = 0.4
HISTORY_HOURS = 24 * 30
IMAGES_PER_HOUR = 300
RULE_IMAGE = 1
SETTLE_SECONDS = 120.0
UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
)


@dataclass
class Traffic:
    """Publishes posts at random times, decided by a seed, and remembers the matching ones.

    Attributes:
        ordinary: Posts that match nothing.
        published: When each post with a known image was published, unix seconds, by AT URI.
        stopped: Once set, no more is published.
    """

    sandbox: Sandbox
    seed: int
    ordinary: int = 0
    published: dict[str, float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, seconds: float = math.inf) -> None:
        """Publish for so long."""
        chance = random.Random(self.seed)
        plain = [pictures.encode(pictures.photo(100 + number)) for number in range(20)]
        known = pictures.encode(pictures.resized(pictures.photo(RULE_IMAGE)))
        accounts = [self.sandbox.world.create_account(f"author-{n}.test") for n in range(50)]
        due, start = 0.0, time.monotonic()
        while (
            due := due + chance.expovariate(ORDINARY_PER_SECOND + MATCHING_PER_SECOND)
        ) < seconds:
            if self.stopped.wait(max(0.0, start + due - time.monotonic())):
                break
            total = ORDINARY_PER_SECOND + MATCHING_PER_SECOND
            matching = chance.random() < MATCHING_PER_SECOND / total
            # What follows the end of a JPEG is not looked at, and makes each a blob of its own.
            image = (known if matching else chance.choice(plain)) + chance.randbytes(8)
            moment = time.time()
            post = self.sandbox.world.publish_post(chance.choice(accounts), [image])
            if matching:
                self.published[post.uri] = moment
            else:
                self.ordinary += 1


def is_matched(pipeline: LocalPipeline, hours: Sequence[str], label: str) -> bool:
    """Whether these hours were matched with the rules in force, which have a rule of this label."""
    rules = pipeline.rules_in_force()
    if rules is None or all(rule.label != label for rule in rules.rules):
        return False
    with pipeline.warehouse.read() as connection:
        rows = connection.execute("FROM partition_matches SELECT partition_key, version").fetchall()
    return {hour for hour, version in rows if version == rules.version} >= set(hours)


@contextmanager
def backfills(pipeline: LocalPipeline, hours: Sequence[str]) -> Iterator[Counter[str]]:
    """Change the rules again and again while the block runs, each time the past is through."""
    counts: Counter[str] = Counter()
    stopped = threading.Event()

    def change_rules() -> None:
        while not stopped.is_set():
            counts["rule changes"] += 1
            label = f"late-{counts['rule changes']}"
            picture = pictures.photo(50_000 + counts["rule changes"])
            write_rules(pipeline, "late.json", [rule(picture, label, toLabel=True)])
            while not stopped.wait(1):
                # The database is looked at only between runs, so as not to stand in their way.
                if not count_runs(pipeline, "rematch_hours", *UNFINISHED) and is_matched(
                    pipeline, hours, label
                ):
                    break

    thread = threading.Thread(target=change_rules, name="rule changes")
    thread.start()
    try:
        yield counts
    finally:
        stopped.set()
        thread.join()
        counts["runs over the past"] = count_runs(pipeline, "rematch_hours")


@contextmanager
def nothing_else() -> Iterator[Counter[str]]:
    """No backfill."""
    yield Counter()


@dataclass(frozen=True)
class Result:
    """What one measurement found."""

    journeys: list[Journey]
    ordinary: int
    used: Usage
    past: Counter[str]
    twice_or_never: Counter[str]

    @property
    def reaches_goal(self) -> bool:
        """Whether event to action is as quick as it should be."""
        values = [value for journey in self.journeys if (value := journey.seconds(*STAGES[-1][1:]))]
        return (
            percentile(values, 0.5) <= GOAL_MEDIAN_SECONDS
            and percentile(values, 0.95) <= GOAL_P95_SECONDS
        )


def measure(folder: Path, options: argparse.Namespace) -> Result:
    """Run the pipeline and the network for so long, and wait until all is done."""
    with Sandbox(seed=options.seed) as sandbox:
        variables = {**sandbox.settings_environment(), "MODERATION_MODE": "live"}
        pipeline = LocalPipeline.under(folder, {**variables, **dict(options.set)})
        picture = pictures.photo(RULE_IMAGE)
        write_rules(pipeline, "blobs.json", [rule(picture, "known", toLabel=True)])
        hours: list[str] = []
        if options.backfill:
            known = int(average_hash(picture), 16)
            hours = write_history(pipeline, HISTORY_HOURS, IMAGES_PER_HOUR, options.seed, known)
        traffic = Traffic(sandbox, options.seed)
        with pipeline.daemon():
            wait_until_ready(pipeline)
            pipeline.wait_until(pipeline.is_idle, "the rules' first run", seconds=SETTLE_SECONDS)
            before = Usage.now(pipeline)
            with backfills(pipeline, hours) if options.backfill else nothing_else() as past:
                traffic.run(options.minutes * 60)
                pipeline.wait_until(
                    lambda: traffic.published.keys() <= {key for key, _, _ in sent_events(sandbox)},
                    "every matching post acted on",
                    seconds=SETTLE_SECONDS,
                )
            used = Usage.now(pipeline).since(before)
            pipeline.wait_until(pipeline.is_settled, "the last run", seconds=SETTLE_SECONDS)
        events = sent_events(sandbox)
        expected = Counter({(uri, "label", "known"): 1 for uri in traffic.published})
        wrong = Counter(str(key) for key in {**events, **expected} if events[key] != expected[key])
        found = journeys(pipeline, sandbox, traffic.published)
        return Result(found, traffic.ordinary, used, past, wrong)


def report(result: Result, console: Console) -> None:
    """Print the tables and the counts."""
    posts, used = len(result.journeys), result.used
    console.print(table("From the event on, until it is", STAGES, result.journeys))
    console.print(table("Where the time goes", PARTS, result.journeys))
    console.print(
        f"{posts} matching posts among {result.ordinary + posts}; {used.live_runs} live runs in "
        f"{used.seconds:.0f} s, {86400 * used.live_runs / used.seconds:,.0f} a day; "
        f"Dagster's storage grew by {used.stored_bytes / 1e6:.1f} MB"
    )
    if result.past:
        console.print(", ".join(f"{name}: {count}" for name, count in result.past.items()))
    others = max(0.0, used.all_processors - used.processors)
    console.print(
        f"processors in use, of {os.cpu_count()}: {used.processors / used.seconds:.2f} by this "
        f"measurement, {others / used.seconds:.2f} by other programs"
    )
    console.print(
        "every matching post was acted on exactly once"
        if not result.twice_or_never
        else f"[bold red]not once: {dict(result.twice_or_never)}[/]"
    )
    goal = f"median ≤ {GOAL_MEDIAN_SECONDS:g} s and p95 ≤ {GOAL_P95_SECONDS:g} s"
    console.print(f"goal ({goal}): {'reached' if result.reaches_goal else 'missed'}")


def setting(text: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def main() -> int:
    """Run the benchmark; the exit code is 1 if a post was not acted on exactly once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="how long posts are published")
    parser.add_argument("--backfill", action="store_true", help="while the past is matched anew")
    parser.add_argument("--seed", type=int, default=1, help="decides the times of the posts")
    parser.add_argument(
        "--set", type=setting, action="append", default=[], help="a setting: NAME=VALUE"
    )
    parser.add_argument("--folder", type=Path, help="keep everything here; must be new")
    options = parser.parse_args()
    console = Console(highlight=False, width=100)
    set_on_retry_hooks([])  # that the database is busy for a moment is no news
    with tempfile.TemporaryDirectory(prefix="phash-latency-") as temporary:
        result = measure(options.folder or Path(temporary), options)
    report(result, console)
    return 1 if result.twice_or_never else 0


if __name__ == "__main__":
    sys.exit(main())
