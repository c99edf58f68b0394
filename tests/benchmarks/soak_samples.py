"""What a running pipeline holds at a moment: memory, open files, runs, and each of its stores."""

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from phash_dagster.sandbox.pipeline import LocalPipeline

MEGABYTE = 1e6

DAGSTER = "Dagster: "
"""With this begin the names of the stores that Dagster's own storage consists of."""


@dataclass(frozen=True)
class Group:
    """Processes that do the same.

    Attributes:
        count: How many there are.
        rss: Resident memory of the largest, in megabytes.
        files: Open files of the one that has the most.
    """

    count: int
    rss: float
    files: int


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        seconds: Our time since the beginning.
        hours: The network's time since the beginning.
        groups: Processes by what they do.
        sizes: Megabytes of each store; empty when only processes were looked at.
        counts: Runs, ticks, images and so on; empty likewise.
    """

    seconds: float
    hours: float
    groups: Mapping[str, Group]
    sizes: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)

    @property
    def dagster(self) -> float:
        """Megabytes of Dagster's storage."""
        return sum(size for name, size in self.sizes.items() if name.startswith(DAGSTER))


def role(command: Sequence[str]) -> str:
    """What a process of the stack does, by its command line."""
    line = " ".join(command)
    for part, name in (
        ("dagster._daemon", "daemon"),
        ("dagster api grpc", "code server"),
        ("dagster-webserver", "web server"),
        ("resource_tracker", "resource tracker"),
        ("spawn_main", "run"),
    ):
        if part in line:
            return name
    return "code server" if "api grpc" in line else "other"


def groups(process: psutil.Process) -> dict[str, Group]:
    """A process and its descendants by what they do."""
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error), one.oneshot():
            memory = one.memory_info().rss / MEGABYTE
            found[role(one.cmdline())].append((memory, one.num_fds()))
    return {
        name: Group(len(each), max(rss for rss, _ in each), max(files for _, files in each))
        for name, each in found.items()
    }


def sizes(pipeline: LocalPipeline) -> dict[str, float]:
    """Megabytes of each store, as the file system counts them."""
    found: dict[str, float] = defaultdict(float)
    data, home = pipeline.settings.data_dir, Path(pipeline.environment["DAGSTER_HOME"])
    for path in _files(data):
        with suppress(FileNotFoundError):
            name = dagster_store(path.relative_to(home)) if home in path.parents else None
            found[name or _store(path.relative_to(data))] += path.stat().st_size / MEGABYTE
    return dict(found)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names)


def _store(path: Path) -> str:
    """By a path under DATA_DIR."""
    first = path.parts[0]
    return {
        "image_posts": "image_posts (Parquet)",
        "ingest_batches": "ingest records (Parquet)",
        "reports": "reports",
        "daemon.log": "log of the daemon",
    }.get(first) or next(
        (name for start, name in _DATABASES if first.startswith(start)), "everything else"
    )


_DATABASES = (("warehouse.duckdb", "warehouse (DuckDB)"), ("ledger.sqlite", "ledger (SQLite)"))


def dagster_store(path: Path) -> str:
    """By a path under DAGSTER_HOME."""
    if path.parts[0] == "pycache":
        return "compiled Python"
    if path.parts[0] == "schedules":
        return f"{DAGSTER}ticks and cursors"
    if path.name.startswith("runs.db"):
        return f"{DAGSTER}runs"
    if path.name.startswith("index.db"):
        return f"{DAGSTER}events of assets"
    if "history" in path.parts:
        return f"{DAGSTER}events of runs"
    return f"{DAGSTER}logs and outputs"


_COUNTS = {
    "runs": ("history/runs.db", "SELECT count(*) FROM runs"),
    "live runs": (
        "history/runs.db",
        "SELECT count(*) FROM runs WHERE pipeline_name = 'moderate_hour'",
    ),
    "runs so far": ("history/runs.db", "SELECT max(id) FROM runs"),
    "failed runs": (
        "history/runs.db",
        "SELECT count(*) FROM runs WHERE status IN ('FAILURE', 'CANCELED')",
    ),
    "ticks": ("schedules/schedules.db", "SELECT count(*) FROM job_ticks"),
    "events of assets": ("history/runs/index.db", "SELECT count(*) FROM event_logs"),
}


def counts(pipeline: LocalPipeline) -> dict[str, float]:
    """How many there are of what the stores grow with."""
    home = Path(pipeline.environment["DAGSTER_HOME"])
    found = {name: _count(home / path, query) for name, (path, query) in _COUNTS.items()}
    with pipeline.warehouse.read() as connection:
        [(found["images"], found["actions"], found["warehouse free MB"])] = connection.execute(
            """
            SELECT
                (FROM image_outcomes SELECT count(*)),
                (FROM moderation_actions SELECT count(*)),
                (FROM pragma_database_size() SELECT free_blocks * block_size / 1e6
                 WHERE database_name = current_database())
            """
        ).fetchall()
    found["Parquet files"] = len(list(pipeline.settings.image_posts_dir.glob("hour=*/*.parquet")))
    found["hours"] = len(pipeline.posts.partition_keys())
    return found


def _count(database: Path, query: str) -> float:
    with suppress(sqlite3.OperationalError):
        address = f"file:{database}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
            return float(connection.execute(query).fetchone()[0] or 0)
    return 0.0


def look(
    pipeline: LocalPipeline, process: psutil.Process, *, since: float, hours: float, whole: bool
) -> Sample:
    """Look at the processes and, if `whole`, at the stores."""
    return Sample(
        seconds=time.monotonic() - since,
        hours=hours,
        groups=groups(process),
        sizes=sizes(pipeline) if whole else {},
        counts=counts(pipeline) if whole else {},
    )
