"""What the pipeline cost, as far as the data tell."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class JobRuns:
    """The finished runs of a job that Dagster still has.

    Attributes:
        job: Its name.
        runs: How many.
        failed: How many of them failed.
        seconds: How long they took together.
    """

    job: str
    runs: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class RunCosts:
    """The runs in the period, as far as Dagster still has them.

    Attributes:
        jobs: By job, the longest together first.
        oldest: When the oldest run that is still there began; earlier ones are deleted.
    """

    jobs: tuple[JobRuns, ...]
    oldest: datetime | None


@dataclass(frozen=True)
class DiskUse:
    """What stands under one name in `DATA_DIR`.

    Attributes:
        name: Of the file or folder.
        bytes: Size of the files.
        files: How many.
    """

    name: str
    bytes: int
    files: int


@dataclass(frozen=True)
class Machine:
    """What only the machine can tell, and not the data.

    Attributes:
        disk: What stands in `DATA_DIR`, the largest first.
        dagster_storage_bytes: Size of Dagster's storage; None: it is in a database that was not
            asked.
        runs: None: Dagster was not asked.
    """

    disk: tuple[DiskUse, ...] = ()
    dagster_storage_bytes: int | None = None
    runs: RunCosts | None = None


@dataclass(frozen=True)
class Costs:
    """What a period cost.

    Attributes:
        fetched: Images that were fetched, by where from: `sql/report/fetched.sql`.
        machine: The rest.
    """

    fetched: tuple[dict[str, Any], ...]
    machine: Machine

    @property
    def images_fetched(self) -> int:
        """Images that were fetched and hashed."""
        return sum(row["images"] for row in self.fetched)

    @property
    def images_with_size(self) -> int:
        """Those of them whose posts name a size."""
        return sum(row["images_with_size"] for row in self.fetched)

    @property
    def claimed_bytes(self) -> int:
        """Size of the originals by the word of their posts."""
        return sum(row["claimed_bytes"] or 0 for row in self.fetched)

    @property
    def disk_bytes(self) -> int:
        """Size of everything in `DATA_DIR`."""
        return sum(use.bytes for use in self.machine.disk)


def disk_use(folder: Path) -> tuple[DiskUse, ...]:
    """What stands in a folder, by name, the largest first; nothing if there is no such folder."""
    if not folder.is_dir():
        return ()
    found = []
    for path in folder.iterdir():
        sizes = list(_sizes(path))
        found.append(DiskUse(path.name, sum(sizes), len(sizes)))
    return tuple(sorted(found, key=lambda use: (-use.bytes, use.name)))


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder, and in those within it."""
    return sum(_sizes(folder))


def _sizes(path: Path) -> Iterator[int]:
    """The sizes of files; links are not followed. What vanishes meanwhile is left out."""
    try:
        if path.is_symlink() or not path.is_dir():
            yield path.lstat().st_size
            return
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return
    for name in names:
        yield from _sizes(path / name)
