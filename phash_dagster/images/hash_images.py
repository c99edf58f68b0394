"""Fetches and hashes what some hours hold and records what became of each image."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

from anyio import to_thread

from phash_dagster.circuit import Circuit
from phash_dagster.clock import Clock
from phash_dagster.hashing import HashAlgorithm, get_algorithm
from phash_dagster.images.breaker import BreakerEvents, CircuitBreakers
from phash_dagster.images.counts import count_references, count_results, image_references
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.fetch import open_fetcher
from phash_dagster.images.host_state import (
    FoundEndpoint,
    RememberedEndpoints,
    load_breakers,
    load_endpoints,
    save_circuits,
    save_endpoints,
)
from phash_dagster.images.model import ImageReference, ImageResult
from phash_dagster.images.process import process_images
from phash_dagster.images.store import pending_images, rule_algorithms, save_results
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.totals import HourCounts, grown

SAVE_EVERY = 200
"""Images per transaction: few enough that a crash repeats little, and each write stays short."""

SAVE_AFTER_SECONDS = 1.0
"""Seconds after which a result is written although its batch is not full: what is hashed shall not
wait for images whose hosts are slow."""

MAX_ROUNDS = 5
"""How many authors of the same image one run asks for it. The next run asks further ones."""


def wanted_algorithms(settings: Settings, warehouse: Warehouse) -> list[HashAlgorithm]:
    """The algorithms of `HASH_ALGORITHMS`, and those that the rules in force need.

    Raises:
        ValueError: An algorithm is not known here; names who wants it and the known ones.
    """
    with warehouse.read() as connection:
        in_rules = rule_algorithms(connection)
    wanted = dict.fromkeys(settings.hash_algorithms, "HASH_ALGORITHMS")
    for name in in_rules:
        wanted.setdefault(name, "the rules in force")
    return [_algorithm(name, wanted_by) for name, wanted_by in wanted.items()]


def _algorithm(name: str, wanted_by: str) -> HashAlgorithm:
    try:
        return get_algorithm(name)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{wanted_by}: {error}") from error


def hash_hours(
    hours: Sequence[str],
    algorithms: Sequence[HashAlgorithm],
    *,
    settings: Settings,
    warehouse: Warehouse,
    posts: ImagePosts,
    clock: Clock,
    retry_given_up: bool = False,
) -> Counter[str]:
    """Fetch and hash every image of these hours that lacks a hash; return the outcomes by name.

    An image is fetched once for all the algorithms that it lacks. Results are saved as they come;
    no database connection is held while images are fetched. An image that could not be had with
    one author is asked for with the next at once: there may be no later run over this hour. Each
    author is asked once a run at most. `retry_given_up` also tries the images that were given up.
    """
    endpoints = RememberedEndpoints(clock, timedelta(hours=settings.identity_cache_hours))
    with warehouse.read() as connection:
        breakers = load_breakers(connection, clock)
    work = _Work(algorithms, settings, warehouse, clock, breakers, endpoints)
    asked: set[tuple[str, str]] = set()
    to_count: HourCounts = {}
    for number in range(MAX_ROUNDS):
        with warehouse.read() as connection:
            posts.attach(connection, hours)
            if number == 0:
                references_seen = image_references(connection)
                to_count = references_seen if grown(connection, references_seen) else {}
            pending = pending_images(
                connection,
                algorithms=[algorithm.name for algorithm in algorithms],
                now=clock(),
                retry_given_up=retry_given_up,
            )
            # A clock of a host ahead of ours makes an image look posted after its attempt.
            references = [image for image in pending if (image.blob_cid, image.did) not in asked]
            if not references:
                break
            load_endpoints(connection, endpoints, (image.did for image in references), clock())
        asked.update((image.blob_cid, image.did) for image in references)
        asyncio.run(_hash_images(references, work))
    if to_count:
        with warehouse.write() as connection:
            count_references(connection, to_count)
    return work.outcomes


@dataclass(frozen=True)
class _Learned:
    """What was learned beside a batch."""

    circuits: Mapping[str, Circuit]
    endpoints: Sequence[FoundEndpoint]
    events: BreakerEvents


@dataclass
class _Work:
    """What a run works with, and what it has recorded."""

    algorithms: Sequence[HashAlgorithm]
    settings: Settings
    warehouse: Warehouse
    clock: Clock
    breakers: CircuitBreakers
    endpoints: RememberedEndpoints
    outcomes: Counter[str] = field(default_factory=Counter)

    async def save(self, results: Sequence[ImageResult]) -> None:
        """Record a batch, and what was learned beside it, in one short transaction."""
        # Taken here, in the event loop; the thread must not touch what the loop goes on changing.
        learned = _Learned(
            self.breakers.take_changes(), self.endpoints.take_found(), self.breakers.take_events()
        )
        # Not in the threads of the event loop, where slow name servers can hold all of them.
        await to_thread.run_sync(self._write, results, learned)
        self.outcomes.update(result.outcome.value for result in results)

    def _write(self, results: Sequence[ImageResult], learned: _Learned) -> None:
        now, lifetime = self.clock(), self.endpoints.lifetime
        with self.warehouse.write() as connection:
            save_results(connection, results, now=now)
            save_circuits(connection, learned.circuits, now)
            save_endpoints(connection, learned.endpoints, lifetime=lifetime, now=now)
            count_results(connection, results, learned.events)


async def _hash_images(references: Sequence[ImageReference], work: _Work) -> None:
    settings = work.settings
    limits = DecodeLimits(max_pixels=settings.max_image_pixels, max_bytes=settings.max_blob_bytes)
    saving: asyncio.Task[None] | None = None
    async with (
        open_fetcher(
            settings, clock=work.clock, cache=work.endpoints, breakers=work.breakers
        ) as fetcher,
        aclosing(
            process_images(
                references, fetcher, work.algorithms, limits, settings.processing_concurrency
            )
        ) as results,
        # Closed before what it reads from, so that an error in saving is the one that is raised.
        aclosing(_batches(results)) as batches,
    ):
        # One batch is written while the next is made.
        async for batch in batches:
            if saving:
                await saving
            saving = asyncio.create_task(work.save(batch))
        if saving:
            await saving


async def _batches(
    results: AsyncGenerator[ImageResult, None],
) -> AsyncGenerator[list[ImageResult], None]:
    """The results in batches, each handed on when it is full or `SAVE_AFTER_SECONDS` old."""
    loop = asyncio.get_running_loop()
    batch: list[ImageResult] = []
    due = 0.0
    upcoming: asyncio.Future[ImageResult | None] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(results, None))
            await asyncio.wait({upcoming}, timeout=due - loop.time() if batch else None)
            if upcoming.done():
                result, upcoming = upcoming.result(), None
                if result is None:
                    break
                due = due if batch else loop.time() + SAVE_AFTER_SECONDS
                batch.append(result)
            if len(batch) >= SAVE_EVERY or loop.time() >= due:
                yield batch
                batch = []
    finally:
        if upcoming:
            upcoming.cancel()
            await asyncio.wait({upcoming})
    if batch:
        yield batch
