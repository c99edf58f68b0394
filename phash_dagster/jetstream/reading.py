"""Reads one micro-batch: which host, from where, and what to make of how it went."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from phash_dagster.clock import Clock
from phash_dagster.jetstream import hosts
from phash_dagster.jetstream.batch import Batch, BatchLimits
from phash_dagster.jetstream.connection import Connection, Dial, Ending
from phash_dagster.jetstream.cursor import HostState
from phash_dagster.jetstream.events import Event, MalformedFrameError, Source
from phash_dagster.jetstream.hosts import Endpoint
from phash_dagster.jetstream.start import Start, certain_start, first_start
from phash_dagster.jetstream.visit import Order, Visit
from phash_dagster.jetstream.wire import FrameTooLargeError, RefusedError, Wire

OPEN_TIMEOUT_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 20.0
"""What trying all hosts may take together; of many hosts each is given less time to open."""

FAR_BEHIND_US: Final = 60_000_000
"""Microseconds behind our clock from which the host's live tip is asked for."""

TIP_SECONDS: Final = 2.0
LIVE_US: Final = 5_000_000
"""Microseconds behind our clock up to which an event counts as live."""

NO_DICTIONARY_US: Final = 3_600_000_000
"""Microseconds before a dictionary that could not be had is asked for again."""

_STARTS: Final = 4
"""Starts tried on one host in a batch; the last one is taken as it comes."""


@dataclass(frozen=True)
class Surroundings:
    """What reading depends on besides its input.

    Attributes:
        dial: Opens connections.
        now: Our clock.
        chance: Random numbers from 0 to 1, for the jitter of the backoff.
        monotonic: The event loop's clock, seconds.
    """

    dial: Dial
    now: Clock
    chance: Callable[[], float]
    monotonic: Callable[[], float] = time.monotonic

    def now_us(self) -> int:
        """Our clock, microseconds since 1970."""
        return int(self.now().timestamp() * 1_000_000)


class Reading:
    """One micro-batch being read."""

    def __init__(
        self,
        batch: Batch,
        urls: Sequence[str],
        wanted: frozenset[str],
        limits: BatchLimits,
        around: Surroundings,
    ) -> None:
        self._batch = batch
        self._urls = urls
        self._wanted = wanted
        self._limits = limits
        self._around = around
        self._states = hosts.remembered(batch.start.hosts, urls)
        self._subscribed = tuple(sorted(wanted))
        # What is asked for in addition does not hide the event at the position.
        self._comparable = set(batch.start.subscribed) <= wanted
        self._give_up = around.monotonic() + CONNECT_SECONDS
        self._deadline: float | None = None
        self._silent_us = batch.start.silent_us

    async def run(self) -> None:
        """Read from the first host that serves us, into the batch.

        Nothing is returned: `asyncio.run` writes out the result of its task, every row of it,
        for an error message that nobody sees (`signal.getsignal` in Python 3.11).
        """
        batch, around = self._batch, self._around
        batch.started_us = around.now_us()
        asked = hosts.in_turn(self._urls, batch.start.host)
        awake = hosts.to_ask(asked, self._states, batch.started_us)
        for endpoint in awake:
            if self._out_of_time() or await self._read(endpoint, len(awake)):
                break
        if not awake:
            batch.failures = [
                hosts.failure(endpoint.host, self._states[endpoint.host]) for endpoint in asked
            ]
        batch.ended_us = around.now_us()
        self._finish()

    def _out_of_time(self) -> bool:
        now = self._around.monotonic()
        return now >= (self._give_up if self._deadline is None else self._deadline)

    async def _read(self, endpoint: Endpoint, of: int) -> bool:
        """Read from one host; returns whether it served us."""
        start = first_start(
            self._batch.start,
            endpoint.host,
            comparable=self._comparable,
            now_us=self._around.now_us(),
        )
        for attempt in range(1, _STARTS + 1):
            try:
                connection = await self._open(endpoint, start.at, OPEN_TIMEOUT_SECONDS, of)
            except RefusedError as error:
                again = self._after_refusal(error, start)
                if again is None:
                    self._fail(endpoint.host, error.reason)
                    return False
                start = again
                continue
            self._batch.host = endpoint.host
            order = Order(
                endpoint.host,
                start,
                self._wanted,
                self._comparable,
                self._limits.max_rows,
                final=attempt == _STARTS,
            )
            visit, ending = await self._visit(connection, endpoint, order)
            if visit.another is None:
                return self._judge(visit, ending)
            start = visit.another
        self._fail(endpoint.host, "it refused every position")
        return False

    def _after_refusal(self, error: RefusedError, start: Start) -> Start | None:
        if error.name != "CursorTooOld" or not start.same_host or start.reason:
            return None
        return certain_start(
            self._batch.start,
            same_host=True,
            comparable=self._comparable,
            now_us=self._around.now_us(),
            reason=error.name,
        )

    async def _open(
        self, endpoint: Endpoint, start: int | None, seconds: float, of: int
    ) -> Connection:
        now_us = self._around.now_us()
        state = self._states.get(endpoint.host, HostState())
        connection = await self._around.dial(
            endpoint,
            start,
            wanted=self._wanted,
            seconds=min(seconds, CONNECT_SECONDS / of),
            plain=now_us < state.no_dictionary_until_us <= now_us + NO_DICTIONARY_US,
        )
        if connection.lacks_dictionary:
            self._do_without_dictionary(endpoint.host)
        return connection

    def _do_without_dictionary(self, host: str) -> None:
        """Read a host uncompressed for a while.

        Also where no frame could be read: its dictionary may have another content by now under
        the same number.
        """
        state = self._states.get(host, HostState())
        until_us = self._around.now_us() + NO_DICTIONARY_US
        self._states[host] = replace(state, no_dictionary_until_us=until_us)

    async def _visit(
        self, connection: Connection, endpoint: Endpoint, order: Order
    ) -> tuple[Visit, Ending]:
        around = self._around
        # Only now: hosts that hang must not use up the time to read from the one that answers.
        if self._deadline is None:
            self._deadline = around.monotonic() + self._limits.seconds
        visit = Visit(
            self._batch,
            order,
            connection.wire,
            now_us=around.now_us,
            monotonic=around.monotonic,
        )
        began = around.monotonic()
        try:
            if self._batch.tip_seq is None and self._is_far_behind(connection.wire):
                await self._ask_tip(endpoint)
            ending = await connection.deliver(visit.take, self._deadline)
        finally:
            await connection.close()
        visit.end(ending)
        if visit.unreadable:
            self._do_without_dictionary(endpoint.host)
        self._listened(visit, around.monotonic() - began)
        return visit, ending

    def _is_far_behind(self, wire: Wire) -> bool:
        cursor = self._batch.start
        numbered = wire.always_numbered or cursor.seq is not None
        behind_us = self._batch.started_us - cursor.time_us
        return bool(cursor.host) and numbered and behind_us > FAR_BEHIND_US

    async def _ask_tip(self, endpoint: Endpoint) -> None:
        """Ask for the sequence number at the live tip; nobody depends on the answer."""
        batch, around = self._batch, self._around
        batch.tip_seq = -1  # asked; at most once a batch
        seconds = min(TIP_SECONDS, self._limits.seconds / 2)
        deadline = around.monotonic() + seconds
        try:
            connection = await self._open(endpoint, None, seconds, 1)
        except RefusedError:
            return  # a figure for people is missing, which they see
        decode = connection.wire.decoder(Source(endpoint.host, self._wanted))

        def take(frame: bytes, binary: bool) -> bool:
            try:
                event = decode(frame, binary)
            except (MalformedFrameError, FrameTooLargeError):
                return True  # the next one may do
            if isinstance(event, Event) and event.seq is not None:
                batch.tip_seq = event.seq
                return False
            return True

        try:
            await connection.deliver(take, deadline)
        finally:
            await connection.close()

    def _listened(self, visit: Visit, seconds: float) -> None:
        if visit.last_event is None:
            self._silent_us += int(seconds * 1_000_000)
        else:
            since = self._around.monotonic() - visit.last_event
            self._silent_us = int(since * 1_000_000)

    def _judge(self, visit: Visit, ending: Ending) -> bool:
        batch, around, host = self._batch, self._around, visit.position.host
        if visit.last_event is not None:
            since_us = int((around.monotonic() - visit.last_event) * 1_000_000)
            batch.cursor = visit.position.cursor(around.now_us() - since_us)
        if visit.position.newest_us >= 0:
            batch.newest_us = visit.position.newest_us
        failed = ending.why == "broken" or bool(visit.broken)
        if failed and visit.last_event is None:
            self._fail(host, ending.reason or f"it ended the stream: {visit.broken}")
            return False
        self._forgive(host)
        quiet = around.monotonic() - visit.last_frame >= min(1.0, self._limits.seconds / 2)
        live = batch.newest_us is not None and around.now_us() - batch.newest_us <= LIVE_US
        batch.caught_up = ending.why == "time" and (quiet or live)
        if self._silent_us >= hosts.SILENCE_US and len(hosts.in_turn(self._urls, "")) > 1:
            state = hosts.after_silence(self._states.get(host), now_us=around.now_us())
            self._leave(host, state)
            self._silent_us = 0
        return True

    def _fail(self, host: str, reason: str) -> None:
        around = self._around
        state = hosts.after_failure(
            self._states.get(host), reason, now_us=around.now_us(), chance=around.chance()
        )
        self._leave(host, state)
        batch = self._batch
        if not (batch.events or batch.malformed):
            batch.host = ""  # reached, perhaps, but nothing came of it

    def _leave(self, host: str, state: HostState) -> None:
        self._states[host] = state
        self._batch.failures.append(hosts.failure(host, state))

    def _forgive(self, host: str) -> None:
        state = self._states.pop(host, HostState())
        if state.no_dictionary_until_us:
            self._states[host] = HostState(no_dictionary_until_us=state.no_dictionary_until_us)

    def _finish(self) -> None:
        batch = self._batch
        if batch.tip_seq == -1:
            batch.tip_seq = None
        moved = batch.cursor is not batch.start
        batch.cursor = replace(
            batch.cursor,
            batch=batch.start.batch + batch.has_record,
            subscribed=self._subscribed if moved else batch.start.subscribed,
            silent_us=self._silent_us,
            hosts=self._states,
        )
