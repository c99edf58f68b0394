"""A network, its Jetstream hosts and a clock, in memory, to try the reading without sockets.

Time passes only while a connection delivers: what happens meanwhile arrives live.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from phash_dagster.jetstream.batch import Batch, BatchLimits
from phash_dagster.jetstream.connection import Ending, Take
from phash_dagster.jetstream.cursor import Cursor
from phash_dagster.jetstream.hosts import Endpoint
from phash_dagster.jetstream.reading import Reading, Surroundings
from phash_dagster.jetstream.wire import FIRST_TIME_CURSOR, RefusedError, Wire
from phash_dagster.jetstream.wire_v1 import WireV1
from phash_dagster.jetstream.wire_v2 import PATH, WireV2
from tests.jetstream.frames import (
    POSTS,
    TIME_US,
    as_v2,
    blob,
    commit,
    images_embed,
    info,
    post_record,
    tid,
)

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class FakeClock:
    """Our clock, which may be wrong, and the true time."""

    true_us: int = TIME_US
    wrong_by_us: int = 0

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.true_us + self.wrong_by_us)

    def monotonic(self) -> float:
        return self.true_us / SECOND


@dataclass(frozen=True)
class Happening:
    """A post with an image on the network, and when it truly happened."""

    name: str
    true_us: int


@dataclass
class FakeHost:
    """A Jetstream host.

    Attributes:
        happenings: The events of the network, oldest first.
        ahead_us: By how much its clock is ahead.
        late_us: How long after they happened it witnesses events.
        first_seq: Its first sequence number; None: it has none.
        v2: Whether it speaks the second wire.
        oldest_us: What happened before it no longer has.
        down: Whether it refuses to be reached.
        hangs: Whether it takes a connection and says nothing.
        repeats: Deliver every n-th event twice; 0: none.
        shuffled_us: Without sequence numbers, by how much delivery is out of order.
    """

    happenings: Sequence[Happening]
    ahead_us: int = 0
    late_us: int = 0
    first_seq: int | None = None
    v2: bool = False
    oldest_us: int = 0
    down: bool = False
    hangs: bool = False
    repeats: int = 0
    shuffled_us: int = 0
    asked: list[int | None] = field(default_factory=list)

    def time_of(self, number: int) -> int:
        time_us = self.happenings[number].true_us + self.late_us + self.ahead_us
        return time_us + (self.shuffled_us if number % 3 == 0 else 0)

    def seq_of(self, number: int) -> int | None:
        return None if self.first_seq is None else self.first_seq + number

    def frame(self, number: int) -> dict[str, Any]:
        happening = self.happenings[number]
        event = commit(
            post_record(images_embed(blob(f"bafkrei{happening.name}"))),
            rkey=happening.name,
            time_us=self.time_of(number),
            rev=tid(happening.true_us),
        )
        return event if self.first_seq is None else {**event, "cursor": self.seq_of(number)}


@dataclass
class FakeConnection:
    host: FakeHost
    clock: FakeClock
    wire: Wire
    start: int | None
    lacks_dictionary: bool = False

    async def deliver(self, take: Take, deadline: float) -> Ending:
        host = self.host
        opened_us = self.clock.true_us
        until_us = int(deadline * SECOND)
        notice, past, live_from_us = self._resolve(opened_us)
        if notice and not self._send(take, notice):
            return Ending("enough")
        live = [
            number
            for number, one in enumerate(host.happenings)
            if live_from_us < one.true_us + host.late_us <= until_us
        ]
        for number in [*past, *live]:
            witnessed_us = host.happenings[number].true_us + host.late_us
            self.clock.true_us = max(self.clock.true_us, witnessed_us)
            times = 2 if host.repeats and number % host.repeats == 0 else 1
            for _ in range(times):
                if not self._send(take, host.frame(number)):
                    return Ending("enough")
        self.clock.true_us = max(until_us, self.clock.true_us)
        return Ending("time")

    def _send(self, take: Take, frame: dict[str, Any]) -> bool:
        sent = as_v2(frame) if self.host.v2 and "$type" not in frame else frame
        return take(json.dumps(sent).encode(), False)

    def _resolve(self, opened_us: int) -> tuple[dict[str, Any] | None, list[int], int]:
        """What is said first, the events of the past, and from when on others are live."""
        host, start = self.host, self.start
        held = [
            number
            for number, one in enumerate(host.happenings)
            if one.true_us >= host.oldest_us and one.true_us + host.late_us <= opened_us
        ]
        if start is None:
            return None, [], opened_us
        if start >= FIRST_TIME_CURSOR:
            if start > opened_us + host.ahead_us:
                return None, [], opened_us
            past = [number for number in held if host.time_of(number) >= start]
            clamped = bool(held) and held[0] > 0 and start < host.time_of(held[0])
            notice = info("OutdatedCursor") if clamped and host.v2 else None
        else:
            assert host.first_seq is not None
            next_seq = host.first_seq + (held[-1] + 1 if held else 0)
            if start >= next_seq:
                return (info("FutureCursor") if host.v2 else None), [], opened_us
            past = [number for number in held if host.first_seq + number >= start]
            notice = None
        if host.first_seq is None:
            past.sort(key=host.time_of)
        return notice, past, opened_us

    async def close(self) -> None:
        """Nothing to do."""


@dataclass
class FakeDial:
    hosts: dict[str, FakeHost]
    clock: FakeClock

    async def __call__(
        self,
        endpoint: Endpoint,
        start: int | None,
        *,
        wanted: frozenset[str],
        seconds: float,
        plain: bool,
    ) -> FakeConnection:
        host = self.hosts[endpoint.host]
        host.asked.append(start)
        if host.hangs:
            self.clock.true_us += int(seconds * SECOND)
            raise RefusedError("it did not answer in time")
        if host.down:
            raise RefusedError("it is down")
        if host.v2 and start is not None and start < FIRST_TIME_CURSOR:
            floor = [
                host.seq_of(number)
                for number, one in enumerate(host.happenings)
                if one.true_us >= host.oldest_us
            ]
            if floor and floor[0] is not None and host.oldest_us and start < floor[0]:
                raise RefusedError("it answered HTTP 400 CursorTooOld", "CursorTooOld")
        wire: Wire = WireV2() if host.v2 else WireV1()
        return FakeConnection(host, self.clock, wire, start)


@dataclass
class FakeNetwork:
    """Hosts `a`, `b` and so on, and a reader of them."""

    hosts: dict[str, FakeHost]
    clock: FakeClock
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(9, 1000))
    wanted: frozenset[str] = POSTS
    chance: Callable[[], float] = lambda: 0.5

    @property
    def urls(self) -> list[str]:
        return [
            f"ws://{name}{PATH if host.v2 else '/subscribe'}" for name, host in self.hosts.items()
        ]

    def read(self, cursor: Cursor, limits: BatchLimits | None = None) -> Batch:
        around = Surroundings(
            FakeDial(self.hosts, self.clock), self.clock.now, self.chance, self.clock.monotonic
        )
        batch = Batch(cursor, cursor)
        asyncio.run(Reading(batch, self.urls, self.wanted, limits or self.limits, around).run())
        return batch


def every(seconds: float, count: int, since_us: int = TIME_US) -> list[Happening]:
    """Events at even intervals."""
    step = int(seconds * SECOND)
    return [Happening(f"r{number}", since_us + number * step) for number in range(count)]


def names(batch: Batch) -> list[str | None]:
    return [row.rkey for row in batch.rows]


HOUR = 3600 * SECOND


def network(clock: FakeClock, **hosts: FakeHost) -> FakeNetwork:
    """Hosts by name, read in batches of nine seconds and any number of rows."""
    return FakeNetwork(hosts, clock, BatchLimits(9, 10_000))


def numbered(count: int) -> list[str | None]:
    """The record keys of the first events of `every`."""
    return [f"r{number}" for number in range(count)]
