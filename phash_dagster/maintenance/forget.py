"""Removes expired hours of `image_posts`, and what is known of images that no post has any more.

In this order, so that a process that is killed anywhere loses nothing that was to stay, and the
next one completes the work:

1. The folder of the hour is renamed into `.expired`, where nobody reads it.
2. Images in there that no remaining file has are forgotten: their hashes, outcomes, attempts and
   matches go together. Images that were posted again since keep all of them.
3. The files in `.expired` are deleted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts, Warehouse
from phash_dagster.warehouse.compaction import MEMORY_LIMIT
from phash_dagster.warehouse.parquet_files import sync

EXPIRED: Final = ".expired"
"""Folder of the hours that are set aside, beside those that are read."""

HOURS_AT_ONCE: Final = 24
"""Hours set aside together: the images of so many are held in memory."""

IMAGES_AT_ONCE: Final = 100_000
"""Images forgotten in one transaction, which others wait for."""

_TABLES: Final = ("hashes", "outcomes", "attempts", "matches")

_OF_HOURS: Final = (
    "maintenance/forget_partitions",
    "maintenance/forget_plans",
    "metrics/forget_counted_hours",
)


@dataclass(frozen=True)
class Forgotten:
    """What was removed.

    Attributes:
        hours: Partition keys of the hours whose posts are gone.
        bytes: Size of their files.
        images: Images in them that no post carries any more; all that was known of them is gone.
        kept_images: Images in them that another post carries.
    """

    hours: Sequence[str] = ()
    bytes: int = 0
    images: int = 0
    kept_images: int = 0

    def __add__(self, later: "Forgotten") -> "Forgotten":
        return Forgotten(
            hours=[*self.hours, *later.hours],
            bytes=self.bytes + later.bytes,
            images=self.images + later.images,
            kept_images=self.kept_images + later.kept_images,
        )


def forget_hours(posts: ImagePosts, warehouse: Warehouse, hours: Sequence[str]) -> Forgotten:
    """Remove these hours, and those that an earlier call was killed over.

    Raises:
        OSError: A folder cannot be renamed or deleted; the next call goes on.
        WarehouseBusyError: Another process kept the DuckDB file for long; likewise.
    """
    done = _forget_set_aside(posts, warehouse)
    for start in range(0, len(hours), HOURS_AT_ONCE):
        for key in hours[start : start + HOURS_AT_ONCE]:
            _set_aside(posts, key)
        done += _forget_set_aside(posts, warehouse)
    return done


def set_aside_hours(posts: ImagePosts) -> list[str]:
    """The hours that an earlier call was killed over."""
    return [_key(folder) for folder in _folders(posts)]


def _set_aside(posts: ImagePosts, key: str) -> None:
    folder, aside = posts.folder(key), posts.root / EXPIRED
    aside.mkdir(exist_ok=True)
    folder.replace(aside / folder.name)
    for changed in (posts.root, aside):
        sync(changed)


def _folders(posts: ImagePosts) -> list[Path]:
    return sorted((posts.root / EXPIRED).glob("hour=*"))


def _key(folder: Path) -> str:
    return f"{folder.name.removeprefix('hour=')}:00"


def _forget_set_aside(posts: ImagePosts, warehouse: Warehouse) -> Forgotten:
    done = Forgotten()
    folders = _folders(posts)
    for start in range(0, len(folders), HOURS_AT_ONCE):
        done += _forget_folders(posts, warehouse, folders[start : start + HOURS_AT_ONCE])
    return done


def _forget_folders(posts: ImagePosts, warehouse: Warehouse, folders: Sequence[Path]) -> Forgotten:
    files = [path for folder in folders for path in sorted(folder.glob("*.parquet"))]
    size = sum(path.stat().st_size for path in files)
    keys = [_key(folder) for folder in folders]
    images, forgotten = _forget_images(posts, warehouse, files, keys)
    for folder in folders:
        _delete(folder)
    return Forgotten(keys, size, forgotten, images - forgotten)


def _delete(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        path.unlink()
    folder.rmdir()


def _forget_images(
    posts: ImagePosts, warehouse: Warehouse, files: Sequence[Path], keys: Sequence[str]
) -> tuple[int, int]:
    """How many images these files have, and how many of them were forgotten."""
    remaining = _remaining(posts)
    images, orphans = _orphans(posts, files, [path for path, *_ in remaining])
    forgotten = 0
    for start in range(0, max(1, orphans.num_rows), IMAGES_AT_ONCE):
        with warehouse.write() as connection:
            # Listed again, while nobody else can write. A run that found one of these hashes did so
            # before, and the file that it was at work on is listed now. One that comes later finds
            # no hash, and fetches the image again.
            late = [path for path, *_ in _remaining(posts) - remaining]
            some = orphans.slice(start, IMAGES_AT_ONCE)
            forgotten += _forget_some(connection, some, late)
            for name in _OF_HOURS:
                connection.execute(statement(name), {"partition_keys": list(keys)})
    return images, forgotten


def _forget_some(connection: Connection, images: pa.Table, late: Sequence[Path]) -> int:
    connection.register("listed_images", images)
    connection.execute(statement("maintenance/listed_images"))
    if late:
        _keep_posted(connection, late)
    for name in _TABLES:
        connection.execute(statement(f"maintenance/forget_{name}"))
    count = len(connection.execute(statement("maintenance/expired_list")).fetchall())
    connection.unregister("listed_images")
    return count


def _orphans(
    posts: ImagePosts, files: Sequence[Path], remaining: Sequence[Path]
) -> tuple[int, pa.Table]:
    """How many images the expired files have, and those that no remaining file has."""
    with _database(posts.root) as connection:
        _set_files(connection, "expired_files", files or [posts.empty_file()])
        connection.execute(statement("maintenance/expired_images"))
        [(images,)] = connection.execute("SELECT count(*) FROM expired_images").fetchall()
        if remaining:
            _keep_posted(connection, remaining)
        found = connection.sql(statement("maintenance/expired_list")).to_arrow_table()
        return int(images), found


def _keep_posted(connection: Connection, files: Sequence[Path]) -> None:
    _set_files(connection, "remaining_files", files)
    connection.execute(statement("maintenance/keep_posted"))


def _set_files(connection: Connection, variable: str, files: Sequence[Path]) -> None:
    connection.execute(f"SET VARIABLE {variable} = $1", [[str(path) for path in files]])


_File = tuple[Path, int, int]


def _remaining(posts: ImagePosts) -> set[_File]:
    """The files that are read, each with what changes when it is replaced."""
    found: set[_File] = set()
    for path in posts.files(posts.partition_keys()):
        with suppress(FileNotFoundError):
            status = path.stat()
            found.add((path, status.st_mtime_ns, status.st_size))
    return found


@contextmanager
def _database(folder: Path) -> Iterator[Connection]:
    """A database in memory that spills to disk beside the files."""
    with duckdb.connect(
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(folder / ".spill")}
    ) as connection:
        yield connection
