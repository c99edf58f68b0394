"""Which hosts to ask, in which order, and which to leave alone for a while."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from phash_dagster.jetstream import wire_v2
from phash_dagster.jetstream.cursor import HostState

FIRST_BACKOFF_SECONDS: Final = 5.0
LONGEST_BACKOFF_SECONDS: Final = 300.0

SILENCE_US: Final = 120_000_000
"""Microseconds without a new event after which a host is left for the next."""

_JITTER: Final = 0.2
_MICRO: Final = 1_000_000
_MAX_REASON: Final = 200
_SILENT: Final = f"no new event for {SILENCE_US // _MICRO} s"


@dataclass(frozen=True)
class Endpoint:
    """A configured Jetstream address.

    Attributes:
        url: The address; may hold a password or a token, so never shown.
        host: `hostname[:port]` of it.
    """

    url: str
    host: str

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """What stands before `@` in an address is a password, no part of the host."""
        return cls(url, urlsplit(url).netloc.rpartition("@")[2])

    @property
    def is_v2(self) -> bool:
        """Whether the path ends as that of the second wire; every other means the first."""
        return urlsplit(self.url).path.rstrip("/").endswith(wire_v2.PATH)


@dataclass(frozen=True)
class HostFailure:
    """A host that could not be read from.

    Attributes:
        host: `hostname[:port]`.
        reason: Why, without the address: there may be a password or a token in it.
        failures: How often in a row.
        retry_at_us: Not asked again before, our clock, microseconds since 1970.
    """

    host: str
    reason: str
    failures: int
    retry_at_us: int


def in_turn(urls: Sequence[str], current: str) -> list[Endpoint]:
    """The addresses as they are to be tried: the current host's first, then on around.

    Staying on the cursor's host avoids going back by the fail-over margin again and again.
    """
    endpoints = [Endpoint.of(url) for url in dict.fromkeys(urls)]
    hosts = [endpoint.host for endpoint in endpoints]
    first = hosts.index(current) if current in hosts else 0
    return endpoints[first:] + endpoints[:first]


def resting(state: HostState | None, now_us: int) -> bool:
    """Whether a host is not to be asked yet.

    A time further away than any backoff comes from a clock that was wrong.
    """
    if state is None:
        return False
    longest_us = int(LONGEST_BACKOFF_SECONDS * _MICRO)
    return now_us < state.retry_at_us <= now_us + longest_us


def to_ask(
    endpoints: Sequence[Endpoint], states: Mapping[str, HostState], now_us: int
) -> list[Endpoint]:
    """Those not to be left alone, then those that only were silent: the others may be down."""
    awake, silent = [], []
    for endpoint in endpoints:
        state = states.get(endpoint.host)
        if not resting(state, now_us):
            awake.append(endpoint)
        elif state is not None and state.reason == _SILENT:
            silent.append(endpoint)
    return awake + silent


def after_failure(state: HostState | None, reason: str, *, now_us: int, chance: float) -> HostState:
    """The state of a host after one more failure.

    Args:
        state: The state before.
        reason: Why, for people.
        now_us: Our clock, microseconds since 1970.
        chance: A random number from 0 to 1, so that many readers do not return all at once.
    """
    before = state or HostState()
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(before.failures, 16)
    seconds = min(doubled * (1 - _JITTER + 2 * _JITTER * chance), LONGEST_BACKOFF_SECONDS)
    return HostState(
        failures=before.failures + 1,
        retry_at_us=now_us + int(seconds * _MICRO),
        reason=reason[:_MAX_REASON],
        no_dictionary_until_us=before.no_dictionary_until_us,
    )


def after_silence(state: HostState | None, *, now_us: int) -> HostState:
    """The state of a host that was left because nothing came.

    It rests for as long as the next one is given to prove itself. The rest does not grow, and ends
    when no other host serves us: on a quiet network every host is silent, and reading must go on.
    """
    before = state or HostState()
    return HostState(
        failures=1,
        retry_at_us=now_us + SILENCE_US,
        reason=_SILENT,
        no_dictionary_until_us=before.no_dictionary_until_us,
    )


def failure(host: str, state: HostState) -> HostFailure:
    """A host's state as it is reported."""
    return HostFailure(host, state.reason, state.failures, state.retry_at_us)


def remembered(hosts: Mapping[str, HostState], urls: Sequence[str]) -> dict[str, HostState]:
    """The states worth keeping: of hosts still configured, with anything to tell."""
    configured = {Endpoint.of(url).host for url in urls}
    return {
        host: state for host, state in hosts.items() if host in configured and state != HostState()
    }
