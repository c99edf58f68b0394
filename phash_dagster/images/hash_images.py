"""Fetches and hashes what some hours hold and records what became of each image."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from phash_dagster.clock import Clock
from phash_dagster.hashing import HashAlgorithm
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.fetch import open_fetcher
from phash_dagster.images.model import ImageReference, ImageResult
from phash_dagster.images.process import process_images
from phash_dagster.images.store import pending_images, save_results
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse

SAVE_EVERY = 200
"""Images per transaction: few enough that a crash repeats little, and each write stays short."""

MAX_ROUNDS = 5
"""How many authors of the same image one run asks for it. The next run asks further ones."""


def hash_hours(
    hours: Sequence[str],
    algorithm: HashAlgorithm,
    *,
    settings: Settings,
    warehouse: Warehouse,
    posts: ImagePosts,
    clock: Clock,
) -> Counter[str]:
    """Fetch and hash every image of these hours that needs it; return the outcomes by name.

    Results are saved as they come; no database connection is held while images are fetched. An
    image that could not be had with one author is asked for with the next at once: there may be
    no later run over this hour. Each author is asked once a run at most.
    """
    outcomes: Counter[str] = Counter()
    asked: set[tuple[str, str]] = set()
    for _ in range(MAX_ROUNDS):
        with warehouse.read() as connection:
            posts.attach(connection, hours)
            pending = pending_images(connection, algorithm=algorithm.name, now=clock())
        # A host's clock ahead of ours makes an image look as if it was posted after its attempt.
        references = [image for image in pending if (image.blob_cid, image.did) not in asked]
        if not references:
            break
        asked.update((image.blob_cid, image.did) for image in references)
        outcomes += asyncio.run(_hash_images(references, [algorithm], settings, warehouse, clock))
    return outcomes


async def _hash_images(
    references: Sequence[ImageReference],
    algorithms: Sequence[HashAlgorithm],
    settings: Settings,
    warehouse: Warehouse,
    clock: Clock,
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    waiting_to_save: list[ImageResult] = []

    def save() -> None:
        if not waiting_to_save:
            return
        with warehouse.write() as connection:
            save_results(connection, waiting_to_save, now=clock())
        outcomes.update(result.outcome.value for result in waiting_to_save)
        waiting_to_save.clear()

    async with open_fetcher(settings, clock=clock) as fetcher:
        async for result in process_images(
            references,
            fetcher,
            algorithms,
            limits=DecodeLimits(
                max_pixels=settings.max_image_pixels, max_bytes=settings.max_blob_bytes
            ),
            concurrency=settings.processing_concurrency,
        ):
            waiting_to_save.append(result)
            if len(waiting_to_save) >= SAVE_EVERY:
                await asyncio.to_thread(save)
        await asyncio.to_thread(save)
    return outcomes
