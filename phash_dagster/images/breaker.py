"""Stops asking a host that fails, for a while: one circuit breaker per host.

Of a host that was left alone exactly one request is let through: the probe. Nothing here does I/O
or reads the clock itself.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from phash_dagster.circuit import CLOSED, BreakerPolicy, Circuit
from phash_dagster.clock import Clock

_NONE: Final[Mapping[str, Circuit]] = MappingProxyType({})


@dataclass(frozen=True)
class Host:
    """Whom requests go to.

    `name` tells circuits apart. `trusted` hosts are those of the operator, all others were named
    by strangers.
    """

    name: str
    trusted: bool
    policy: BreakerPolicy


class BreakerEvent(StrEnum):
    """What happens at a circuit."""

    OPENED = "open"
    """It failed so often that it is left alone, perhaps once more."""
    HALF_OPENED = "half_open"
    """A probe was let through."""
    CLOSED = "closed"
    """The probe was answered."""
    REJECTED = "rejected"
    """A request was not made."""


BreakerEvents = Counter[tuple[bool, BreakerEvent]]
"""How often what happened, of hosts of the operator (True) and of strangers."""


class CircuitOpenError(Exception):
    """The host failed so often that it is not asked before `until`."""

    def __init__(self, host: Host, circuit: Circuit, until: datetime) -> None:
        super().__init__(host, circuit, until)
        self.host = host
        self.until = until
        self.reason = (
            f"{host.name} is not asked before {until:%Y-%m-%d %H:%M:%S} UTC, "
            f"after {circuit.failures} failures in a row"
        )

    def __str__(self) -> str:
        return self.reason


class CircuitBreakers:
    """The circuits of all hosts. For one event loop; not thread-safe.

    Every probe ends in one call of `succeeded`, `failed` or `abandoned`. Two processes that work at
    the same time each send a probe of their own.
    """

    def __init__(self, clock: Clock, circuits: Mapping[str, Circuit] = _NONE) -> None:
        self._clock = clock
        self._circuits = dict(circuits)
        self._probing: set[str] = set()
        self._changed: set[str] = set()
        self._events: BreakerEvents = Counter()

    def admit(self, host: Host) -> bool:
        """Let a request through; whether it is the probe of a half-open circuit.

        Raises:
            CircuitOpenError: The circuit is open, or half-open with a probe on its way.
        """
        circuit = self._circuits.get(host.name, CLOSED)
        if circuit.open_until is None:
            return False
        if circuit.is_open(self._clock()) or host.name in self._probing:
            self._note(host, BreakerEvent.REJECTED)
            raise CircuitOpenError(host, circuit, circuit.open_until)
        self._probing.add(host.name)
        self._note(host, BreakerEvent.HALF_OPENED)
        return True

    def succeeded(self, host: Host) -> None:
        """The host answered, whatever it said: the circuit closes."""
        if self._circuits.get(host.name, CLOSED).open_until is not None:
            self._note(host, BreakerEvent.CLOSED)
        self._settle(host, CLOSED)

    def failed(self, host: Host) -> datetime | None:
        """The host did not answer; the end of the pause if the circuit is open now."""
        now = self._clock()
        before = self._circuits.get(host.name, CLOSED)
        circuit = before.after_failure(host.policy, now)
        if circuit.open_until != before.open_until:
            self._note(host, BreakerEvent.OPENED)
        self._settle(host, circuit)
        return circuit.open_until

    def abandoned(self, host: Host) -> None:
        """The probe ended without telling anything about the host; another may be sent."""
        self._probing.discard(host.name)

    def take_changes(self) -> dict[str, Circuit]:
        """The circuits that changed since the last call, by the name of the host."""
        changed = {name: self._circuits.get(name, CLOSED) for name in self._changed}
        self._changed.clear()
        return changed

    def take_events(self) -> BreakerEvents:
        """What happened since the last call."""
        events, self._events = self._events, Counter()
        return events

    def _note(self, host: Host, event: BreakerEvent) -> None:
        self._events[host.trusted, event] += 1

    def _settle(self, host: Host, circuit: Circuit) -> None:
        self._probing.discard(host.name)
        if circuit == self._circuits.get(host.name, CLOSED):
            return
        self._changed.add(host.name)
        if circuit == CLOSED:
            del self._circuits[host.name]
        else:
            self._circuits[host.name] = circuit
