"""What a backup says of itself: when and by what it was made, and the checksum of each file."""

from datetime import datetime
from importlib.metadata import version
from typing import Final, Literal

import msgspec
from packaging.version import Version

from phash_dagster.sql import statements

FORMAT: Final = 1
"""Raised when an earlier release could not restore what a backup holds."""

StorageKind = Literal["sqlite", "postgresql"]
"""What Dagster keeps its runs and cursors in."""

_LIBRARIES: Final = ("duckdb", "dagster")
"""Those whose files or tables are in a backup. Earlier versions of them may not read these."""


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a backup."""

    size: int
    """Bytes."""
    sha256: str
    time_ns: int = 0
    """When it was last written, nanoseconds since 1970: some stores go by it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that a restore reads."""

    format: int = FORMAT
    made_at: datetime
    """When the stores stood still, UTC."""
    made_by: str
    """Version of this package."""
    libraries: dict[str, str]
    """Versions of the libraries whose files are in it."""
    warehouse_schema: tuple[str, ...]
    """The migrations of the warehouse."""
    dagster_storage: StorageKind | None
    """None: there was none."""
    dagster_revision: str
    """The migration that Dagster's storage is at."""
    first_day: str | None
    """Hours of `image_posts` before this day (UTC) were left out; None: all are there."""
    files: dict[str, FileEntry]


def versions_here() -> dict[str, str]:
    """The versions of the libraries whose files a backup holds."""
    return {name: version(name) for name in _LIBRARIES}


def why_not_here(manifest: Manifest) -> str | None:
    """Why this release cannot restore a backup; None if it can. Pure but for what is installed."""
    if manifest.format > FORMAT:
        return f"it has the format {manifest.format}, and this release knows {FORMAT}"
    unknown = [name for name in manifest.warehouse_schema if name not in statements("schema")]
    if unknown:
        return f"its warehouse has tables that this release does not know ({unknown[0]})"
    here = versions_here()
    for name, made_with in manifest.libraries.items():
        if name in here and Version(made_with) > Version(here[name]):
            return f"it was made with {name} {made_with}, and {here[name]} is installed"
    return None
