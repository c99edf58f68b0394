"""Makes requests to Ozone one after the other, at the pace that is allowed."""

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.emit_options import EmitOptions, Pacing
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneRefusedError, OzoneUnavailableError
from phash_dagster.moderation.rate_limit import RateLimit

_T = TypeVar("_T")


class EventSender(Protocol):
    """What emitting needs of `OzoneClient`; every method raises an `OzoneError`."""

    @property
    def service(self) -> str:
        """Names the Ozone, and the way to it."""

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server last said of how many requests it still takes."""

    def emit(self, action: Action) -> EmitResult:
        """Send one event."""

    def find_event(self, action: Action) -> int | None:
        """Ozone's id of the event that this action sent, or None."""

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        """The labels on these subjects, those that were taken back included."""

    def whose_too(self, action: Action) -> str | None:
        """Who else put what an action takes back; None if nobody did."""


class Sender:
    """One request at a time; waits before it, and before it is made again."""

    def __init__(self, ozone: EventSender, options: EmitOptions, pacing: Pacing) -> None:
        self._ozone = ozone
        self._options = options
        self._pacing = pacing
        self._next_start = pacing.monotonic()

    def send(self, action: Action, *, attempts: int) -> EmitResult:
        """Send one event, at most so many times.

        Raises:
            OzoneError: As for `OzoneClient.emit`, after the last attempt.
        """
        attempt = 1
        while True:
            try:
                return self.ask(lambda: self._ozone.emit(action))
            except OzoneUnavailableError as error:
                if attempt >= attempts or error.may_have_arrived or self.asks_for_long(error):
                    raise
                self._pacing.sleep(self._wait_after(attempt, error))
                attempt += 1

    def whose_too(self, action: Action) -> str | None:
        """Who else put what an action takes back; None if nobody did, or if Ozone does not tell.

        Raises:
            OzoneError: As for `OzoneClient.emit`, and nothing was sent.
        """
        try:
            return self.ask(lambda: self._ozone.whose_too(action))
        except OzoneRefusedError:
            return None  # it does not know the question
        except OzoneUnavailableError as error:
            text, after = str(error), error.retry_after
            raise OzoneUnavailableError(text, after, may_have_arrived=False) from error

    def ask(self, request: Callable[[], _T]) -> _T:
        """Make any request to Ozone, once, when it is time for it."""
        wait = self._next_start - self._pacing.monotonic()
        if wait > 0:
            self._pacing.sleep(wait)
        self._next_start = self._pacing.monotonic() + self._options.rate_limit_ms / 1000
        try:
            return request()
        finally:
            self._next_start = max(
                self._next_start, self._pacing.monotonic() + min(self._spacing(), self._longest)
            )

    def long_pause(self) -> float | None:
        """Seconds to make no request, if the server takes so few that a run must not wait."""
        spacing = self._spacing()
        return spacing if spacing > self._longest else None

    def asks_for_long(self, error: OzoneUnavailableError) -> bool:
        """Whether the server asks to be left alone for longer than a run waits."""
        return error.retry_after is not None and error.retry_after > self._longest

    def _spacing(self) -> float:
        limit = self._ozone.rate_limit
        return limit.spacing if limit else 0.0

    @property
    def _longest(self) -> float:
        return self._options.longest_wait_seconds

    def _wait_after(self, attempt: int, error: OzoneUnavailableError) -> float:
        """As the server asks; else doubling, with jitter, so that not all come back at once."""
        if error.retry_after is not None:
            return error.retry_after
        first = self._options.first_wait_seconds
        jitter = random.uniform(0, first)  # noqa: S311 - no secret
        return min(first * float(2 ** (attempt - 1)) + jitter, self._longest)
