"""Keeps requests to hosts named by strangers away from everything that is not the public internet.

A DID document names its account's PDS, so anyone can have us send a request anywhere they like.
Two checks stand in the way: `check_url` on each URL before its request, redirects included, and
`check_address` on each address of a host when connecting. The name is resolved once and the
connection goes to the very address that was checked, so a name that resolves differently the
second time (DNS rebinding) gains nothing. TLS still verifies the name.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import httpcore
import httpx

from phash_dagster.images.model import ImageRejected, Outcome, excerpt

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of (host, port) in the order to try; raises OSError if there are none."""

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


def _networks(table: dict[str, str]) -> tuple[tuple[_Network, str], ...]:
    return tuple((ip_network(network), name) for network, name in table.items())


# The IANA special-purpose address registries (RFC 6890 and its successors), written out because
# `ipaddress.is_global` changed between Python patch releases.
_FORBIDDEN_IPV4: Final = _networks(
    {
        "0.0.0.0/32": "unspecified",
        "0.0.0.0/8": "reserved",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "carrier-grade NAT",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "6to4 relay",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }
)
_FORBIDDEN_IPV6: Final = _networks(
    {
        "::/128": "unspecified",
        "::1/128": "loopback",
        "fc00::/7": "private",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local",
        "ff00::/8": "multicast",
        "2001::/32": "Teredo",
        "2001::/23": "reserved",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4",
        "3fff::/20": "documentation",
    }
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")

_HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.ASCII)
_MAX_NAME: Final = 254
"""Characters of a host name, with a dot at its end (RFC 1035 section 2.3.4)."""
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_HTTPS_PORT: Final = 443
_MAX_ADDRESSES: Final = 4
"""Addresses of one host that are tried before giving up, sharing the time-out of connecting."""


def forbidden_class(address: _Address) -> str | None:
    """The class that makes an address forbidden, e.g. "loopback"; None if it is public.

    An IPv4 address wrapped in IPv6 (IPv4-mapped, NAT64) counts as what it wraps. The transition
    tunnels 6to4 and Teredo are refused whatever they wrap: no server is published there.
    """
    if isinstance(address, IPv4Address):
        return _first_class(address, _FORBIDDEN_IPV4)
    if embedded := _embedded_ipv4(address):
        name = forbidden_class(embedded)
        return name and f"{name} in IPv6 form"
    if name := _first_class(address, _FORBIDDEN_IPV6):
        return name
    return None if address in _GLOBAL_UNICAST else "reserved"


def _first_class(address: _Address, table: Iterable[tuple[_Network, str]]) -> str | None:
    return next((name for network, name in table if address in network), None)


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def check_address(host: str, address: str) -> None:
    """Refuse an address that is not on the public internet.

    Raises:
        ImageRejected: `blocked`; names the host, the address and its class.
    """
    if name := forbidden_class(ip_address(address)):
        raise _blocked(f"{host} is at {address}, a {name} address")


def check_url(url: httpx.URL, *, allow_private: bool = False) -> None:
    """Refuse a URL that no PDS has: only https, port 443, a plain host and no credentials.

    With `allow_private` (tests, sandbox) http, other ports and private addresses pass.

    Raises:
        ImageRejected: `blocked`; names the host and what is wrong with the URL.
    """
    host = url.raw_host.decode("ascii")
    if url.scheme not in (("https", "http") if allow_private else ("https",)):
        raise _blocked(f"{excerpt(host)} is addressed by {excerpt(url.scheme)} instead of https")
    if url.userinfo:
        raise _blocked(f"the URL of {excerpt(host)} carries credentials")
    _check_host(host, allow_private=allow_private)
    if url.port not in (None, _HTTPS_PORT) and not allow_private:
        raise _blocked(f"{host} is addressed at port {url.port} instead of {_HTTPS_PORT}")


def _check_host(host: str, *, allow_private: bool) -> None:
    literal = _address_literal(host)
    if literal is None and not (len(host) <= _MAX_NAME and _HOST_NAME.fullmatch(host)):
        raise _blocked(f"{excerpt(host)} is not a host name")
    if allow_private:
        return
    if literal is not None:
        check_address(host, str(literal))
    elif _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise _blocked(f"{host} is an unusual spelling of an IPv4 address")


def _address_literal(host: str) -> _Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _blocked(reason: str) -> ImageRejected:
    return ImageRejected(Outcome.blocked, f"network guard: {reason}")


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver.

    Raises:
        OSError: The name does not resolve.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(socket_address[0]) for *_, socket_address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections: resolve once, check every address, connect to a checked address.

    One forbidden address refuses the host, even if others are public: an honest host has none.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        resolver: Resolver = resolve,
        connector: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._connector = connector or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a checked address of `host`; `timeout` in seconds.

        Raises:
            ImageRejected: `blocked`; an address of the host is forbidden.
            httpcore.ConnectError: The name does not resolve, or no address answers.
            httpcore.ConnectTimeout: Neither happened in time.
        """
        addresses = await self._addresses(host, port, timeout)
        share = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._connector.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next address; the last one's error is raised
        return await self._connector.connect_tcp(
            addresses[-1], port, share, local_address, socket_options
        )

    async def _addresses(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._resolver(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} did not resolve in {seconds} s") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} does not resolve: {error}") from error
        if not addresses:
            raise httpcore.ConnectError(f"{host} has no address")
        if not self._allow_private:
            for address in addresses:
                check_address(host, address)
        return addresses[:_MAX_ADDRESSES]


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx transport for hosts named by strangers: checks each URL and each address."""

    def __init__(
        self,
        limits: httpx.Limits,
        backend: GuardedBackend,
        tls: ssl.SSLContext,
        *,
        allow_private: bool,
    ) -> None:
        super().__init__(verify=tls)
        if not isinstance(self._pool, httpcore.AsyncConnectionPool):
            raise TypeError("this httpx keeps no connection pool to guard; use httpx 0.28")
        self._allow_private = allow_private
        # httpx has no parameter for the backend; its pool is replaced before it connects.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose URL passes `check_url`."""
        check_url(request.url, allow_private=self._allow_private)
        return await super().handle_async_request(request)
