"""Fetches the bytes of an image: from the CDN, from its author's PDS, from a PDS of last resort.

The CDN comes first since it serves what people see and spares small PDS hosts. How the answers of
the sources become one outcome:

- the first source that delivers wins;
- if none delivers and one of them failed in a way that may pass (time-out, 5xx, too many requests,
  an answer we do not understand), the image is unavailable and waits, whatever the others said:
  it may still exist;
- if all refused for good, the most telling refusal counts: `cid_mismatch`, then `too_large`, then
  `blocked`, then `not_found`. The reason quotes all of them.

The CDN re-encodes, so its bytes cannot be checked against the CID: a maintenance page comes with
status 200 as well. Who cannot decode them asks for the original, which is checked.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from phash_dagster.clock import Clock, utc_now
from phash_dagster.images.breaker import CircuitBreakers, Host
from phash_dagster.images.content_id import is_cid, is_did, verify_cid
from phash_dagster.images.download import Downloader, open_downloader
from phash_dagster.images.hosts import CDN_POLICY, operators_host, strangers_host
from phash_dagster.images.identity import (
    EndpointCache,
    IdentityResolver,
    IdentitySources,
    MemoryEndpointCache,
)
from phash_dagster.images.model import (
    FetchedImage,
    ImageReference,
    ImageRejected,
    ImageUnavailable,
    Outcome,
    excerpt,
)
from phash_dagster.images.turns import Turn
from phash_dagster.settings import Settings

_Source = Callable[[ImageReference, Turn], Awaitable[FetchedImage]]

_RENDITIONS: Final = ("jpeg", "png", "webp")
"""Formats that the CDN re-encodes into, in the order to ask."""

_MOST_TELLING: Final = (
    Outcome.cid_mismatch,
    Outcome.too_large,
    Outcome.blocked,
    Outcome.not_found,
)


@dataclass(frozen=True)
class ImageSources:
    """Where images are asked for, and what one image may cost in bytes and seconds."""

    cdn_endpoint: str
    fallback_pds: str
    max_bytes: int
    total_timeout: float

    @classmethod
    def from_settings(cls, settings: Settings) -> "ImageSources":
        """The sources that `CDN_ENDPOINT`, `PDS_ENDPOINT` and the blob limits set."""
        return cls(
            cdn_endpoint=settings.cdn_endpoint,
            fallback_pds=settings.pds_endpoint,
            max_bytes=settings.max_blob_bytes,
            total_timeout=settings.blob_total_timeout_secs,
        )


class ImageFetcher:
    """Fetches images. All calls with the same turn share one time-out, attempts and all."""

    def __init__(
        self, downloader: Downloader, identities: IdentityResolver, sources: ImageSources
    ) -> None:
        self._downloader = downloader
        self._identities = identities
        self._sources = sources
        self._cdn = operators_host(sources.cdn_endpoint, CDN_POLICY)
        self._fallback_pds = operators_host(sources.fallback_pds)

    async def fetch(self, reference: ImageReference, turn: Turn | None = None) -> FetchedImage:
        """The bytes of an image. Bytes from a PDS have been checked against the CID.

        Raises:
            ImageRejected: `not_found`, `too_large`, `blocked` or `cid_mismatch`: final.
            ImageUnavailable: It could not be had now; try again later.
        """
        sources = (self._from_cdn, self._from_own_pds, self._from_fallback_pds)
        return await self._from_first_of(sources, reference, turn or Turn())

    async def fetch_original(
        self, reference: ImageReference, turn: Turn | None = None
    ) -> FetchedImage:
        """The bytes as the author uploaded them, checked against the CID; the CDN is not asked.

        Raises:
            ImageRejected: `not_found`, `too_large`, `blocked` or `cid_mismatch`: final.
            ImageUnavailable: They could not be had now; try again later.
        """
        sources = (self._from_own_pds, self._from_fallback_pds)
        return await self._from_first_of(sources, reference, turn or Turn())

    async def _from_first_of(
        self, sources: Iterable[_Source], reference: ImageReference, turn: Turn
    ) -> FetchedImage:
        _check_syntax(reference)
        failures: list[ImageRejected | ImageUnavailable] = []
        seconds = self._sources.total_timeout
        try:
            async with asyncio.timeout_at(turn.deadline(seconds)):
                for source in sources:
                    try:
                        return await source(reference, turn)
                    except (ImageRejected, ImageUnavailable) as failure:
                        failures.append(failure)
        except TimeoutError as error:
            failures.append(ImageUnavailable(f"not fetched within {seconds:g} s"))
            raise _combined(failures) from error
        raise _combined(failures)

    async def _from_cdn(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        refusals = []
        for rendition in _RENDITIONS:
            url = rendition_url(self._sources.cdn_endpoint, reference, rendition)
            try:
                data = await self._get(url, self._cdn, turn)
            except ImageRejected as rejected:
                if rejected.outcome is not Outcome.not_found:
                    raise
                refusals.append(f"{rejected.reason} for {rendition}")
            else:
                return FetchedImage(data, "cdn", f"{reference.preset}@{rendition}")
        raise ImageRejected(Outcome.not_found, ", ".join(refusals))

    async def _from_own_pds(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        """From the PDS that is remembered for the author; if it fails, from the one of today."""
        found = await self._identities.pds_endpoint(reference.did, turn)
        try:
            return await self._from_strangers_pds(found.origin, reference, turn)
        except (ImageRejected, ImageUnavailable):
            if not found.remembered:
                raise
            current = await self._identities.pds_endpoint(reference.did, turn, anew=True)
            if current.origin == found.origin:
                raise
        return await self._from_strangers_pds(current.origin, reference, turn)

    async def _from_strangers_pds(
        self, origin: str, reference: ImageReference, turn: Turn
    ) -> FetchedImage:
        return await self._from_pds(origin, strangers_host(httpx.URL(origin)), reference, turn)

    async def _from_fallback_pds(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        return await self._from_pds(self._sources.fallback_pds, self._fallback_pds, reference, turn)

    async def _from_pds(
        self, origin: str, host: Host, reference: ImageReference, turn: Turn
    ) -> FetchedImage:
        data = await self._get(blob_url(origin, reference), host, turn)
        verify_cid(reference.blob_cid, data)
        return FetchedImage(data, "pds", "original")

    async def _get(self, url: str, host: Host, turn: Turn) -> bytes:
        return await self._downloader.get(url, host, max_bytes=self._sources.max_bytes, turn=turn)


def rendition_url(cdn: str, reference: ImageReference, rendition: str) -> str:
    """Address of an image on the CDN, re-encoded as jpeg, png or webp."""
    preset, did, cid = (
        quote(part, safe=":") for part in (reference.preset, reference.did, reference.blob_cid)
    )
    return f"{cdn}/img/{preset}/plain/{did}/{cid}@{rendition}"


def blob_url(pds: str, reference: ImageReference) -> str:
    """Address of the original blob on a PDS (`com.atproto.sync.getBlob`)."""
    query = urlencode({"did": reference.did, "cid": reference.blob_cid})
    return f"{pds}/xrpc/com.atproto.sync.getBlob?{query}"


def _check_syntax(reference: ImageReference) -> None:
    """Refuse what can name no blob before it gets anywhere near a URL."""
    if not is_did(reference.did):
        raise ImageRejected(Outcome.not_found, f"{excerpt(reference.did)} is not a DID")
    if not is_cid(reference.blob_cid):
        raise ImageRejected(Outcome.not_found, f"{excerpt(reference.blob_cid)} is not a CID")


def _combined(
    failures: Sequence[ImageRejected | ImageUnavailable],
) -> ImageRejected | ImageUnavailable:
    reason = "; ".join(failure.reason for failure in failures)
    if unavailable := [each for each in failures if isinstance(each, ImageUnavailable)]:
        return ImageUnavailable.of(unavailable, reason)
    outcomes = {failure.outcome for failure in failures if isinstance(failure, ImageRejected)}
    return ImageRejected(next(name for name in _MOST_TELLING if name in outcomes), reason)


@asynccontextmanager
async def open_fetcher(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    cache: EndpointCache | None = None,
    breakers: CircuitBreakers | None = None,
) -> AsyncIterator[ImageFetcher]:
    """A fetcher as the settings want it, with its own connections, closed on leaving.

    Pass a `cache` to keep the PDS endpoints of accounts from one fetcher to the next, and
    `breakers` to keep what is known of hosts that fail.
    """
    async with open_downloader(settings, clock=clock, breakers=breakers) as downloader:
        identities = IdentityResolver(
            downloader,
            IdentitySources.from_settings(settings),
            cache or MemoryEndpointCache(clock),
        )
        yield ImageFetcher(downloader, identities, ImageSources.from_settings(settings))
