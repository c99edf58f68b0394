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

_logger = logging.getLogger(__name__)

_Fetch = Callable[[ImageReference], Awaitable[FetchedImage]]


class Fetcher(Protocol):
    """Gets the bytes of an image; `ImageFetcher` is the real one."""

    async def fetch(self, reference: ImageReference) -> FetchedImage:
        """The bytes; raises `ImageRejected` or `ImageUnavailable` if they cannot be had."""

    async def fetch_original(self, reference: ImageReference) -> FetchedImage:
        """The bytes that the CID names, not those of the CDN; raises as `fetch` does."""


async def process_images(
    references: Iterable[ImageReference],
    fetcher: Fetcher,
    algorithms: Sequence[HashAlgorithm],
    limits: DecodeLimits,
    concurrency: int,
) -> AsyncGenerator[ImageResult, None]:
    """One result for each reference, in the order in which they get ready.

    At most `concurrency` images are under way at a time, from the first request to the last hash,
    and at most one is decoded per processor: memory is bounded however many references there are,
    and they are taken from the iterable only as slots get free. No image makes this raise: an
    unexpected error is logged with its traceback, and that image waits.

    Raises:
        ValueError: `concurrency` is below 1.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    processor = _Processor(fetcher, tuple(algorithms), limits, CapacityLimiter(os.cpu_count() or 1))
    remaining = iter(references)
    under_way: set[asyncio.Task[ImageResult]] = set()
    try:
        while True:
            while len(under_way) < concurrency and (reference := next(remaining, None)):
                under_way.add(asyncio.create_task(processor.result(reference)))
            if not under_way:
                return
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
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

    async def result(self, reference: ImageReference) -> ImageResult:
        """What became of the image. Never raises, except when cancelled.

        Bytes of the CDN are not checked against the CID. If they do not decode, that says
        nothing about the image yet: the original decides.
        """
        result = await self._attempt(self.fetcher.fetch, reference)
        if result.source != "cdn" or result.outcome in (Outcome.hashed, Outcome.waiting):
            return result
        original = await self._attempt(self.fetcher.fetch_original, reference)
        if original.outcome is Outcome.hashed:
            return original
        reason = f"from the CDN: {result.reason}; the original: {original.reason}"
        return replace(original, reason=reason, source=original.source or result.source)

    async def _attempt(self, fetch: _Fetch, reference: ImageReference) -> ImageResult:
        source = None
        try:
            image = await fetch(reference)
            source = image.source
            return await to_thread.run_sync(self._hashed, reference, image, limiter=self.threads)
        except ImageRejected as rejected:
            return ImageResult(reference, rejected.outcome, rejected.reason, source)
        except ImageUnavailable as failure:
            return ImageResult(reference, Outcome.waiting, failure.reason, source)
        except Exception as error:
            cid, did = excerpt(reference.blob_cid), excerpt(reference.did)
            _logger.exception("unexpected error with the image %s of %s; it waits", cid, did)
            reason = f"unexpected {type(error).__name__}, see the log: {excerpt(str(error), 200)}"
            return ImageResult(reference, Outcome.waiting, reason, source)

    def _hashed(self, reference: ImageReference, image: FetchedImage) -> ImageResult:
        decoded = decode(image.data, self.limits)
        return ImageResult(
            reference,
            Outcome.hashed,
            source=image.source,
            width=decoded.width,
            height=decoded.height,
            format=decoded.format,
            hashes=tuple(_hash(algorithm, decoded.image) for algorithm in self.algorithms),
        )


def _hash(algorithm: HashAlgorithm, pixels: Image) -> ImageHash:
    found = algorithm.hash(pixels)
    return ImageHash(algorithm.name, found.value, found.quality, hasher_version(algorithm))
