"""Fetches, decodes and hashes many images at once; every reference ends in one result."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from anyio import CapacityLimiter, to_thread
from PIL.Image import Image

from phash_dagster.hashing import HashAlgorithm, hasher_version
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.model import (
    FetchedImage,
    ImageHash,
    ImageReference,
    ImageRejected,
    ImageResult,
    ImageUnavailable,
    Outcome,
    excerpt,
)
from phash_dagster.images.turns import Slots, Turn

_logger = logging.getLogger(__name__)

_UNEXPECTED = "unexpected error with the image %s of %s; it waits"

_Fetch = Callable[[ImageReference, Turn], Awaitable[FetchedImage]]


class Fetcher(Protocol):
    """Gets the bytes of an image; `ImageFetcher` is the real one."""

    async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        """The bytes; raises `ImageRejected` or `ImageUnavailable` if they cannot be had."""

    async def fetch_original(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        """The bytes that the CID names, not those of the CDN; raises as `fetch` does."""


async def process_images(
    references: Iterable[ImageReference],
    fetcher: Fetcher,
    algorithms: Sequence[HashAlgorithm],
    limits: DecodeLimits,
    concurrency: int,
) -> AsyncGenerator[ImageResult, None]:
    """One result for each reference, in the order in which they get ready.

    At most `concurrency` images are worked on at a time, from the first request to the last hash,
    and at most one is decoded per processor; images that wait for the host of a stranger come on
    top, in bounded number (see `turns`). Memory is bounded however many references there are, and
    they are taken from the iterable only as slots get free. No image makes this raise: an
    unexpected error is logged with its traceback, and that image waits.

    Raises:
        ValueError: `concurrency` is below 1.
    """
    happened = asyncio.Event()
    slots = Slots(concurrency, on_release=happened.set)
    processor = _Processor(fetcher, tuple(algorithms), limits, CapacityLimiter(os.cpu_count() or 1))
    remaining = iter(references)
    under_way: set[asyncio.Task[ImageResult]] = set()

    async def process(reference: ImageReference, turn: Turn) -> ImageResult:
        try:
            return await processor.result(reference, turn)
        finally:
            slots.end(turn)
            happened.set()

    try:
        while True:
            while slots.free and (reference := next(remaining, None)):
                turn = await slots.begin()
                under_way.add(asyncio.create_task(process(reference, turn)))
            if not under_way:
                return
            await happened.wait()
            happened.clear()
            done = {task for task in under_way if task.done()}
            under_way -= done
            for task in done:
                yield task.result()
    finally:
        await _cancel(under_way)


async def _cancel(tasks: Iterable[asyncio.Task[ImageResult]]) -> None:
    """End what is left when the caller stops early or is cancelled."""
    pending = [task for task in tasks if task.cancel()]
    await asyncio.gather(*pending, return_exceptions=True)


@dataclass(frozen=True)
class _Processor:
    """Takes one image from reference to result."""

    fetcher: Fetcher
    algorithms: tuple[HashAlgorithm, ...]
    limits: DecodeLimits
    threads: CapacityLimiter

    async def result(self, reference: ImageReference, turn: Turn) -> ImageResult:
        """What became of the image. Never raises, except when cancelled.

        Bytes of the CDN are not checked against the CID. If they do not decode, that says
        nothing about the image yet: the original decides.
        """
        result = await self._attempt(self.fetcher.fetch, reference, turn)
        if result.source != "cdn" or result.outcome in (Outcome.hashed, Outcome.waiting):
            return result
        original = await self._attempt(self.fetcher.fetch_original, reference, turn)
        if original.outcome is Outcome.hashed:
            return original
        return replace(
            original,
            reason=f"from the CDN: {result.reason}; the original: {original.reason}",
            source=original.source or result.source,
            rendition=original.rendition or result.rendition,
        )

    async def _attempt(self, fetch: _Fetch, reference: ImageReference, turn: Turn) -> ImageResult:
        started = ImageResult(reference, Outcome.waiting)
        try:
            image = await fetch(reference, turn)
            started = replace(started, source=image.source, rendition=image.rendition)
            return await to_thread.run_sync(self._hashed, started, image.data, limiter=self.threads)
        except ImageRejected as rejected:
            return replace(started, outcome=rejected.outcome, reason=rejected.reason)
        except ImageUnavailable as failure:
            return replace(
                started,
                reason=failure.reason,
                not_before=failure.not_before,
                excused=failure.excused,
            )
        except Exception as error:
            _logger.exception(_UNEXPECTED, *_named(reference))
            return replace(started, reason=_unexpected(error))

    def _hashed(self, started: ImageResult, data: bytes) -> ImageResult:
        """The hashes that the image lacks. One that fails takes none of the others away."""
        decoded = decode(data, self.limits)
        missing = started.reference.missing
        hashes, failures = [], []
        for algorithm in self.algorithms:
            if missing is not None and algorithm.name not in missing:
                continue
            try:
                hashes.append(_hash(algorithm, decoded.image))
            except Exception as error:
                _logger.exception(_UNEXPECTED, *_named(started.reference))
                failures.append(f"{algorithm.name}: {_unexpected(error)}")
        return replace(
            started,
            outcome=Outcome.waiting if failures else Outcome.hashed,
            reason="; ".join(failures) or None,
            width=decoded.width,
            height=decoded.height,
            format=decoded.format,
            hashes=tuple(hashes),
        )


def _hash(algorithm: HashAlgorithm, pixels: Image) -> ImageHash:
    found = algorithm.hash(pixels)
    return ImageHash(
        algorithm.name, found.value, found.quality, hasher_version(algorithm), algorithm.bits
    )


def _named(reference: ImageReference) -> tuple[str, str]:
    return excerpt(reference.blob_cid), excerpt(reference.did)


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__}, see the log: {excerpt(str(error), 200)}"
