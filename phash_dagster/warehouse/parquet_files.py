"""Parquet files that survive a crash: written beside their name, made durable, then renamed."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION_KEY = "phash_dagster.schema_version"
"""Where a file's metadata says which version of its schema it has."""

_REPETITIVE = frozenset({"host", "collection", "operation", "mime_type", "embed_type"})
"""Columns worth a dictionary. For texts that hardly repeat, such as CIDs, building one makes
writing slower by a fifth and files larger by a tenth."""

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


def write_table(table: pa.Table, path: Path, *, time_us: int | None = None) -> Path:
    """Write a table so that `path` either does not appear or is complete and durable.

    Args:
        table: What to write, zstd-compressed.
        path: The file; its folder is made.
        time_us: The file's modification time, microseconds since 1970; the current time if None.

    Raises:
        OSError: It could not be written, e.g. because the disk is full. `path` is as it was.
    """
    return write_durably(path, lambda temporary: _write_zstd(table, temporary), time_us=time_us)


def write_durably(path: Path, write: Callable[[Path], None], *, time_us: int | None = None) -> Path:
    """Let `write` make a file under a temporary name, make it durable, and give it its name.

    Args:
        path: The file; its folder is made.
        write: Makes the file that it is given the path of.
        time_us: The file's modification time, microseconds since 1970; the current time if None.

    Raises:
        OSError: The file could not be written, e.g. because the disk is full; nothing of it is
            left, and what was there under `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        if time_us is not None:
            os.utime(temporary, ns=(time_us * 1000, time_us * 1000))
        sync(temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            # Libraries raise it without the name, and "No space left on device" is not enough.
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    for folder in (path.parent, path.parent.parent):
        sync(folder)
    return path


def remove_abandoned(folder: Path) -> list[Path]:
    """Remove what processes that are gone left half written in a folder; return the files."""
    abandoned = [
        path
        for path in folder.glob(".*.tmp")
        if (found := _TEMPORARY.fullmatch(path.name)) and not psutil.pid_exists(int(found[1]))
    ]
    for path in abandoned:
        path.unlink(missing_ok=True)
    return abandoned


def _write_zstd(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        repetitive = [name for name in table.column_names if name in _REPETITIVE]
        pq.write_table(table, file, compression="zstd", use_dictionary=repetitive)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
