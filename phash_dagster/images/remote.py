"""Hashes images that are elsewhere, for the command line: at a URL, or in a record.

Every request goes through the same guarded downloader as those of the pipeline: whoever names the
address, a host within the own network is not asked.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import httpx
import msgspec

from phash_dagster.hashing import to_hex
from phash_dagster.images.content_id import is_did
from phash_dagster.images.download import Downloader, open_downloader
from phash_dagster.images.fetch import ImageFetcher, ImageSources
from phash_dagster.images.files import (
    HashedImage,
    HashResult,
    ImageHasher,
    NamedHash,
    UnhashedImage,
)
from phash_dagster.images.hosts import strangers_host
from phash_dagster.images.identity import IdentityResolver, IdentitySources, MemoryEndpointCache
from phash_dagster.images.model import (
    ImageReference,
    ImageRejected,
    ImageResult,
    ImageUnavailable,
    Outcome,
    excerpt,
    preset_of,
)
from phash_dagster.images.process import process_images
from phash_dagster.images.turns import Turn
from phash_dagster.jetstream.records import images_in_record
from phash_dagster.jetstream.syntax import is_record_key
from phash_dagster.settings import Settings

_COLLECTION: Final = re.compile(r"[a-zA-Z0-9-]{1,63}(\.[a-zA-Z0-9-]{1,63}){2,}", re.ASCII)

_MAX_RECORD_BYTES: Final = 2_000_000
"""A repository's records have at most 1 MiB as CBOR; JSON is somewhat longer."""

_AT_ONCE: Final = 4
"""Images of one record that are fetched at the same time."""

_BLOCKED_HINT = "set ALLOW_PRIVATE_NETWORK=true if you mean it"


def is_url(text: str) -> bool:
    """Whether this is the address of a file on the web."""
    return text.lower().startswith(("https://", "http://"))


def is_at_uri(text: str) -> bool:
    """Whether this names a record."""
    return text.startswith("at://")


@dataclass(frozen=True)
class RecordAddress:
    """The parts of `at://did/collection/rkey`."""

    did: str
    collection: str
    rkey: str

    @classmethod
    def parse(cls, uri: str) -> "RecordAddress":
        """Take an AT URI apart.

        Raises:
            ValueError: It names no record of an account by its DID.
        """
        did, _, rest = uri.removeprefix("at://").partition("/")
        collection, _, rkey = rest.partition("/")
        if not is_did(did):
            raise ValueError(f"{excerpt(did)} is not a DID; name the account by its DID")
        if not _COLLECTION.fullmatch(collection) or not is_record_key(rkey):
            raise ValueError("it is not of the form at://did/collection/record-key")
        return cls(did, collection, rkey)

    def record_url(self, pds: str) -> str:
        """Where a PDS serves the record (`com.atproto.repo.getRecord`)."""
        query = urlencode({"repo": self.did, "collection": self.collection, "rkey": self.rkey})
        return f"{pds}/xrpc/com.atproto.repo.getRecord?{query}"


class RemoteImages:
    """Fetches and hashes; every failure is a result."""

    def __init__(
        self, downloader: Downloader, identities: IdentityResolver, sources: ImageSources
    ) -> None:
        self._downloader = downloader
        self._identities = identities
        self._fetcher = ImageFetcher(downloader, identities, sources)

    async def hash_url(self, url: str, hasher: ImageHasher) -> tuple[HashResult, ...]:
        """The hashes of the image at a URL."""
        try:
            host = strangers_host(httpx.URL(url))
            data = await self._downloader.get(
                url, host, max_bytes=hasher.limits.max_bytes, turn=Turn()
            )
        except (httpx.InvalidURL, UnicodeError, ImageRejected, ImageUnavailable) as error:
            return (UnhashedImage(url, _reason(error)),)
        return (await asyncio.to_thread(hasher.hash_bytes, url, data),)

    async def hash_record(self, uri: str, hasher: ImageHasher) -> tuple[HashResult, ...]:
        """The hashes of all images in a record, as the pipeline would fetch them: CDN first."""
        try:
            references = await self._references(RecordAddress.parse(uri))
        except (ValueError, ImageRejected, ImageUnavailable) as error:
            return (UnhashedImage(uri, _reason(error)),)
        if not references:
            return (UnhashedImage(uri, "the record has no images"),)
        results = process_images(
            references, self._fetcher, hasher.algorithms, hasher.limits, _AT_ONCE
        )
        async with aclosing(results):
            found = {result.reference: result async for result in results}
        return tuple(_as_shown(uri, found[reference]) for reference in references)

    async def _references(self, address: RecordAddress) -> Sequence[ImageReference]:
        """The images of the record, each once."""
        turn = Turn()
        pds = await self._identities.pds_endpoint(address.did, turn)
        body = await self._downloader.get(
            address.record_url(pds.origin),
            strangers_host(httpx.URL(pds.origin)),
            max_bytes=_MAX_RECORD_BYTES,
            turn=turn,
        )
        found = images_in_record(address.collection, _record_in(body))
        references = (
            ImageReference(
                image.blob_cid, address.did, image.mime_type, preset_of(image.embed_type)
            )
            for image in found.images
        )
        return tuple(dict.fromkeys(references))


def _record_in(body: bytes) -> object:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"the PDS answered something that is not JSON: {error}") from error
    if not isinstance(answer, dict) or "value" not in answer:
        raise ValueError("the PDS answered without a record")
    return answer["value"]


def _as_shown(uri: str, result: ImageResult) -> HashResult:
    source = f"{uri}#{result.reference.blob_cid}"
    if result.outcome is not Outcome.hashed:
        reason = result.reason or "no reason is known"
        hint = f" ({_BLOCKED_HINT})" if result.outcome is Outcome.blocked else ""
        name = "unavailable" if result.outcome is Outcome.waiting else result.outcome.value
        return UnhashedImage(source, f"{name}: {reason}{hint}")
    if result.width is None or result.height is None or result.format is None:
        raise ValueError(f"{source} is hashed and has no size")
    hashes = tuple(
        NamedHash(each.algorithm, to_hex(each.value, each.bits), each.quality)
        for each in result.hashes
    )
    return HashedImage(source, hashes, result.width, result.height, result.format, result.rendition)


def _reason(error: Exception) -> str:
    match error:
        case ImageRejected(outcome=Outcome.blocked):
            return f"{error} ({_BLOCKED_HINT})"
        case ImageUnavailable():
            return f"unavailable: {error.reason}"
        case httpx.InvalidURL() | UnicodeError():
            return f"is not a URL: {error}"
        case _:
            return str(error)


@asynccontextmanager
async def open_remote(settings: Settings) -> AsyncIterator[RemoteImages]:
    """Connections as the settings want them, closed on leaving."""
    async with open_downloader(settings) as downloader:
        identities = IdentityResolver(
            downloader, IdentitySources.from_settings(settings), MemoryEndpointCache()
        )
        yield RemoteImages(downloader, identities, ImageSources.from_settings(settings))
