"""What one run learns about hosts and accounts, kept in the warehouse for the next.

Runs live for some seconds. Without this each of them would find out anew which hosts are
down, and resolve the DID of every author again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from phash_dagster.circuit import Circuit
from phash_dagster.clock import Clock
from phash_dagster.images.breaker import CircuitBreakers
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

FoundEndpoint = tuple[str, str, datetime]
"""DID, PDS endpoint, and when its document was read."""

FAILURES_KEPT: Final = timedelta(days=1)
"""A failure from longer ago is none in a row."""

_TIME = pa.timestamp("us", tz="UTC")
_CIRCUITS = pa.schema(
    {
        "host": pa.string(),
        "failures": pa.int32(),
        "open_until": _TIME,
        "updated_at": _TIME,
    }
)
_ENDPOINTS = pa.schema({"did": pa.string(), "pds": pa.string(), "resolved_at": _TIME})


class RememberedEndpoints:
    """The PDS endpoints of one batch's authors: those that were stored, and those found since.

    Implements `EndpointCache`. `lifetime` is how long a stored endpoint is used.
    """

    def __init__(self, clock: Clock, lifetime: timedelta) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._endpoints: dict[str, str] = {}
        self._found: dict[str, datetime] = {}

    def get(self, did: str) -> str | None:
        """The endpoint of a DID, or None."""
        return self._endpoints.get(did)

    def put(self, did: str, endpoint: str) -> None:
        """Remember an endpoint that was just found."""
        self._endpoints[did] = endpoint
        self._found[did] = self._clock()

    def add_stored(self, endpoints: Iterable[tuple[str, str]]) -> None:
        """Remember endpoints that were stored before."""
        for did, endpoint in endpoints:
            self._endpoints.setdefault(did, endpoint)

    def take_found(self) -> list[FoundEndpoint]:
        """What was found since the last call."""
        found = [(did, self._endpoints[did], at) for did, at in self._found.items()]
        self._found.clear()
        return found


def load_breakers(connection: Connection, clock: Clock) -> CircuitBreakers:
    """The circuit breakers as earlier runs left them."""
    rows = connection.execute(
        statement("images/host_circuits"), {"since": clock() - FAILURES_KEPT}
    ).fetchall()
    circuits = {host: Circuit(failures, open_until) for host, failures, open_until in rows}
    return CircuitBreakers(clock, circuits)


def save_circuits(connection: Connection, changes: Mapping[str, Circuit], now: datetime) -> None:
    """Keep the circuits that changed. Runs within the caller's transaction."""
    if not changes:
        return
    rows = [
        {
            "host": host,
            "failures": circuit.failures,
            "open_until": circuit.open_until,
            "updated_at": now,
        }
        for host, circuit in changes.items()
    ]
    connection.register("batch_circuits", pa.Table.from_pylist(rows, schema=_CIRCUITS))
    connection.execute(statement("images/forget_circuits"), {"since": now - FAILURES_KEPT})
    connection.execute(statement("images/save_circuits"))
    connection.unregister("batch_circuits")


def load_endpoints(
    connection: Connection, endpoints: RememberedEndpoints, dids: Iterable[str], now: datetime
) -> None:
    """Add the stored endpoints of these authors."""
    wanted = {"dids": sorted(set(dids)), "since": now - endpoints.lifetime}
    rows = connection.execute(statement("images/account_endpoints"), wanted).fetchall()
    endpoints.add_stored(rows)


def save_endpoints(
    connection: Connection,
    found: Sequence[FoundEndpoint],
    *,
    lifetime: timedelta,
    now: datetime,
) -> None:
    """Keep what was found, forget what is too old. Runs within the caller's transaction."""
    if not found:
        return
    rows = [
        {"did": did, "pds": endpoint, "resolved_at": resolved_at}
        for did, endpoint, resolved_at in found
    ]
    connection.register("batch_endpoints", pa.Table.from_pylist(rows, schema=_ENDPOINTS))
    connection.execute(statement("images/save_endpoints"))
    connection.execute(statement("images/forget_endpoints"), {"since": now - lifetime})
    connection.unregister("batch_endpoints")
