"""The images of a record, found and fetched as the pipeline does it."""

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from phash_dagster.hashing import AverageHash, DifferenceHash
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.fetch import ImageSources
from phash_dagster.images.files import HashedImage, HashResult, ImageHasher, UnhashedImage
from phash_dagster.images.identity import IdentityResolver, IdentitySources, MemoryEndpointCache
from phash_dagster.images.remote import RecordAddress, RemoteImages, open_remote
from phash_dagster.sandbox.identifiers import blob_cid
from tests.images.hosts import DID, ScriptedHosts, downloader, settings
from tests.images.test_files import HASH, png

pytestmark = pytest.mark.anyio

URI = f"at://{DID}/app.bsky.feed.post/3kabc"
PDS = "https://pds.example.org"
CDN = "https://cdn.example.org"
PLC = "https://plc.example.org"
RINGS, BLOCKS = png(), png("blocks-64x48-rgb")
DOCUMENT = {
    "id": DID,
    "service": [
        {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": PDS}
    ],
}


def blob(data: bytes) -> dict[str, object]:
    return {"$type": "blob", "ref": {"$link": blob_cid(data)}, "mimeType": "image/png", "size": 9}


def post_of(*images: bytes) -> bytes:
    embed = {
        "$type": "app.bsky.embed.images",
        "images": [{"image": blob(data), "alt": ""} for data in images],
    }
    return json.dumps({"uri": URI, "value": {"text": "secret", "embed": embed}}).encode()


def answers(record: object, **more: object) -> dict[str, object]:
    return {
        f"{PLC}/{DID}": json.dumps(DOCUMENT).encode(),
        f"{PDS}/xrpc/com.atproto.repo.getRecord": record,
        **more,
    }


def rendition(data: bytes, preset: str = "feed_fullsize") -> str:
    return f"{CDN}/img/{preset}/plain/{DID}/{blob_cid(data)}@jpeg"


async def hashed(
    hosts: ScriptedHosts, uri: str = URI, *, several: bool = False
) -> tuple[HashResult, ...]:
    target = downloader(hosts)
    identities = IdentityResolver(target, IdentitySources((PLC,)), MemoryEndpointCache())
    remote = RemoteImages(target, identities, ImageSources(CDN, PDS, 1_000_000, 9.0))
    algorithms = (AverageHash(), DifferenceHash()) if several else (AverageHash(),)
    return await remote.hash_record(uri, ImageHasher(algorithms, DecodeLimits()))


def reason(results: tuple[HashResult, ...]) -> str:
    [result] = results
    assert isinstance(result, UnhashedImage)
    return result.reason


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_every_image_of_a_post_is_hashed_in_order_from_the_cdn() -> None:
    record = answers(post_of(RINGS, BLOCKS), **{rendition(RINGS): RINGS, rendition(BLOCKS): BLOCKS})
    results = await hashed(ScriptedHosts(record), several=True)
    assert [result.source for result in results] == [
        f"{URI}#{blob_cid(RINGS)}",
        f"{URI}#{blob_cid(BLOCKS)}",
    ]
    first = results[0]
    assert isinstance(first, HashedImage)
    assert (first.width, first.height, first.format) == (64, 48, "png")
    assert first.rendition == "feed_fullsize@jpeg"
    assert [each.algorithm for each in first.hashes] == ["average", "difference"]
    assert first.hashes[0].hash == HASH


async def test_an_image_that_the_cdn_lacks_comes_from_the_pds() -> None:
    def get_blob(request: httpx.Request) -> httpx.Response:
        query = parse_qs(urlsplit(str(request.url)).query)
        assert query == {"did": [DID], "cid": [blob_cid(RINGS)]}
        return httpx.Response(200, stream=httpx.ByteStream(RINGS))

    hosts = ScriptedHosts(
        answers(post_of(RINGS), **{f"{PDS}/xrpc/com.atproto.sync.getBlob": get_blob})
    )
    [result] = await hashed(hosts)
    assert isinstance(result, HashedImage)
    assert result.rendition == "original"


async def test_an_avatar_is_asked_for_as_one() -> None:
    profile = json.dumps({"value": {"avatar": blob(RINGS)}}).encode()
    hosts = ScriptedHosts(answers(profile, **{rendition(RINGS, "avatar"): RINGS}))
    [result] = await hashed(hosts, f"at://{DID}/app.bsky.actor.profile/self")
    assert isinstance(result, HashedImage)
    assert result.rendition == "avatar@jpeg"


async def test_an_image_shown_twice_is_hashed_once() -> None:
    hosts = ScriptedHosts(answers(post_of(RINGS, RINGS), **{rendition(RINGS): RINGS}))
    assert len(await hashed(hosts)) == 1


async def test_one_image_that_cannot_be_had_does_not_hide_the_other() -> None:
    hosts = ScriptedHosts(answers(post_of(RINGS, BLOCKS), **{rendition(BLOCKS): BLOCKS}))
    first, second = await hashed(hosts)
    assert isinstance(first, UnhashedImage)
    assert first.reason.startswith("not_found: ")
    assert isinstance(second, HashedImage)


async def test_a_host_that_fails_is_told_as_unavailable() -> None:
    assert reason(await hashed(ScriptedHosts(answers(503)))).startswith("unavailable: ")


async def test_a_record_that_does_not_exist_is_not_found() -> None:
    assert reason(await hashed(ScriptedHosts(answers(400)))).startswith("not_found: ")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"value": {"text": "no images"}}', "the record has no images"),
        (b"<html>", "the PDS answered something that is not JSON"),
        (b"[]", "the PDS answered without a record"),
        (b'{"value": 7}', "the record has no images"),
    ],
)
async def test_what_is_no_record_with_images_is_a_reason(record: bytes, expected: str) -> None:
    assert reason(await hashed(ScriptedHosts(answers(record)))).startswith(expected)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("at://alice.example/app.bsky.feed.post/3k", "name the account by its DID"),
        (f"at://{DID}", "not of the form at://did/collection/record-key"),
        (f"at://{DID}/app.bsky.feed.post", "not of the form"),
        (f"at://{DID}/posts/3k", "not of the form"),
        (f"at://{DID}/app.bsky.feed.post/3k/more", "not of the form"),
        (f"at://{DID}/app.bsky.feed.post/..", "not of the form"),
    ],
)
async def test_what_names_no_record_is_refused_before_anyone_is_asked(
    uri: str, expected: str
) -> None:
    hosts = ScriptedHosts({})
    assert expected in reason(await hashed(hosts, uri))
    assert hosts.requests == []


def test_the_parts_of_an_address_are_quoted_in_the_request() -> None:
    address = RecordAddress(DID, "app.bsky.feed.post", "a:b~c")
    query = parse_qs(urlsplit(address.record_url(PDS)).query)
    assert query == {"repo": [DID], "collection": ["app.bsky.feed.post"], "rkey": ["a:b~c"]}


@pytest.mark.parametrize("url", ["https://xn--0.example/", "https://\udcff/", "https://["])
async def test_an_address_that_is_none_is_a_reason(url: str) -> None:
    async with open_remote(settings()) as remote:
        results = await remote.hash_url(url, ImageHasher((AverageHash(),), DecodeLimits()))
    assert reason(results)
