"""What reading needs of a connection, so that it can be tried without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from phash_dagster.jetstream.hosts import Endpoint
from phash_dagster.jetstream.wire import Wire

Take = Callable[[bytes, bool], bool]
"""Takes a frame and whether it came as a binary message; returns whether more are wanted."""


@dataclass(frozen=True)
class Ending:
    """Why a connection delivers no more frames.

    Attributes:
        why: `time`: the deadline came; `enough`: no more were wanted; `broken`: it ended.
        reason: For `broken`: how, without the address.
        oversized: Whether it broke on a frame above `MAX_FRAME_BYTES`.
    """

    why: Literal["time", "enough", "broken"]
    reason: str = ""
    oversized: bool = False


class Connection(Protocol):
    """An open connection to a host."""

    @property
    def wire(self) -> Wire:
        """How to read its frames."""

    @property
    def lacks_dictionary(self) -> bool:
        """Whether compression was wanted, but the host's dictionary could not be had."""

    async def deliver(self, take: Take, deadline: float) -> Ending:
        """Hand over frames until no more are wanted, or the deadline on the event loop's clock."""

    async def close(self) -> None:
        """End it at once; frames that are under way are dropped."""


class Dial(Protocol):
    """Opens connections."""

    async def __call__(
        self,
        endpoint: Endpoint,
        start: int | None,
        *,
        wanted: frozenset[str],
        seconds: float,
        plain: bool,
    ) -> Connection:
        """Ask a host for events of `wanted` from `start` on; None is the live tip.

        Args:
            endpoint: The host.
            start: A sequence number or unix microseconds.
            wanted: Record collections.
            seconds: Time it may take.
            plain: Do without a zstd dictionary.

        Raises:
            RefusedError: There is no connection.
        """
