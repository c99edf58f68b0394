"""How large is Dagster's storage just before a compaction, at the highest rate, and after it?

Between two compactions the runs of up to nine hours gather. That many real runs take nine hours, so
the runs that a soak left are copied, with everything they left in Dagster's storage, until there
are as many as nine hours bring. Then the real job `compact_hours` deletes them, cycle by cycle.
Sizes are those of real files; only the runs are copies.

    python -m tests.benchmarks.soak --folder FOLDER
    python -m tests.benchmarks.dagster_storage --folder FOLDER

Fails if the storage exceeds 2 GB, or grows from cycle to cycle.
"""

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
from rich.console import Console
from rich.table import Table

from phash_dagster.clock import utc_now
from phash_dagster.defs.compact_hours import compact_hours
from phash_dagster.defs.resources import resources
from phash_dagster.settings import settings_from
from phash_dagster.warehouse.image_posts import hour_key
from tests.benchmarks.soak_samples import dagster_store

LIMIT_BYTES = 2e9
GROWTH = 0.10
HOURS = 9
"""A run stays for `COMPACT_AFTER_HOURS` (2), its own hour, and until the next of the compactions,
which come every six hours."""

Row = dict[str, object]


@dataclass(frozen=True)
class Original:
    """A run that is copied, and its hour."""

    run_id: str
    hour: str


@dataclass(frozen=True)
class Home:
    """A DAGSTER_HOME on SQLite."""

    path: Path

    @property
    def runs(self) -> Path:
        return self.path / "history" / "runs.db"

    @property
    def index(self) -> Path:
        return self.path / "history" / "runs" / "index.db"

    def events(self, run_id: str) -> Path:
        return self.path / "history" / "runs" / f"{run_id}.db"

    def logs(self, run_id: str) -> Path:
        return self.path / "storage" / run_id

    def sizes(self) -> dict[str, float]:
        """Megabytes by store."""
        found: dict[str, float] = {}
        for path in self.path.rglob("*"):
            if path.is_file() and (name := dagster_store(path.relative_to(self.path))):
                found[name] = found.get(name, 0.0) + path.stat().st_size / 1e6
        found.pop("compiled Python", None)
        return found


def originals(home: Home) -> list[Original]:
    """The successful live runs over one hour."""
    with closing(sqlite3.connect(home.runs)) as connection:
        rows = connection.execute(
            "SELECT run_id, partition FROM runs WHERE pipeline_name = 'moderate_hour' "
            "AND status = 'SUCCESS' AND partition IS NOT NULL ORDER BY id"
        ).fetchall()
    return [Original(*row) for row in rows if home.events(row[0]).exists()]


class Copier:
    """Copies runs of one home into hours of another."""

    def __init__(self, source: Home, home: Home) -> None:
        self._source = source
        self._home = home

    def copy(self, runs: Sequence[Original], hours: Sequence[str], per_hour: int) -> int:
        """Make so many copies for each hour; return how many that are."""
        with (
            closing(sqlite3.connect(self._home.runs)) as stored,
            closing(sqlite3.connect(self._home.index)) as index,
            closing(sqlite3.connect(self._source.runs)) as old_stored,
            closing(sqlite3.connect(self._source.index)) as old_index,
        ):
            for hour in hours:
                for number in range(per_hour):
                    run = runs[number % len(runs)]
                    names = {run.run_id: str(uuid4()), run.hour: hour}
                    for table in ("runs", "run_tags"):
                        for row in _rows(old_stored, table, "run_id", run.run_id):
                            _insert(stored, table, row, names)
                    self._copy_index(old_index, index, run, names)
                    self._copy_files(run, names)
                stored.commit()
                index.commit()
        return len(hours) * per_hour

    def _copy_index(
        self,
        old: sqlite3.Connection,
        new: sqlite3.Connection,
        run: Original,
        names: dict[str, str],
    ) -> None:
        for row in _rows(old, "event_logs", "run_id", run.run_id):
            event = _insert(new, "event_logs", row, names)
            for tag in _rows(old, "asset_event_tags", "event_id", row["id"]):
                _insert(new, "asset_event_tags", {**tag, "event_id": event}, names)
        for row in _rows(old, "asset_check_executions", "run_id", run.run_id):
            _insert(new, "asset_check_executions", row, names)

    def _copy_files(self, run: Original, names: dict[str, str]) -> None:
        copied = self._home.events(names[run.run_id])
        shutil.copyfile(self._source.events(run.run_id), copied)
        with closing(sqlite3.connect(copied)) as events:
            events.execute("PRAGMA synchronous = OFF")
            for name in ("run_id", "event", "partition"):
                for old, new in names.items():
                    events.execute(
                        f"UPDATE event_logs SET {name} = replace({name}, ?, ?)", (old, new)
                    )
            events.commit()
        if self._source.logs(run.run_id).exists():
            shutil.copytree(self._source.logs(run.run_id), self._home.logs(names[run.run_id]))


def _rows(connection: sqlite3.Connection, table: str, column: str, value: object) -> Iterator[Row]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))
    columns = [column[0] for column in cursor.description]
    yield from (dict(zip(columns, row, strict=True)) for row in cursor.fetchall())


def _insert(
    connection: sqlite3.Connection, table: str, row: Row, names: dict[str, str]
) -> int | None:
    """Insert a row under another id, with each name replaced wherever it stands."""
    changed = {name: _renamed(value, names) for name, value in row.items() if name != "id"}
    marks = ", ".join("?" for _ in changed)
    cursor = connection.execute(
        f"INSERT INTO {table} ({', '.join(changed)}) VALUES ({marks})", tuple(changed.values())
    )
    return cursor.lastrowid


def _renamed(value: object, names: dict[str, str]) -> object:
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
    return value


def compact(home: Home, data: Path) -> float:
    """Run the real job, and again until no run is left; return the seconds it took."""
    settings = settings_from({"DATA_DIR": str(data)})
    started = time.monotonic()
    os.environ["DAGSTER_HOME"] = str(home.path)
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        done = compact_hours.execute_in_process(
            instance=instance, resources=dict(resources(settings))
        )
        if not done.success:
            raise RuntimeError("compact_hours failed")
    return time.monotonic() - started


def count_runs(home: Home) -> int:
    with closing(sqlite3.connect(home.runs)) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM runs").fetchall()
    return int(count)


def main() -> int:
    """Run the benchmark; the exit code is 1 if a bound was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of a soak; is not changed")
    parser.add_argument("--runs-per-hour", type=int, default=720, help="720: one in five seconds")
    parser.add_argument("--cycles", type=int, default=3)
    options = parser.parse_args()
    console = Console(highlight=False, width=140)
    with tempfile.TemporaryDirectory(prefix="phash-storage-") as temporary:
        data = Path(temporary) / "data"
        shutil.copytree(options.folder / "data", data, ignore=shutil.ignore_patterns("pycache"))
        home = Home(data / "dagster")
        source = Home(options.folder / "data" / "dagster")
        table, broken = measure(source, home, data, options)
    console.print(table)
    for one in broken:
        console.print(f"[bold red]broken:[/] {one}")
    return 1 if broken else 0


def measure(
    source: Home, home: Home, data: Path, options: argparse.Namespace
) -> tuple[Table, list[str]]:
    """Fill and compact so often; a row for each moment, and what was wrong."""
    runs, per_hour, cycles = originals(source), options.runs_per_hour, options.cycles
    latest = utc_now() - timedelta(hours=4)
    table = Table(title=f"MB; {per_hour} runs an hour, {HOURS} hours", title_justify="left")
    for column in ("when", "runs", *sorted(home.sizes()), "all", "seconds"):
        table.add_column(column, justify="left" if column == "when" else "right")

    def add(when: str, seconds: float) -> float:
        sizes = home.sizes()
        total = sum(sizes.values())
        cells = [f"{sizes[name]:,.1f}" for name in sorted(sizes)]
        table.add_row(when, f"{count_runs(home):,}", *cells, f"{total:,.1f}", f"{seconds:.0f}")
        return total

    add("at first", 0)
    peaks = []
    for cycle in range(cycles):
        first = latest - timedelta(hours=HOURS * (cycles - cycle))
        hours = [hour_key(first + timedelta(hours=number)) for number in range(HOURS)]
        started = time.monotonic()
        Copier(source, home).copy(runs, hours, per_hour)
        peaks.append(add(f"before compaction {cycle + 1}", time.monotonic() - started))
        add(f"after compaction {cycle + 1}", compact(home, data))
    broken = [f"{peak:,.0f} MB are over 2 GB" for peak in peaks if peak * 1e6 > LIMIT_BYTES]
    if peaks[-1] > peaks[0] * (1 + GROWTH):
        broken.append(f"it grows from cycle to cycle: {peaks}")
    return table, broken


if __name__ == "__main__":
    sys.exit(main())
