"""`make demo`: the real pipeline over a small network, from the first post to a late rule.

Prints what happened, holds it against what the scenario knows must happen, and fails if it is not
exactly that.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from phash_dagster.analysis import Sources
from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.hashing.interface import to_hex
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.actions import State
from phash_dagster.reports.costs import Machine, disk_use
from phash_dagster.reports.data import MatchReport, make_report
from phash_dagster.reports.render import write_files
from phash_dagster.sandbox.demo_checks import Check, check_late_rule, check_live
from phash_dagster.sandbox.demo_tables import actions_table, matches_table, outcomes_table
from phash_dagster.sandbox.pipeline import LocalPipeline, PipelineTimeoutError
from phash_dagster.sandbox.scenario import DEFAULT_SEED, Scenario, ScenarioRule
from phash_dagster.sandbox.server import Sandbox
from phash_dagster.stack import signals_as_interrupts

PUBLISH_SECONDS = 15.0
"""Posts are spread over this time, so that several micro-batches carry them."""

SETTINGS = {
    "MODERATION_MODE": "live",
    "MICROBATCH_SECONDS": "3",
    "RATE_LIMIT_MS": "5",
    "RETRY_DELAY_MS": "50",
}
"""Live against the sandbox's own Ozone, and a little more hurried than the defaults."""


def run_demo(folder: Path, *, seed: int = DEFAULT_SEED, console: Console | None = None) -> int:
    """Run the demo in `folder`, which is emptied first; return the exit code.

    Raises:
        DemoFolderError: The folder holds something else than an earlier demo, or cannot be used.
    """
    console = console or Console(highlight=False)
    with _own_folder(folder), signals_as_interrupts(), Sandbox(seed=seed) as sandbox:
        scenario = Scenario(sandbox.world, seed=seed)
        pipeline = LocalPipeline.under(folder, {**sandbox.settings_environment(), **SETTINGS})
        _write_rules(pipeline, "blobs.json", scenario.rules)
        try:
            checks = _Demo(console, sandbox, scenario, pipeline).run()
        except PipelineTimeoutError as error:
            console.print(f"[bold red]{error}[/]")
            return 1
    return _verdict(console, checks)


class DemoFolderError(RuntimeError):
    """The demo's folder cannot be used; the text says why."""


@contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """Empty the folder of an earlier demo and hold it, so that no second demo empties it too."""
    with _marked(folder):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        yield


def _marked(folder: Path) -> IO[str]:
    """The locked marker that tells a demo's folder from anybody else's."""
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
            raise DemoFolderError(
                f"{folder} is not empty and not from an earlier demo; name another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        marker = (folder / _MARKER).open("w")
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoFolderError(f"another demo is running in {folder}; name another folder") from None
    except OSError as error:
        raise DemoFolderError(f"{folder}: {error.strerror}; name another folder") from None
    return marker


_MARKER = ".phash-dagster-demo"


def _write_rules(pipeline: LocalPipeline, name: str, rules: Iterable[ScenarioRule]) -> None:
    algorithm = get_algorithm("average")
    entries = [
        rule.entry([to_hex(algorithm.hash(image).value, 64) for image in rule.originals()])
        for rule in rules
    ]
    (pipeline.settings.rules_dir / name).write_text(json.dumps(entries, indent=2))


def _verdict(console: Console, checks: list[Check]) -> int:
    console.rule("Held against what was published")
    for check in checks:
        mark = "[green]ok[/]     " if check.holds else "[bold red]MISSING[/]"
        console.print(f"{mark} {check.name}")
        if not check.holds:
            console.print(f"        expected {check.expected}\n        found    {check.found}")
    return 0 if all(check.holds for check in checks) else 1


class _Demo:
    """One demo, told step by step on the console."""

    def __init__(
        self, console: Console, sandbox: Sandbox, scenario: Scenario, pipeline: LocalPipeline
    ) -> None:
        self._console = console
        self._sandbox = sandbox
        self._scenario = scenario
        self._pipeline = pipeline

    def run(self) -> list[Check]:
        """Everything in order; returns what was checked."""
        started = time.monotonic()
        self._console.rule("phash-dagster demo")
        self._console.print(
            f"A small AT Protocol network listens on {self._sandbox.origin}. Nothing leaves this "
            "machine.\nStarting Dagster's daemon with all sensors on …"
        )
        with self._pipeline.daemon():
            self._wait_until_ready()
            self._publish()
            self._wait_until_processed()
            checks = check_live(self._scenario, self._pipeline, self._sandbox)
            self._show_results()
            self._add_late_rule()
            checks += check_late_rule(self._scenario, self._pipeline, self._sandbox)
        report = write_files(self._report(), self._pipeline.settings)
        self._console.print(
            f"Report: {report}\nDone in {time.monotonic() - started:.0f} s. Data: "
            f"{self._pipeline.settings.data_dir}; what the daemon said: {self._pipeline.log}"
        )
        return checks

    def _wait_until_ready(self) -> None:
        self._pipeline.wait_until(self._pipeline.has_cursor, "the sensor's start", seconds=180)
        self._pipeline.wait_until(
            lambda: self._pipeline.rules_in_force() is not None, "rules in force", seconds=180
        )
        rules = len(self._scenario.rules)
        self._console.print(f"jetstream_sensor is reading; {rules} rules are in force.")

    def _publish(self) -> None:
        steps = len(self._scenario.steps)
        with self._progress() as progress:
            task = progress.add_task("Posts published", total=steps)
            for number, _ in enumerate(self._scenario.publish(), start=1):
                progress.advance(task)
                time.sleep(PUBLISH_SECONDS / steps)
                if not self._console.is_terminal and number % 100 == 0:
                    self._console.print(f"Posts published: {number} of {steps}")

    def _wait_until_processed(self) -> None:
        expected = self._scenario.expected.outcomes
        with self._progress() as progress:
            task = progress.add_task("Images processed", total=len(expected))

            def processed() -> bool:
                with self._pipeline.warehouse.read() as connection:
                    [(done,)] = connection.execute("SELECT count(*) FROM image_outcomes").fetchall()
                progress.update(task, completed=done)
                return bool(done >= len(expected)) and self._pipeline.is_settled()

            self._pipeline.wait_until(processed, "every image processed", seconds=300)
        if not self._console.is_terminal:
            self._console.print(f"Images processed: {len(expected)} of {len(expected)}")

    def _show_results(self) -> None:
        report = self._report()
        seen = report.reading.seen
        self._console.print(
            f"\nSeen: {seen['posts_with_images']} posts with {seen['images']} images, "
            f"{seen['distinct_images']} distinct, by {seen['accounts']} accounts."
        )
        for table in (
            outcomes_table(report),
            matches_table(report),
            actions_table(report, self._pipeline),
        ):
            self._console.print(table)

    def _add_late_rule(self) -> None:
        rule = self._scenario.late_rule
        self._console.rule("A new rule")
        self._console.print(
            f"Adding the rule “{rule.label}”. Its image was posted before anybody knew it …"
        )
        _write_rules(self._pipeline, "late.json", [rule])
        self._pipeline.wait_until(
            lambda: (
                any(action.lane == "backfill" for action in self._pipeline.actions())
                and self._pipeline.is_settled()
            ),
            "the backfill",
            seconds=180,
        )
        for action in self._pipeline.actions():
            if action.lane == "backfill" and action.state is State.SHADOW:
                self._console.print(
                    f"The backfill found {action.subject} (distance {action.distance}): "
                    f"{action.event} {action.value}, recorded as {action.state}."
                )
        self._console.print(
            "About the past it does what its field “backfill” says: by default it only records. "
            "No image was fetched again."
        )

    def _report(self) -> MatchReport:
        pipeline, settings = self._pipeline, self._pipeline.settings
        return make_report(
            Sources(pipeline.warehouse, pipeline.posts, IngestRecords.under(settings.data_dir)),
            settings.analytics_path,
            utc_now,
            since=utc_now() - timedelta(days=1),
            machine=Machine(disk=disk_use(settings.data_dir)),
        )

    def _progress(self) -> Progress:
        """A bar where somebody watches; elsewhere plain lines are printed instead."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
