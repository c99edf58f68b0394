"""Does the running system stay within bounds? Memory, Dagster's storage, and every other growth.

The real daemon, code server and runs work beside a sandbox whose clock runs faster than ours, so
that hours pass, are compacted, and lose their runs. What the daemon's schedules do every six hours
or every day is launched as often by the network's clock. Rules change meanwhile, and the past is
matched anew.

    nice -n 10 python -m tests.benchmarks.soak
    python -m tests.benchmarks.soak --minutes 10 --speed 120
    python -m tests.benchmarks.soak --read samples.jsonl

Fails unless memory is flat and every growth is explained; `soak_verdicts` says what that means.
Runs are as frequent as in reality: only hours pass faster, so an hour has fewer runs here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil
from rich.console import Console
from stamina.instrumentation import set_on_retry_hooks

from phash_dagster.clock import utc_now
from phash_dagster.rules import load_folder, save_version
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.pipeline import LocalPipeline, PipelineTimeoutError
from phash_dagster.stack import recover, shipped_file, signals_as_interrupts
from tests.benchmarks.soak_network import RULE_IMAGE, SIZE, FastClock, People
from tests.benchmarks.soak_samples import Group, Sample, look
from tests.benchmarks.soak_verdicts import Result, report
from tests.pipeline.conftest import rule, write_rules

SAMPLE_EVERY = 5.0
WHOLE_SAMPLE_EVERY = 30.0
SETTLE_SECONDS = 300.0

JOBS = {"compact_hours": 6.0, "maintain": 12.0, "write_report": 24.0}
"""Jobs of the daemon's schedules, and every how many hours they start; `maintain` twice as often as
in reality, so that it comes several times."""

KEPT_HOURS = 24.0
"""For so many hours posts are kept, and runs that others have overtaken. What is days in reality
would not pass in the time of a soak."""

RULES_CHANGE_HOURS = 12.0


@dataclass
class Soak:
    """One soak, under way."""

    pipeline: LocalPipeline
    sandbox: Sandbox
    clock: FastClock
    people: People
    output: Path
    samples: list[Sample] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    troubles: list[str] = field(default_factory=list)
    jobs: int = 0

    def run(self, minutes: float) -> None:
        """Let it all go on for so long."""
        write_rules(self.pipeline, "blobs.json", [known_rule()])
        self._put_rules_in_force()
        self._start_reading()
        with (
            self.pipeline.daemon() as daemon,
            self._in_background(
                lambda: self.people.run(self.stopped), self._start_jobs, self._change_rules
            ),
        ):
            self._watch(psutil.Process(daemon.pid), minutes * 60)
            self.stopped.set()
            try:
                self.pipeline.wait_until(self._all_sent, "all is sent", seconds=SETTLE_SECONDS)
            except PipelineTimeoutError as error:
                self.troubles.append(str(error))

    def result(self) -> Result:
        """What was found."""
        sent = sent_at(self.sandbox)
        published = self.people.published
        waits = [
            (published[uri], self.clock.our_seconds(published[uri], sent[uri][0]))
            for uri in published.keys() & sent.keys()
        ]
        latencies = [
            (self.clock.our_seconds(microseconds(self.clock.start), at), seconds)
            for at, seconds in sorted(waits)
        ]
        never = published.keys() - sent.keys()
        twice = [uri for uri, times in sent.items() if len(times) > 1]
        troubles = list(self.troubles)
        if never:
            troubles.append(f"{len(never)} matching posts were not acted on, e.g. {min(never)}")
        if twice:
            troubles.append(f"{len(twice)} posts were acted on more than once: {twice[:5]}")
        return Result(self.samples, latencies, troubles, self.people.posts, self.jobs)

    def _watch(self, process: psutil.Process, seconds: float) -> None:
        started = next_whole = time.monotonic()
        while (now := time.monotonic()) < started + seconds:
            whole = now >= next_whole
            next_whole += WHOLE_SAMPLE_EVERY if whole else 0
            hours = self.clock.hours
            sample = look(self.pipeline, process, since=started, hours=hours, whole=whole)
            self.samples.append(sample)
            with self.output.open("a") as file:
                file.write(json.dumps(asdict(sample)) + "\n")
            time.sleep(max(0.0, now + SAMPLE_EVERY - time.monotonic()))

    @contextmanager
    def _in_background(self, *functions: Callable[[], None]) -> Iterator[None]:
        with ThreadPoolExecutor(len(functions)) as threads:
            futures = [threads.submit(function) for function in functions]
            try:
                yield
            finally:
                self.stopped.set()
        for future in futures:
            future.result()

    def _put_rules_in_force(self) -> None:
        """As they were before the network began: what people post is live, and not the past."""
        settings = self.pipeline.settings
        loaded = load_folder(settings.rules_dir, settings.phash_hamming_threshold, self.clock.start)
        with self.pipeline.warehouse.write() as connection:
            save_version(connection, loaded.ruleset, self.clock.start)

    def _start_reading(self) -> None:
        """Let the sensor begin where the network does, which lies in our past."""
        environment = dict(self.pipeline.environment)
        recover(environment)
        document = json.dumps({"time_us": microseconds(self.clock.start), "version": 2})
        self._dagster("sensor", "cursor", "jetstream_sensor", "--set", document)
        # A sensor with a cursor that was set before its first tick counts as stopped.
        self._dagster("sensor", "start", "jetstream_sensor")

    def _start_jobs(self) -> None:
        due = dict(JOBS)
        while not self.stopped.wait(1):
            for name in [name for name, hour in due.items() if self.clock.hours >= hour]:
                due[name] += JOBS[name]
                config = self._maintenance() if name == "maintain" else {}
                self._dagster("job", "launch", "-j", name, "--config-json", json.dumps(config))
                self.jobs += 1

    def _maintenance(self) -> dict[str, object]:
        """Retention by the network's clock, which lags behind ours. A day is always added to it."""
        before = self.clock() - timedelta(hours=KEPT_HOURS)
        files = {"retention_days": (utc_now() - before) / timedelta(days=1) - 1}
        dagster = {"successful_runs_stay_days": KEPT_HOURS / 24 / self.clock.speed}
        return {
            "ops": {"maintain_files": {"config": files}, "maintain_dagster": {"config": dagster}}
        }

    def _change_rules(self) -> None:
        number = 0
        while not self.stopped.wait(1):
            # Between two maintenances: hours that have yet to be matched are not removed.
            if self.clock.hours >= (number + 0.5) * RULES_CHANGE_HOURS:
                number += 1
                picture = pictures.photo(50_000 + number, SIZE)
                write_rules(
                    self.pipeline, "late.json", [rule(picture, f"late-{number}", toLabel=True)]
                )

    def _dagster(self, *arguments: str) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "dagster", *arguments),
                *("-w", str(shipped_file("workspace.yaml"))),
            ],
            env=dict(self.pipeline.environment),
            cwd=self.pipeline.environment["DAGSTER_HOME"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.troubles.append(f"dagster {' '.join(arguments)}: {done.stderr[-500:]}")

    def _all_sent(self) -> bool:
        return sent_at(self.sandbox).keys() >= self.people.published.keys()


def known_rule() -> dict[str, object]:
    """The rule that labels what some people post."""
    return rule(pictures.photo(RULE_IMAGE, SIZE), "known", toLabel=True)


def sent_at(sandbox: Sandbox) -> dict[str, list[int]]:
    """When labels reached the sandbox's Ozone, the network's microseconds, by AT URI."""
    found: dict[str, list[int]] = {}
    for event in sandbox.world.moderation.events():
        if event.type.endswith("#modEventLabel"):
            found.setdefault(event.subject.key, []).append(microseconds(event.created_at))
    return found


def soak(folder: Path, output: Path, options: argparse.Namespace) -> Result:
    """Run a soak in `folder` and write each sample to `output`."""
    clock = FastClock.ending_now(options.minutes, options.speed)
    with Sandbox(seed=options.seed, clock=clock) as sandbox:
        variables = {
            **sandbox.settings_environment(),
            "MODERATION_MODE": "live",
            **dict(options.set),
        }
        pipeline = LocalPipeline.under(folder, variables)
        people = People(sandbox, clock, options.seed, options.posts_per_second, options.matching)
        one = Soak(pipeline, sandbox, clock, people, output)
        one.run(options.minutes)
        return one.result()


def read_samples(path: Path) -> list[Sample]:
    """The samples of an earlier soak, or of one under way."""
    return [_sample(json.loads(line)) for line in path.read_text().splitlines()]


def _sample(fields: dict[str, object]) -> Sample:
    groups = {name: Group(**group) for name, group in fields.pop("groups").items()}  # type: ignore[attr-defined]
    return Sample(groups=groups, **fields)  # type: ignore[arg-type]


def setting(text: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long, by our clock")
    parser.add_argument("--speed", type=float, default=60.0, help="theirs in one of our seconds")
    parser.add_argument("--posts-per-second", type=float, default=6.0, help="by our clock")
    parser.add_argument("--matching", type=float, default=0.02, help="share that a rule knows")
    parser.add_argument("--seed", type=int, default=1, help="decides posts and their times")
    parser.add_argument(
        "--set", type=setting, action="append", default=[], help="a setting: NAME=VALUE"
    )
    parser.add_argument("--folder", type=Path, help="keep everything here; must be new")
    parser.add_argument("--samples", type=Path, help="write samples here, a line each")
    parser.add_argument("--read", type=Path, help="only report on samples of an earlier soak")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the benchmark; the exit code is 1 if a bound was broken."""
    options = options_of()
    console = Console(highlight=False, width=120)
    if options.read:
        return report(Result(read_samples(options.read)), console)
    set_on_retry_hooks([])  # that the database is busy for a moment is no news
    with tempfile.TemporaryDirectory(prefix="phash-soak-") as temporary, signals_as_interrupts():
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = soak(folder, options.samples or folder / "samples.jsonl", options)
    return report(result, console)


if __name__ == "__main__":
    sys.exit(main())
