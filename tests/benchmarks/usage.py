"""What a running pipeline uses: processors, runs, storage."""

import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from phash_dagster.sandbox.pipeline import LocalPipeline


def count_runs(pipeline: LocalPipeline, job: str, *statuses: DagsterRunStatus) -> int:
    """How many runs of a job were requested, or are in one of these statuses."""
    wanted = RunsFilter(job_name=job, statuses=statuses or None)
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        return instance.get_runs_count(wanted)


@dataclass(frozen=True)
class Usage:
    """What was used up to a moment, or between two.

    Attributes:
        seconds: Time.
        live_runs: Runs of the job that live posts go through.
        stored_bytes: Size of Dagster's storage.
        processors: Seconds of processor time of this process and all its descendants.
        all_processors: Seconds of processor time of the whole machine.
    """

    seconds: float
    live_runs: int
    stored_bytes: int
    processors: float
    all_processors: float

    @classmethod
    def now(cls, pipeline: LocalPipeline) -> "Usage":
        """Up to now."""
        home = Path(pipeline.environment["DAGSTER_HOME"])
        times = psutil.cpu_times()
        return cls(
            seconds=time.monotonic(),
            live_runs=count_runs(pipeline, "moderate_hour"),
            stored_bytes=sum(path.stat().st_size for path in home.rglob("*") if path.is_file()),
            processors=processor_seconds(psutil.Process()),
            all_processors=float(sum(times) - times.idle - getattr(times, "iowait", 0.0)),
        )

    def since(self, before: "Usage") -> "Usage":
        """What was used in between."""
        names = (entry.name for entry in fields(self))
        return Usage(**{name: getattr(self, name) - getattr(before, name) for name in names})


def processor_seconds(process: psutil.Process) -> float:
    """What a process and all its descendants, ended ones too, have used."""
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used += sum(one.cpu_times()[:4])
    return used
