"""Hashes whatever a person names: files, folders, URLs and records; on all processors."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from phash_dagster.images.files import (
    STANDARD_INPUT,
    HashResult,
    ImageHasher,
    UnhashedImage,
    files_below,
)
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from phash_dagster.images.remote import RemoteImages

_AHEAD_PER_WORKER: Final = 8
"""Sources begun before the first of them is handed on: they bound memory and open requests."""


@dataclass(frozen=True)
class Source:
    """A path, URL or AT URI. `found` in a folder: passed over if it is no image."""

    name: str
    found: bool = False


def expand(names: Iterable[str]) -> list[Source | UnhashedImage]:
    """The sources that these names stand for: a folder for all files in it, however deep."""
    expanded: list[Source | UnhashedImage] = []
    for name in names:
        if _is_folder(name):
            expanded += (
                Source(path, found=True) if isinstance(path, str) else path
                for path in files_below(name)
            )
        else:
            expanded.append(Source(name))
    return expanded


def _is_folder(name: str) -> bool:
    try:
        return name != STANDARD_INPUT and Path(name).is_dir()
    except (OSError, ValueError):  # too long, or a null byte; reading it says so
        return False


class SourceHasher:
    """Hashes sources, several at once. A context manager: it keeps threads and connections.

    The settings are read, and connections opened, when the first remote source comes.
    """

    def __init__(
        self, hasher: ImageHasher, settings: Callable[[], Settings], stdin: BinaryIO
    ) -> None:
        self._hasher = hasher
        self._settings = settings
        self._stdin = stdin
        self._workers = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, "hash")
        self._stack = ExitStack()
        self._opened: tuple[BlockingPortal, RemoteImages] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stack.__exit__(kind, error, traceback)

    def results(
        self, sources: Iterable[Source | UnhashedImage]
    ) -> Iterator[tuple[HashResult, ...]]:
        """The results of each source, in order: none for a file passed over, several for a record.

        What cannot be hashed is a result: this raises for no source.
        """
        begun: deque[Future[tuple[HashResult, ...]]] = deque()
        for source in sources:
            if len(begun) >= self._workers * _AHEAD_PER_WORKER:
                yield begun.popleft().result()
            begun.append(self._begin(source))
        while begun:
            yield begun.popleft().result()

    def _begin(self, source: Source | UnhashedImage) -> Future[tuple[HashResult, ...]]:
        if isinstance(source, UnhashedImage):
            return self._pool.submit(_only, source)
        if "://" not in source.name:
            return self._pool.submit(self._hash_file, source)
        from phash_dagster.images.remote import is_at_uri, is_url

        if is_at_uri(source.name):
            portal, remote = self._remote()
            return portal.start_task_soon(remote.hash_record, source.name, self._hasher)
        if is_url(source.name):
            portal, remote = self._remote()
            return portal.start_task_soon(remote.hash_url, source.name, self._hasher)
        return self._pool.submit(self._hash_file, source)

    def _hash_file(self, source: Source) -> tuple[HashResult, ...]:
        if not source.found:
            return (self._hasher.hash_path(source.name, self._stdin),)
        result = self._hasher.hash_if_image(source.name)
        return () if result is None else (result,)

    def _remote(self) -> "tuple[BlockingPortal, RemoteImages]":
        """An event loop in a thread of its own, with connections."""
        if self._opened is None:
            # Imported here: files need no HTTP.
            from anyio.from_thread import start_blocking_portal

            from phash_dagster.images.remote import open_remote

            settings = self._settings()
            portal = self._stack.enter_context(start_blocking_portal())
            remote = self._stack.enter_context(
                portal.wrap_async_context_manager(open_remote(settings))
            )
            self._opened = portal, remote
        return self._opened


def _only(result: HashResult) -> tuple[HashResult, ...]:
    return (result,)


def hash_all(
    names: Sequence[str], hasher: ImageHasher, settings: Callable[[], Settings], stdin: BinaryIO
) -> list[tuple[HashResult, ...]]:
    """The results of each name, a folder's in one; for a few names."""
    with SourceHasher(hasher, settings, stdin) as sources:
        return [
            tuple(result for each in sources.results(expand([name])) for result in each)
            for name in names
        ]
