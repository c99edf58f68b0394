"""How long from a changed rule file until the whole past is matched, in the running system.

The real daemon with default settings runs beside a sandbox, over a past of 10 million images in
1,000 hours. A rule with one hash is added, of which each hour has an image, and then another; first
while nothing else happens, then while posts are published. When what happened is read off Dagster's
storage. After each change the same join is called directly, on a copy of the database.

    python -m tests.benchmarks.rule_change
    python -m tests.benchmarks.rule_change --images 1000000 --hours 100 --changes 1

Writing the past takes some minutes and 7 GB; with `--folder` it is kept, and used again. Fails
unless the stored matches of each rule are those that comparing all hashes finds, and each matching
post among those published was acted on exactly once.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from dagster import DagsterInstance, RunsFilter
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stamina.instrumentation import set_on_retry_hooks

from phash_dagster.clock import utc_now
from phash_dagster.defs.rule_matches import COMMITTED
from phash_dagster.defs.tags import RULES_VERSION
from phash_dagster.matching import match_partition
from phash_dagster.rules import load_folder, save_version
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.warehouse import Warehouse
from tests.benchmarks.journeys import run_times
from tests.benchmarks.latency import SETTLE_SECONDS, UNFINISHED, Traffic, is_matched
from tests.benchmarks.long_past import write_long_past
from tests.benchmarks.usage import count_runs
from tests.pipeline.conftest import RULE, rule, sent_events, wait_until_ready, write_rules

GOAL_SECONDS = 60.0
GOAL_MATCHING_SECONDS = 2.0
KNOWN_IMAGE = 1
MOST_CHANGES = 20
CHANGE_SECONDS = 1200.0

PHASES = [
    ("rules_sensor looks at the files", "written", "rules tick"),
    ("a run is requested", "rules tick", "rules run requested"),
    ("its process starts", "rules run requested", "rules run started"),
    ("the rules are in force, rematch_sensor looks", "rules run started", "rematch tick"),
    ("a run over a week is requested", "rematch tick", "run requested"),
    ("its process starts", "run requested", "run started"),
    ("rule_matches starts", "run started", "rule_matches started"),
    ("the matches are committed", "rule_matches started", "committed"),
    ("Dagster has recorded the hours", "committed", "rule_matches done"),
    ("actions are planned and recorded", "rule_matches done", "first run done"),
    ("the other runs", "first run done", "last run done"),
]
TOTALS = [
    ("until the matches are committed", "written", "committed"),
    ("until the last hour is recorded as matched", "written", "last hour recorded"),
    ("until all actions are recorded", "written", "last run done"),
]


@dataclass(frozen=True)
class Change:
    """One rule that was added.

    Attributes:
        times: When each phase was reached, unix seconds.
        joining: Seconds that the statements of the join took in the run.
        direct: Seconds that the same join took when it was called directly, with its commit.
        runs: Runs over the past that followed.
        new_matches: What they found.
    """

    times: dict[str, float]
    joining: float
    direct: float
    runs: int
    new_matches: int


@dataclass(frozen=True)
class Past:
    """What is there before the rules change.

    Attributes:
        pipeline: The pipeline.
        hours: The hours that have images.
        hashes: The hash of each, by its number less one.
        known: Hashes that each hour has one image of.
        copy: A copy of the database.
    """

    pipeline: LocalPipeline
    hours: Sequence[str]
    hashes: NDArray[np.uint64]
    known: Sequence[int]
    copy: Warehouse

    def near(self, value: int, distance: int) -> set[int]:
        """The numbers of the hashes within a distance: all are compared."""
        within = np.bitwise_count(self.hashes ^ np.uint64(value)) <= distance
        return {int(number) for number in np.flatnonzero(within) + 1}


def make_past(folder: Path, variables: dict[str, str], options: argparse.Namespace) -> Past:
    """Write the past, or take the one in the folder; matched with a first rule."""
    pipeline = LocalPipeline.under(folder, variables)
    chance = random.Random(options.seed)
    known = [chance.getrandbits(64) for _ in range(MOST_CHANGES)]
    first_rule = rule(pictures.photo(KNOWN_IMAGE), "known", toLabel=True)
    write_rules(pipeline, "blobs.json", [first_rule])
    hours = pipeline.posts.partition_keys()
    if not hours:
        hours = write_long_past(pipeline, hours=options.hours, images=options.images, known=known)
        match_directly(pipeline.warehouse, pipeline, hours)
    copy = folder / "copy.duckdb"
    if not copy.exists():
        shutil.copyfile(pipeline.settings.warehouse_path, copy)
    with pipeline.warehouse.read() as connection:
        found = connection.execute("FROM image_hashes SELECT hash ORDER BY hash_number")
        hashes = np.asarray(found.fetchnumpy()["hash"], dtype=np.uint64)
    return Past(pipeline, hours, hashes, known, Warehouse(copy))


def match_directly(warehouse: Warehouse, pipeline: LocalPipeline, hours: Sequence[str]) -> float:
    """Put the rule files in force and match all that is new in them; return the seconds.

    Opening the database is not counted, committing is.
    """
    settings = pipeline.settings
    loaded = load_folder(settings.rules_dir, settings.phash_hamming_threshold, utc_now())
    with warehouse.write() as connection:
        save_version(connection, loaded.ruleset, utc_now())
    with warehouse.write() as connection:
        started = time.perf_counter()
        match_partition(
            connection,
            version=loaded.ruleset.version,
            margin=settings.match_margin,
            matched_at=utc_now(),
            partition_keys=hours,
        )
    return time.perf_counter() - started


def change_rules(past: Past, number: int) -> Change:
    """Add a rule and wait until the past is through."""
    pipeline, label = past.pipeline, f"late-{number}"
    entry = {**RULE, "phashes": [f"{past.known[number]:016x}"], "label": label, "toLabel": True}
    write_rules(pipeline, f"{label}.json", [entry])
    written = time.time()
    pipeline.wait_until(
        # The database is looked at only between runs, so as not to stand in their way.
        lambda: (
            not count_runs(pipeline, "rematch_hours", *UNFINISHED)
            and is_matched(pipeline, past.hours, label)
        ),
        f"the past matched with {label}",
        seconds=CHANGE_SECONDS,
    )
    ruleset = pipeline.rules_in_force()
    assert ruleset is not None
    [added] = [one for one in ruleset.rules if one.label == label]
    reach = ruleset.threshold(added) + pipeline.settings.match_margin
    with pipeline.warehouse.read() as connection:
        rows = connection.execute(
            "FROM rule_matches INNER JOIN image_hashes USING (blob_cid, algorithm) "
            "SELECT hash_number WHERE rule_id = $1",
            [added.id],
        ).fetchall()
    if Counter(row for (row,) in rows) != Counter(past.near(past.known[number], reach)):
        sys.exit(f"{label}: the stored matches are not those that comparing all hashes finds")
    direct = match_directly(past.copy, pipeline, past.hours)
    return _read_off(pipeline, written, ruleset.version, direct)


def _read_off(pipeline: LocalPipeline, written: float, version: str, direct: float) -> Change:
    """What Dagster's storage tells of a change."""
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        [loading_run] = instance.get_runs(RunsFilter(job_name="load_rules"), limit=1)
        loading = run_times(instance, loading_run.run_id)
        rematches = instance.get_run_records(
            RunsFilter(job_name="rematch_hours", tags={RULES_VERSION: version}), ascending=True
        )
        runs = [record.dagster_run.run_id for record in rematches]
        first = run_times(instance, runs[0])
        found = [_found(instance, run_id) for run_id in runs]
        return Change(
            times={
                **first,
                "written": written,
                "rules tick": _tick_of(instance, "rules_sensor", loading_run.run_id),
                "rules run requested": loading["run requested"],
                "rules run started": loading["run started"],
                "rematch tick": _tick_of(instance, "rematch_sensor", runs[0]),
                "committed": _committed_at(instance, runs[0]),
                "first run done": float(rematches[0].end_time or 0),
                "last hour recorded": _committed_at(instance, runs[-1]),
                "last run done": float(rematches[-1].end_time or 0),
            },
            joining=found[0][1],
            direct=direct,
            runs=len(runs),
            new_matches=sum(int(new) for new, _ in found),
        )


def _tick_of(instance: DagsterInstance, sensor: str, run_id: str) -> float:
    """When the tick began that requested a run."""
    [state] = [one for one in instance.all_instigator_state() if one.instigator_name == sensor]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
    [moment] = [tick.timestamp for tick in ticks if run_id in tick.run_ids]
    return moment


def _committed_at(instance: DagsterInstance, run_id: str) -> float:
    """When the run had committed the last of its matches."""
    return max(
        entry.timestamp
        for entry in instance.all_logs(run_id)
        if entry.user_message.startswith(COMMITTED)
    )


def _found(instance: DagsterInstance, run_id: str) -> tuple[float, float]:
    """New matches of a run, and the seconds that it joined."""
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event and event.is_step_materialization and event.step_key == "rule_matches":
            metadata = event.step_materialization_data.materialization.metadata
            return float(metadata["new_matches"].value or 0), float(  # type: ignore[arg-type]
                metadata["matching_seconds"].value or 0  # type: ignore[arg-type]
            )
    raise LookupError(f"run {run_id} has not materialized rule_matches")


@contextmanager
def published(traffic: Traffic) -> Iterator[None]:
    """Posts are published while the block runs."""
    thread = threading.Thread(target=traffic.run, name="traffic")
    thread.start()
    try:
        yield
    finally:
        traffic.stopped.set()
        thread.join()


def measure(folder: Path, options: argparse.Namespace, console: Console) -> dict[str, list[Change]]:
    """The changes, by what else went on."""
    with Sandbox(seed=options.seed) as sandbox:
        variables = {
            **sandbox.settings_environment(),
            "MODERATION_MODE": "live",
            # The published posts all have one image, of which nothing was seen before.
            "FLOOD_MIN_POSTS": "1000000",
        }
        past = make_past(folder, variables, options)
        pipeline, traffic = past.pipeline, Traffic(sandbox, options.seed)
        with pipeline.daemon():
            wait_until_ready(pipeline)
            pipeline.wait_until(pipeline.is_idle, "the rules' first run", seconds=SETTLE_SECONDS)
            numbers = iter(range(MOST_CHANGES))
            alone = [change_rules(past, next(numbers)) for _ in range(options.changes)]
            console.print(_table("Nothing else goes on", alone))
            with published(traffic):
                busy = [change_rules(past, next(numbers)) for _ in range(options.changes)]
            console.print(_table("While posts are published", busy))
            pipeline.wait_until(
                lambda: traffic.published.keys() <= {key for key, _, _ in sent_events(sandbox)},
                "every matching post acted on",
                seconds=SETTLE_SECONDS,
            )
            pipeline.wait_until(pipeline.is_settled, "the last run", seconds=SETTLE_SECONDS)
        expected = Counter({(uri, "label", "known"): 1 for uri in traffic.published})
        if sent_events(sandbox) != expected:
            sys.exit("not every matching post was acted on exactly once")
    return {"alone": alone, "busy": busy}


def _table(title: str, changes: Sequence[Change]) -> Table:
    shown = Table(title=title, title_justify="left")
    shown.add_column("phase")
    for name in ("median s", "range"):
        shown.add_column(name, justify="right")

    def add(name: str, values: Sequence[float]) -> None:
        shown.add_row(name, f"{median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}")

    for number, (name, first, last) in enumerate([*PHASES, *TOTALS]):
        if number == len(PHASES):
            shown.add_section()
        add(name, [change.times[last] - change.times[first] for change in changes])
    shown.add_section()
    add("the join alone, in the run", [change.joining for change in changes])
    add("the same join called directly, with its commit", [change.direct for change in changes])
    runs = ", ".join(f"{change.runs} runs, {change.new_matches} matches" for change in changes)
    shown.caption = runs
    return shown


def reaches_goal(changes: Sequence[Change]) -> bool:
    """Whether each change was quick enough."""
    return all(
        change.times["committed"] - change.times["written"] <= GOAL_SECONDS
        and change.joining <= GOAL_MATCHING_SECONDS
        for change in changes
    )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000_000, help="images of the past")
    parser.add_argument("--hours", type=int, default=1000, help="hours of the past")
    parser.add_argument("--changes", type=int, default=3, help="rules added, in either part")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep everything here, and use it again")
    options = parser.parse_args()
    console = Console(highlight=False, width=100)
    set_on_retry_hooks([])  # that the database is busy for a moment is no news
    console.print(f"load average at the start: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="phash-rule-change-") as temporary:
        found = measure(options.folder or Path(temporary), options, console)
    goal = f"matches committed ≤ {GOAL_SECONDS:g} s, the join ≤ {GOAL_MATCHING_SECONDS:g} s"
    reached = all(reaches_goal(changes) for changes in found.values())
    console.print(f"goal ({goal}): {'reached' if reached else 'missed'}")
    console.print(f"load average at the end: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
