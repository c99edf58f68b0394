"""Who may work when: slots for images, room at the hosts of strangers.

A fixed number of images is worked on at a time. An image that has to wait for a stranger's host
parks: it gives its slot to another one meanwhile, so that a slow host holds up its own images only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

PARKED_PER_SLOT: Final = 8
"""Images that may be parked for each slot; beyond that no further image is begun. They hold no
bytes, a few kilobytes of memory each."""


class Turn:
    """One image's permission to be worked on. Use it in one task only.

    Without `slots` (a single image, outside of a batch) there is nothing to wait for.
    """

    def __init__(self, slots: "Slots | None" = None) -> None:
        self._slots = slots
        self._holds = slots is not None
        self._deadline: float | None = None

    def deadline(self, seconds: float) -> float:
        """The event loop's time at which the image's network time is up.

        It runs from the first call, over all requests for the image together.
        """
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + seconds
        return self._deadline

    def give(self) -> None:
        """Let another image have the slot."""
        if self._slots and self._holds:
            self._holds = False
            self._slots.release()

    async def take(self) -> None:
        """Have a slot again; waits for one."""
        if self._slots and not self._holds:
            await self._slots.acquire()
            self._holds = True

    @asynccontextmanager
    async def parked(self) -> AsyncIterator[None]:
        """Give the slot away; on leaving, have one again."""
        self.give()
        try:
            yield
        finally:
            await self.take()


class Slots:
    """The slots of one batch of images; `on_release` is called when one gets free.

    Raises:
        ValueError: `number` is below 1.
    """

    def __init__(self, number: int, on_release: Callable[[], None]) -> None:
        if number < 1:
            raise ValueError(f"concurrency must be at least 1, not {number}")
        self._working = asyncio.Semaphore(number)
        self._most = number * (1 + PARKED_PER_SLOT)
        self._begun = 0
        self._on_release = on_release

    @property
    def free(self) -> bool:
        """Whether another image can be begun at once."""
        return self._begun < self._most and not self._working.locked()

    async def begin(self) -> Turn:
        """A turn for one more image; end it with `end`."""
        await self._working.acquire()
        self._begun += 1
        return Turn(self)

    def end(self, turn: Turn) -> None:
        """The image is done with."""
        self._begun -= 1
        turn.give()

    async def acquire(self) -> None:
        """For `Turn`: take a slot."""
        await self._working.acquire()

    def release(self) -> None:
        """For `Turn`: give a slot back."""
        self._working.release()
        self._on_release()


class StrangersRoom:
    """How many requests to hosts of strangers may be under way: in all, and to one host."""

    def __init__(self, *, in_all: int, per_host: int) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._per_host = per_host
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def at(self, name: str, turn: Turn) -> AsyncIterator[None]:
        """Wait, parked, for room at a host; inside, the turn holds its slot and the room."""
        host = self._hosts.setdefault(name, asyncio.Semaphore(self._per_host))
        turn.give()
        async with host, self._in_all:
            await turn.take()
            yield
