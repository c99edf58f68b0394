"""Reads one micro-batch from Jetstream: connect at the cursor, take events until time is up."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from phash_dagster.clock import Clock, utc_now
from phash_dagster.jetstream.batch import Batch, BatchLimits
from phash_dagster.jetstream.cursor import Cursor
from phash_dagster.jetstream.reading import Reading, Surroundings


def read_batch(
    urls: Sequence[str],
    cursor: Cursor,
    *,
    wanted: frozenset[str],
    limits: BatchLimits,
    dictionaries: Path,
    now: Clock = utc_now,
) -> Batch:
    """Read from the first host that serves us, starting with the one the cursor belongs to.

    Hosts that cannot be reached are no error: the batch then has no host and no rows, names them
    in `failures`, and its cursor remembers when to ask them again. A connection that breaks midway
    ends the batch early; what arrived is kept.

    Args:
        urls: Jetstream addresses, the preferred one first: `wss://host/subscribe` for version 1,
            `wss://host/xrpc/network.bsky.jetstream.subscribeEvents` for version 2.
        cursor: Where to start.
        wanted: Record collections to subscribe to.
        limits: When to stop.
        dictionaries: Folder where zstd dictionaries are kept.
        now: The clock; times of events beyond it are not believed.
    """
    # Imported here: every run of the pipeline imports this package, and only the sensor connects.
    from phash_dagster.jetstream.dictionaries import Dictionaries
    from phash_dagster.jetstream.websocket import WebSocketDial

    # Jitter protects hosts, no secrets.
    chance = random.random
    around = Surroundings(WebSocketDial(Dictionaries(dictionaries)), now, chance)
    batch = Batch(cursor, cursor)
    asyncio.run(Reading(batch, urls, wanted, limits, around).run())
    return batch
