"""What a backup is given of Dagster's storage, by `defs/`, which alone knows Dagster."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from phash_dagster.backup.manifest import StorageKind


class StillStorage(Protocol):
    """Dagster's storage, standing still."""

    @property
    def revision(self) -> str:
        """The migration it is at."""

    def copy_to(self, folder: Path) -> None:
        """Write it into a folder."""


@dataclass(frozen=True)
class DagsterStorage:
    """Dagster's storage, for a backup and for a restore.

    Attributes:
        kind: What it is in.
        folder: Where its files are, if it is in SQLite.
        still: Lets it stand still while the block lasts.
        require_empty: Raises where a copy of this kind and revision cannot be put into it.
        restore: Puts a copy into it, if it is in PostgreSQL.
    """

    kind: StorageKind
    folder: Path | None
    still: Callable[[], AbstractContextManager[StillStorage]]
    require_empty: Callable[[StorageKind, str], None]
    restore: Callable[[Path], None]
