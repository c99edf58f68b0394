"""Finds the PDS of an account: DID → DID document → service endpoint.

Sources: the did:plc and did:web methods as atproto restricts them, and the entry of type
`AtprotoPersonalDataServer` whose id ends in `#atproto_pds` (atproto.com/specs/did).
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from urllib.parse import unquote
from weakref import WeakValueDictionary

import httpx
import msgspec

from phash_dagster.clock import Clock, utc_now
from phash_dagster.images.download import Downloader
from phash_dagster.images.hosts import operators_host, strangers_host
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome, excerpt
from phash_dagster.images.turns import Turn
from phash_dagster.settings import Settings

_PLC: Final = re.compile(r"did:plc:[a-z2-7]{24}", re.ASCII)
_WEB: Final = re.compile(r"did:web:([a-z0-9.-]+)(%3A[0-9]{1,5})?", re.ASCII | re.IGNORECASE)

_SERVICE_ID: Final = "#atproto_pds"
_SERVICE_TYPE: Final = "AtprotoPersonalDataServer"

_MAX_DOCUMENT_BYTES: Final = 64_000
"""A real document has about 1 kB; the PLC directory refuses operations above 7.5 kB."""


class EndpointCache(Protocol):
    """Remembers the PDS of accounts."""

    def get(self, did: str) -> str | None:
        """The endpoint stored for a DID, or None."""

    def put(self, did: str, endpoint: str) -> None:
        """Store the endpoint of a DID."""


class MemoryEndpointCache:
    """Keeps the endpoints used last, each for a while, for as long as the process runs."""

    def __init__(
        self,
        clock: Clock = utc_now,
        lifetime: timedelta = timedelta(hours=1),
        capacity: int = 10_000,
    ) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._capacity = capacity
        self._entries: OrderedDict[str, tuple[datetime, str]] = OrderedDict()

    def get(self, did: str) -> str | None:
        """The endpoint stored for a DID within the lifetime, or None."""
        entry = self._entries.get(did)
        if entry is None:
            return None
        expires_at, endpoint = entry
        if self._clock() >= expires_at:
            del self._entries[did]
            return None
        self._entries.move_to_end(did)
        return endpoint

    def put(self, did: str, endpoint: str) -> None:
        """Store an endpoint; beyond the capacity the one unused longest is dropped."""
        self._entries[did] = (self._clock() + self._lifetime, endpoint)
        self._entries.move_to_end(did)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


@dataclass(frozen=True)
class IdentitySources:
    """Where DID documents are asked for."""

    plc_endpoints: tuple[str, ...]
    """The PLC directory and its mirrors, in the order to ask."""
    allow_private_network: bool = False
    """Let did:web name a port, asked by http, as local test networks do."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "IdentitySources":
        """The sources that `PLC_ENDPOINT` and `PLC_FALLBACK_ENDPOINTS` set."""
        return cls(
            plc_endpoints=(settings.plc_endpoint, *settings.plc_fallback_endpoints),
            allow_private_network=settings.allow_private_network,
        )


@dataclass(frozen=True)
class Endpoint:
    """The origin of an account's PDS, e.g. `https://pds.example.org`; named by a stranger.

    `remembered`: it comes from the cache and may be outdated, since accounts move.
    """

    origin: str
    remembered: bool = False


class IdentityResolver:
    """Resolves DIDs to PDS endpoints, with a cache in front.

    What this resolver found itself is current; what the cache knew before may be outdated.
    """

    def __init__(
        self, downloader: Downloader, sources: IdentitySources, cache: EndpointCache
    ) -> None:
        self._downloader = downloader
        self._sources = sources
        self._cache = cache
        self._current: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def pds_endpoint(self, did: str, turn: Turn, *, anew: bool = False) -> Endpoint:
        """The account's PDS. `anew`: a remembered endpoint turned out to be of no use.

        A DID that several images ask for at once is resolved once.

        Raises:
            ImageRejected: `not_found` (no such DID, unusable DID document, unknown DID method) or
                `blocked` (the did:web host is forbidden).
            ImageUnavailable: No source of the document could be reached.
        """
        lock = self._locks.setdefault(did, asyncio.Lock())
        if lock.locked():
            turn.give()  # who resolves it may be parked, and needs a slot to go on
        async with lock:
            await turn.take()
            current = did in self._current
            if (cached := self._cache.get(did)) and (current or not anew):
                return Endpoint(cached, remembered=not current)
            origin = await self._resolved(did, turn)
            self._cache.put(did, origin)
            self._current.add(did)
            return Endpoint(origin)

    async def _resolved(self, did: str, turn: Turn) -> str:
        document = self._plc_document if _PLC.fullmatch(did) else self._web_document
        try:
            return pds_in_document(did, await document(did, turn))
        except ImageRejected as rejected:
            if rejected.outcome is Outcome.blocked:
                raise
            raise _unusable(f"DID document of {excerpt(did)}: {rejected.reason}") from rejected

    async def _plc_document(self, did: str, turn: Turn) -> bytes:
        """Ask the directory, and its mirrors while nobody answers.

        A mirror may lag behind, so only the directory itself can say that a DID does not exist.
        """
        failures: list[ImageUnavailable] = []
        for position, endpoint in enumerate(self._sources.plc_endpoints):
            try:
                return await self._downloader.get(
                    f"{endpoint}/{did}",
                    operators_host(endpoint),
                    max_bytes=_MAX_DOCUMENT_BYTES,
                    turn=turn,
                )
            except ImageUnavailable as failure:
                failures.append(failure)
            except ImageRejected as rejected:
                if position == 0:
                    raise
                failures.append(ImageUnavailable(rejected.reason))
        reasons = "; ".join(failure.reason for failure in failures)
        raise ImageUnavailable.of(failures, f"no PLC directory told the PDS of {did}: {reasons}")

    async def _web_document(self, did: str, turn: Turn) -> bytes:
        match = _WEB.fullmatch(did)
        if match is None:
            raise _unusable("it is neither a did:plc nor a did:web with a bare host name")
        host, port = match[1], unquote(match[2] or "")
        scheme = "http" if port and self._sources.allow_private_network else "https"
        url = _url(f"{scheme}://{host}{port}/.well-known/did.json")
        return await self._downloader.get(
            str(url), strangers_host(url), max_bytes=_MAX_DOCUMENT_BYTES, turn=turn
        )


def pds_in_document(did: str, document: bytes) -> str:
    """The PDS endpoint that a DID document names, as an origin without a trailing slash.

    Raises:
        ImageRejected: `not_found`; says what is wrong with the document.
    """
    try:
        content = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _unusable(f"it is not JSON ({error})") from error
    if not isinstance(content, Mapping):
        raise _unusable("it is not a JSON object")
    if content.get("id") != did:
        raise _unusable(f"its id is {excerpt(str(content.get('id')))}")
    return _origin(_service_endpoint(content.get("service")))


def _service_endpoint(services: object) -> str:
    for service in services if isinstance(services, list) else ():
        if isinstance(service, Mapping) and _is_pds(service):
            endpoint = service.get("serviceEndpoint")
            if isinstance(endpoint, str):
                return endpoint
            raise _unusable("the serviceEndpoint of its PDS is not a string")
    raise _unusable(f"it has no service {_SERVICE_ID} of type {_SERVICE_TYPE}")


def _is_pds(service: Mapping[str, object]) -> bool:
    return service.get("type") == _SERVICE_TYPE and str(service.get("id")).endswith(_SERVICE_ID)


def _origin(endpoint: str) -> str:
    url = _url(endpoint)
    if url.scheme not in ("https", "http") or not url.host or url.raw_path != b"/" or url.fragment:
        raise _unusable(f"its PDS {excerpt(endpoint)} is not a URL of scheme and host only")
    return str(url).rstrip("/")


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
        url.host  # noqa: B018 - httpx decodes it with each request, and not every `xn--` decodes
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _unusable(f"{excerpt(text)} is not a URL ({error})") from error
    return url


def _unusable(reason: str) -> ImageRejected:
    return ImageRejected(Outcome.not_found, reason)
