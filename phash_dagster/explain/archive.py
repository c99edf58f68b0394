"""Looks things up in the Parquet files of `image_posts`, as they are at the moment."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import stamina

from phash_dagster.jetstream.syntax import tid_microseconds
from phash_dagster.moderation.subjects import LOOK_BACK
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, ImagePosts
from phash_dagster.warehouse.image_posts import FIRST_HOUR, hour_key

Progress = Callable[[str], None]
"""Is told what is done next, in a few words."""

_FUTURE: Final = timedelta(days=1)
"""By how much the time in a record key may be ahead of ours and still be believed."""


class Row(NamedTuple):
    """One row of `image_posts`, and the file it stands in."""

    time: datetime
    host: str
    uri: str
    cid: str | None
    operation: str
    created_at: str | None
    blob_cid: str | None
    mime_type: str | None
    size_bytes: int | None
    position: int | None
    embed_type: str | None
    filename: str

    @property
    def is_record(self) -> bool:
        """Whether it tells of the record, not of the account."""
        return not self.operation.startswith("account_")


class Posted(NamedTuple):
    """How often an image was posted."""

    posts: int
    accounts: int
    first_seen: datetime | None
    last_seen: datetime | None
    first_post: str | None
    last_post: str | None


class PostedImage(NamedTuple):
    """An image of a record of an account."""

    uri: str
    blob_cid: str
    time: datetime


class Archive:
    """What Jetstream delivered. Every look opens the files of the hours concerned, no other."""

    def __init__(self, posts: ImagePosts, now: datetime) -> None:
        self._posts = posts
        self._now = now
        self.hours: Sequence[str] = posts.partition_keys()
        """Those that there are, oldest first."""

    def record(self, uri: str, progress: Progress) -> list[Row]:
        """What is told of a record and, around and after it, of its author's account.

        Most record keys are times. So at first the hours are searched from a day before that time
        on, and only if they do not have the record all hours before.
        """
        did, _, rkey = uri.removeprefix("at://").partition("/")
        wanted = {"uri": uri, "did": did}
        likely, others = self._split(rkey.rpartition("/")[2])
        progress(f"looking through {len(likely)} hours of posts")
        found = self._rows("explain/events", likely, wanted)
        if others and not any(row.is_record and row.operation != "delete" for row in found):
            progress(f"looking through {len(others)} hours before")
            found = [*self._rows("explain/events", others, wanted), *found]
        return found

    def account(self, did: str) -> list[Row]:
        """What is told of the status of an account."""
        return self._rows("explain/account_events", self.hours, {"did": did})

    def images_of(self, did: str) -> list[PostedImage]:
        """The images that an account posted, the latest first."""
        rows = self._ask("explain/account_images", self.hours, {"did": did})
        return [PostedImage(*row) for row in rows]

    def posted(self, blob_cid: str) -> Posted:
        """How often an image was posted."""
        rows = self._ask("explain/posts_of_image", self.hours, {"blob_cid": blob_cid})
        return Posted(*rows[0]) if rows else Posted(0, 0, None, None, None, None)

    def records_of_key(self, collection: str, rkey: str) -> list[str]:
        """AT URIs of records with this key, whoever wrote them; twenty at most."""
        wanted = {"collection": collection, "rkey": rkey}
        likely, others = self._split(rkey)
        found = self._ask("explain/records_of_key", likely, wanted)
        found = found or self._ask("explain/records_of_key", others, wanted)
        return [uri for (uri,) in found]

    def records_of_cid(self, cid: str) -> list[str]:
        """AT URIs of records with this CID; twenty at most."""
        return [uri for (uri,) in self._ask("explain/records_of_cid", self.hours, {"cid": cid})]

    def newest_event(self) -> datetime | None:
        """When the last event happened that is there."""
        rows = self._ask("explain/newest_event", self.hours[-1:], {})
        return rows[0][0] if rows else None

    def _split(self, rkey: str) -> tuple[Sequence[str], Sequence[str]]:
        """The hours that may have a record with this key, and those before that rather not do."""
        written = written_at(rkey, self._now)
        if written is None:
            return self.hours, ()
        first = hour_key(written - LOOK_BACK)
        likely = [key for key in self.hours if key >= first]
        return likely, self.hours[: len(self.hours) - len(likely)]

    def _rows(self, name: str, hours: Sequence[str], wanted: dict[str, str]) -> list[Row]:
        root = self._posts.root.parent
        rows = (Row(*row) for row in self._ask(name, hours, wanted))
        return [row._replace(filename=_within(root, row.filename)) for row in rows]

    # Files may go while we read: their hour was compacted. Then look again.
    @stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.05)
    def _ask(
        self, name: str, hours: Sequence[str], wanted: dict[str, str]
    ) -> list[tuple[Any, ...]]:
        files = self._posts.files(hours)
        if not files:
            return []
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _set_files(connection, files)
            return connection.execute(statement(name), wanted or None).fetchall()


def written_at(rkey: str, now: datetime) -> datetime | None:
    """The time in a record key, if it is a TID of a time that can be; clients may choose any."""
    microseconds = tid_microseconds(rkey)
    if microseconds is None:
        return None
    written = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return written if FIRST_HOUR <= written <= now + _FUTURE else None


def _set_files(connection: Connection, files: Sequence[Path]) -> None:
    connection.execute("SET VARIABLE explain_files = $1", [[str(path) for path in files]])


def _within(root: Path, filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(root)) if path.is_relative_to(root) else filename
