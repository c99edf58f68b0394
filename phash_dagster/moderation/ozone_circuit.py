"""Leaves an Ozone alone that fails, or that asks for it; the state outlives a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from phash_dagster.circuit import BreakerPolicy, Circuit
from phash_dagster.clock import Clock

POLICY: Final = BreakerPolicy(failures=5, open_for=timedelta(seconds=60))
"""A failure here is a row that could not be sent, after its retries."""

LONGEST_PAUSE: Final = timedelta(hours=1)
"""However long a server asks to be left alone, once in this time it is asked again."""

_SETTINGS_PAUSE: Final = timedelta(seconds=60)
"""Each attempt with a wrong password counts towards the PDS's limit of logins."""


class PauseKind(StrEnum):
    """Why nothing is asked for a while."""

    OUTAGE = "outage"
    """Failures in a row: the circuit is open."""
    LIMIT = "limit"
    """The server asked to be left alone until then."""
    SETTINGS = "settings"
    """Nothing can be sent with these settings, e.g. since the login is refused."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which nothing is asked."""

    since: datetime
    until: datetime
    kind: PauseKind
    reason: str

    @property
    def when(self) -> str:
        """Until when, in words."""
        return f"Ozone is not asked before {self.until:%Y-%m-%d %H:%M:%S} UTC"

    def __str__(self) -> str:
        return f"{self.when}: {self.reason}"


class CircuitStore(Protocol):
    """Where the state is kept."""

    def load_circuit(self, service: str) -> tuple[int, Pause | None]:
        """Failures in a row, and the pause, if there is one."""

    def save_circuit(self, service: str, failures: int, pause: Pause | None) -> None:
        """Keep both."""


class OzoneCircuit:
    """The breaker of one Ozone.

    Closed, requests pass. After `POLICY.failures` rows in a row that could not be sent it is open
    for a minute; then it is half-open: one row is sent by one request. If that is answered the
    circuit closes, if not it opens again.

    A server that asks to be left alone for long, and settings with which nothing can be sent, make
    a pause without being failures.
    """

    def __init__(self, store: CircuitStore, service: str, clock: Clock) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._failures, self._pause = store.load_circuit(service)

    def pause(self) -> Pause | None:
        """The pause of now. A clock that was set back to before its beginning ends it."""
        pause = self._pause
        return pause if pause and pause.since <= self._clock() < pause.until else None

    @property
    def is_half_open(self) -> bool:
        """Whether a single request is to find out if Ozone is back."""
        return self._failures >= POLICY.failures and self.pause() is None

    def answered(self) -> None:
        """Ozone gave a verdict on an event: whatever it was, Ozone is there."""
        if self._failures or self._pause:
            self._set(0, None)

    def failed(self, reason: str) -> Pause | None:
        """A row could not be sent; the pause that begins with it, if one does."""
        now = self._clock()
        circuit = Circuit(self._failures).after_failure(POLICY, now)
        pause = None
        if circuit.open_until:
            words = f"{circuit.failures} failures in a row, the last: {reason}"
            pause = Pause(now, circuit.open_until, PauseKind.OUTAGE, words)
        self._set(circuit.failures, pause)
        return pause

    def wait(self, seconds: float, reason: str) -> Pause:
        """The server asks to be left alone for so long, or may be asked no sooner."""
        longest = LONGEST_PAUSE.total_seconds()
        length = timedelta(seconds=max(1.0, min(seconds, longest)))
        return self._begin(PauseKind.LIMIT, length, reason)

    def refused(self, reason: str) -> Pause:
        """Nothing can be sent until the settings, or the account's rights, are others."""
        return self._begin(PauseKind.SETTINGS, _SETTINGS_PAUSE, reason)

    def _begin(self, kind: PauseKind, length: timedelta, reason: str) -> Pause:
        now = self._clock()
        pause = Pause(now, now + length, kind, reason)
        self._set(self._failures, pause)
        return pause

    def _set(self, failures: int, pause: Pause | None) -> None:
        self._failures, self._pause = failures, pause
        self._store.save_circuit(self._service, failures, pause)
