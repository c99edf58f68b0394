import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import parse_qs, urlsplit

import httpx
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.http import async_client
from phash_dagster.images.breaker import CircuitBreakers
from phash_dagster.images.download import Downloader
from phash_dagster.images.fetch import (
    ImageFetcher,
    ImageSources,
    blob_url,
    open_fetcher,
    rendition_url,
)
from phash_dagster.images.hosts import CDN_POLICY
from phash_dagster.images.identity import IdentityResolver, IdentitySources, MemoryEndpointCache
from phash_dagster.images.model import (
    FetchedImage,
    ImageReference,
    ImageRejected,
    ImageUnavailable,
    Outcome,
)
from phash_dagster.images.turns import Turn
from tests.images.hosts import (
    DID,
    ScriptedHosts,
    answer,
    clock,
    downloader,
    loopback,
    quick_limits,
    settings,
)
from tests.images.test_content_id import blob_cid
from tests.images.test_identity import PDS, PLC, SERVICE, document

CDN = "https://cdn.example"
FALLBACK = "https://fallback.example"
SOURCES = ImageSources(CDN, FALLBACK, max_bytes=1000, total_timeout=5)

BLOB = b"the original bytes"
REFERENCE = ImageReference(blob_cid(BLOB), DID, "image/jpeg")
FOUND: dict[str, object] = {PLC: lambda _: httpx.Response(200, stream=httpx.ByteStream(document()))}
"""The directory knows the author, who is on PDS."""


def fetcher(target: Downloader, sources: ImageSources = SOURCES) -> ImageFetcher:
    identities = IdentityResolver(target, IdentitySources((PLC,)), MemoryEndpointCache(clock))
    return ImageFetcher(target, identities, sources)


def fetch(
    hosts: ScriptedHosts, reference: ImageReference = REFERENCE, sources: ImageSources = SOURCES
) -> FetchedImage:
    return asyncio.run(fetcher(downloader(hosts), sources).fetch(reference))


def refusal(hosts: ScriptedHosts, reference: ImageReference = REFERENCE) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        fetch(hosts, reference)
    return caught.value


def test_the_cdn_is_asked_first_for_a_jpeg() -> None:
    hosts = ScriptedHosts({CDN: b"rendition"})
    assert fetch(hosts) == FetchedImage(b"rendition", "cdn", "feed_fullsize@jpeg")
    path = f"/img/feed_fullsize/plain/{DID}/{REFERENCE.blob_cid}@jpeg"
    assert hosts.requests == [CDN + path]


@pytest.mark.parametrize("status", [400, 404, 406, 415])
def test_the_cdn_is_asked_for_png_and_webp_when_it_has_no_jpeg(status: int) -> None:
    hosts = ScriptedHosts({CDN: [status, status, b"rendition"]})
    assert fetch(hosts).source == "cdn"
    assert [url.rpartition("@")[2] for url in hosts.requests] == ["jpeg", "png", "webp"]


def test_a_failing_cdn_is_not_asked_for_other_renditions() -> None:
    hosts = ScriptedHosts({CDN: 403, **FOUND, PDS: BLOB})
    fetch(hosts)
    assert sum(url.startswith(CDN) for url in hosts.requests) == 1


@pytest.mark.parametrize("cdn", [404, 403, 500, httpx.ConnectError("refused")])
def test_the_authors_pds_is_asked_next(cdn: object) -> None:
    hosts = ScriptedHosts({CDN: cdn, **FOUND, PDS: BLOB})
    assert fetch(hosts) == FetchedImage(BLOB, "pds", "original")
    assert hosts.requests[-1] == blob_url(PDS, REFERENCE)


@pytest.mark.parametrize("plc", [404, 410, 500, b"not a document"])
def test_the_fallback_pds_is_asked_when_the_authors_pds_is_not_known(plc: object) -> None:
    hosts = ScriptedHosts({CDN: 404, PLC: plc, FALLBACK: BLOB})
    assert fetch(hosts) == FetchedImage(BLOB, "pds", "original")
    assert hosts.requests[-1] == blob_url(FALLBACK, REFERENCE)


@pytest.mark.parametrize("pds", [400, 404, 500, b"other bytes", httpx.ReadError("reset")])
def test_the_fallback_pds_is_asked_when_the_authors_pds_does_not_deliver(pds: object) -> None:
    hosts = ScriptedHosts({CDN: 404, **FOUND, PDS: pds, FALLBACK: BLOB})
    assert fetch(hosts).data == BLOB


def test_bytes_of_the_cdn_need_not_match_the_cid() -> None:
    assert fetch(ScriptedHosts({CDN: b"re-encoded"})).data == b"re-encoded"


def test_bytes_of_a_pds_must_match_the_cid() -> None:
    found = refusal(ScriptedHosts({**FOUND, PDS: b"other bytes"}))
    assert found.outcome is Outcome.cid_mismatch


def test_bytes_of_the_fallback_pds_must_match_the_cid() -> None:
    found = refusal(ScriptedHosts({**FOUND, FALLBACK: b"other bytes"}))
    assert found.outcome is Outcome.cid_mismatch


@pytest.mark.parametrize(
    ("own", "last"), [(BLOB, PDS), (404, FALLBACK), (b"other bytes", FALLBACK), (503, FALLBACK)]
)
def test_the_original_is_asked_of_every_pds_but_not_of_the_cdn(own: object, last: str) -> None:
    hosts = ScriptedHosts({**FOUND, CDN: b"rendition", PDS: own, FALLBACK: BLOB})
    original = asyncio.run(fetcher(downloader(hosts)).fetch_original(REFERENCE))
    assert original == FetchedImage(BLOB, "pds", "original")
    assert hosts.requests[-1] == blob_url(last, REFERENCE)
    assert not any(url.startswith(CDN) for url in hosts.requests)


@pytest.mark.parametrize(
    ("own", "failure"),
    [(404, "not_found: pds.example answered 404; fallback"), (503, "pds.example answered 503")],
)
def test_an_original_that_cannot_be_had_fails_as_an_image_does(own: object, failure: str) -> None:
    hosts = ScriptedHosts({**FOUND, CDN: b"rendition", PDS: own})
    with pytest.raises((ImageRejected, ImageUnavailable), match=failure):
        asyncio.run(fetcher(downloader(hosts)).fetch_original(REFERENCE))


def test_an_original_that_no_reference_can_name_causes_no_request() -> None:
    hosts = ScriptedHosts({})
    with pytest.raises(ImageRejected, match="not_found"):
        asyncio.run(fetcher(downloader(hosts)).fetch_original(ImageReference("../x", DID, None)))
    assert hosts.requests == []


def test_an_image_that_nobody_has_is_not_found() -> None:
    blob_not_found = httpx.Response(400, json={"error": "BlobNotFound"})
    found = refusal(ScriptedHosts({**FOUND, PDS: blob_not_found}))
    assert found.outcome is Outcome.not_found
    assert found.reason == (
        "cdn.example answered 404 for jpeg, cdn.example answered 404 for png, "
        "cdn.example answered 404 for webp; pds.example answered 400; "
        "fallback.example answered 404"
    )


def test_an_image_of_a_deleted_account_is_not_found() -> None:
    found = refusal(ScriptedHosts({PLC: 410}))
    assert found.outcome is Outcome.not_found
    assert "plc.example answered 410" in found.reason


def test_an_image_beyond_the_byte_limit_is_too_large() -> None:
    found = refusal(ScriptedHosts({**FOUND, CDN: b"x" * 1001}))
    assert found.outcome is Outcome.too_large


def test_a_cdn_rendition_beyond_the_limit_leaves_the_original_to_be_tried() -> None:
    hosts = ScriptedHosts({**FOUND, CDN: b"x" * 1001, PDS: BLOB})
    assert fetch(hosts) == FetchedImage(BLOB, "pds", "original")
    assert sum(url.startswith(CDN) for url in hosts.requests) == 1


def test_a_pds_on_a_forbidden_address_is_blocked() -> None:
    blocked = ImageRejected(Outcome.blocked, "network guard: pds.example is at 10.0.0.1")
    found = refusal(ScriptedHosts({**FOUND, PDS: blocked}))
    assert found.outcome is Outcome.blocked
    assert "network guard" in found.reason


@pytest.mark.parametrize(
    ("own", "fallback", "outcome"),
    [
        (b"other", b"x" * 1001, Outcome.cid_mismatch),
        (b"x" * 1001, 404, Outcome.too_large),
        (ImageRejected(Outcome.blocked, ""), b"x" * 1001, Outcome.too_large),
        (ImageRejected(Outcome.blocked, ""), 404, Outcome.blocked),
        (404, ImageRejected(Outcome.blocked, ""), Outcome.blocked),
    ],
)
def test_the_most_telling_refusal_is_the_outcome(
    own: object, fallback: object, outcome: Outcome
) -> None:
    found = refusal(ScriptedHosts({**FOUND, PDS: own, FALLBACK: fallback}))
    assert found.outcome is outcome


@pytest.mark.parametrize(
    "answers",
    [
        {CDN: 500, PDS: 404},
        {CDN: 429, PDS: 404},
        {CDN: httpx.ConnectError("refused"), PDS: 404},
        {CDN: httpx.ReadTimeout("slow"), PDS: 404},
        {CDN: 404, PDS: 503},
        {CDN: 404, PDS: httpx.ConnectTimeout("slow")},
        {CDN: 404, PDS: 404, FALLBACK: 502},
        {CDN: 404, PLC: 500},
        {CDN: 500, PDS: b"other bytes"},
        {CDN: 500, PDS: ImageRejected(Outcome.blocked, "")},
    ],
    ids=str,
)
def test_an_image_waits_when_one_source_may_still_have_it(answers: dict[str, object]) -> None:
    with pytest.raises(ImageUnavailable):
        fetch(ScriptedHosts({**FOUND, **answers}))


def test_the_reason_for_waiting_names_every_source() -> None:
    with pytest.raises(ImageUnavailable) as caught:
        fetch(ScriptedHosts({**FOUND, CDN: 500, PDS: 404}))
    assert caught.value.reason == (
        "cdn.example answered 500; pds.example answered 404; fallback.example answered 404"
    )


def test_all_sources_together_have_one_time_out() -> None:
    async def stall() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    hosts = ScriptedHosts({**FOUND, PDS: httpx.Response(200, content=stall())})
    sources = ImageSources(CDN, FALLBACK, max_bytes=1000, total_timeout=0.5)
    with pytest.raises(ImageUnavailable, match=r"404 for webp; not fetched within 0\.5 s"):
        fetch(hosts, sources=sources)


def test_the_time_out_also_ends_waiting_for_a_retry() -> None:
    busy = httpx.Response(429, headers={"retry-after": "30"})
    target = downloader(ScriptedHosts({CDN: busy}), longest_wait=60)
    sources = ImageSources(CDN, FALLBACK, max_bytes=1000, total_timeout=0.1)
    with pytest.raises(ImageUnavailable, match=r"not fetched within 0\.1 s"):
        asyncio.run(fetcher(target, sources).fetch(REFERENCE))


def test_being_cancelled_is_not_taken_for_a_failure() -> None:
    async def run() -> None:
        busy = httpx.Response(429, headers={"retry-after": "30"})
        target = downloader(ScriptedHosts({CDN: busy}), longest_wait=60)
        task = asyncio.create_task(fetcher(target).fetch(REFERENCE))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize(
    "reference",
    [
        ImageReference("../../x", DID, None),
        ImageReference("bafkrei?did=x", DID, None),
        ImageReference("", DID, None),
        ImageReference(REFERENCE.blob_cid, "did:plc:../../x", None),
        ImageReference(REFERENCE.blob_cid, "@evil.example/did:plc:x", None),
        ImageReference(REFERENCE.blob_cid, "", None),
    ],
    ids=str,
)
def test_a_reference_that_can_name_no_blob_causes_no_request(reference: ImageReference) -> None:
    hosts = ScriptedHosts({})
    assert refusal(hosts, reference).outcome is Outcome.not_found
    assert hosts.requests == []


def test_a_well_formed_cid_that_does_not_decode_is_still_looked_for_on_the_cdn() -> None:
    assert fetch(ScriptedHosts({CDN: b"image"}), ImageReference("bafkreiabc", DID, None))


texts = st.text() | st.from_regex(r"did:(plc|web|x):[!-~]*") | st.from_regex(r"b[!-~]{8,60}")


@given(did=texts, cid=texts)
def test_no_reference_leads_to_another_host_or_path(did: str, cid: str) -> None:
    hosts = ScriptedHosts({})
    with pytest.raises(ImageRejected):
        fetch(hosts, ImageReference(cid, did, None))
    for request in hosts.requests:
        url = urlsplit(request)
        if url.hostname == "cdn.example":
            assert url.path.count("/") == 5
            assert url.path.startswith("/img/feed_fullsize/plain/did:")
            assert not url.query
        elif url.hostname == "fallback.example":
            assert url.path == "/xrpc/com.atproto.sync.getBlob"
            assert parse_qs(url.query) == {"did": [did], "cid": [cid]}
        else:
            assert url.path.endswith("/.well-known/did.json") or url.hostname == "plc.example"


@given(did=st.from_regex(r"did:web:[a-z.]+(%3A[0-9]+)?", fullmatch=True))
def test_the_addresses_carry_the_did_unchanged(did: str) -> None:
    reference = ImageReference(REFERENCE.blob_cid, did, None)
    assert httpx.URL(blob_url(PDS, reference)).params["did"] == did
    assert httpx.URL(rendition_url(CDN, reference, "jpeg")).path.split("/")[4] == did


def test_the_preset_chooses_the_rendition() -> None:
    reference = ImageReference("cid", DID, None, preset="avatar")
    assert rendition_url(CDN, reference, "png") == f"{CDN}/img/avatar/plain/{DID}/cid@png"


def test_a_fetcher_works_as_the_settings_want_it() -> None:
    """CDN without the image, PLC and the author's PDS, all on one real loopback server."""

    async def run() -> FetchedImage:
        async def handler(head: str, writer: asyncio.StreamWriter) -> None:
            path, host = head.split()[1], head.split("Host: ")[1].split()[0]
            if path == f"/plc/{DID}":
                service = [SERVICE | {"serviceEndpoint": f"http://{host}/"}]
                writer.write(answer(200, document(service=service)))
            elif path.startswith("/xrpc/com.atproto.sync.getBlob?"):
                writer.write(answer(200, BLOB))
            else:
                writer.write(answer(404))

        async with loopback(handler) as port:
            base = f"http://127.0.0.1:{port}"
            chosen = settings(
                cdn_endpoint=f"{base}/cdn",
                plc_endpoint=f"{base}/plc",
                pds_endpoint=f"{base}/none",
                allow_private_network=True,
            )
            async with open_fetcher(chosen) as target:
                return await target.fetch(REFERENCE)

    assert asyncio.run(run()) == FetchedImage(BLOB, "pds", "original")


hosts_of_strangers = (
    st.text()
    | st.ip_addresses().map(str)
    | st.integers().map(str)
    | st.from_regex(r"[0-9a-fx.]+", fullmatch=True)
    | st.sampled_from(["localhost", "pds.example", "pds.example:443", "u:p@pds.example", "[::1]"])
)


@given(host=hosts_of_strangers)
@hypothesis.settings(deadline=None, max_examples=50)
def test_no_endpoint_of_a_stranger_raises_anything_unexpected(host: str) -> None:
    async def resolver(name: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    async def run() -> None:
        service = [SERVICE | {"serviceEndpoint": f"https://{host}"}]
        hosts = ScriptedHosts({PLC: document(service=service)})
        trusted = httpx.AsyncClient(transport=httpx.MockTransport(hosts))
        limits, breakers = quick_limits(attempts=1), CircuitBreakers(clock)
        async with async_client(settings(), guarded=True, resolver=resolver) as guarded:
            target = fetcher(Downloader(trusted, guarded, limits, breakers))
            web = ImageReference(REFERENCE.blob_cid, f"did:web:{host}", None)
            for reference in (REFERENCE, web):
                with pytest.raises(ImageRejected):
                    await target.fetch(reference)

    asyncio.run(run())


def test_a_document_that_names_a_loopback_pds_gets_no_request_there() -> None:
    async def run(visits: list[str]) -> None:
        async def handler(head: str, writer: asyncio.StreamWriter) -> None:
            visits.append(head)
            writer.write(answer(200, BLOB))

        async with loopback(handler) as port, async_client(settings(), guarded=True) as guarded:
            service = [SERVICE | {"serviceEndpoint": f"https://localhost:{port}"}]
            hosts = ScriptedHosts({PLC: document(service=service)})
            trusted = httpx.AsyncClient(transport=httpx.MockTransport(hosts))
            target = Downloader(trusted, guarded, quick_limits(attempts=1), CircuitBreakers(clock))
            await fetcher(target).fetch(REFERENCE)

    visits: list[str] = []
    with pytest.raises(ImageRejected) as caught:
        asyncio.run(run(visits))
    assert caught.value.outcome is Outcome.blocked
    assert visits == []


MOVED = "https://moved.example"
MOVED_THERE: dict[str, object] = {
    PLC: lambda _: httpx.Response(
        200,
        stream=httpx.ByteStream(document(service=[SERVICE | {"serviceEndpoint": MOVED}])),
    )
}


def remembering(target: Downloader) -> ImageFetcher:
    """A fetcher that remembers the author's PDS from an earlier run."""
    cache = MemoryEndpointCache(clock)
    cache.put(DID, PDS)
    return ImageFetcher(target, IdentityResolver(target, IdentitySources((PLC,)), cache), SOURCES)


@pytest.mark.parametrize("old", [400, 404, 500, b"other bytes", httpx.ConnectError("gone")])
def test_an_account_that_moved_is_found_at_its_new_pds(old: object) -> None:
    hosts = ScriptedHosts({CDN: 404, PDS: old, **MOVED_THERE, MOVED: BLOB})
    found = asyncio.run(remembering(downloader(hosts)).fetch(REFERENCE))
    assert found == FetchedImage(BLOB, "pds", "original")
    assert hosts.requests[-1] == blob_url(MOVED, REFERENCE)


def test_a_remembered_pds_that_delivers_needs_no_directory() -> None:
    hosts = ScriptedHosts({CDN: 404, PDS: BLOB})
    asyncio.run(remembering(downloader(hosts)).fetch(REFERENCE))
    assert not any(url.startswith(PLC) for url in hosts.requests)


def test_an_account_that_did_not_move_is_not_asked_twice() -> None:
    hosts = ScriptedHosts({CDN: 404, PDS: 404, **FOUND})
    target = remembering(downloader(hosts))

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(ImageRejected):
                await target.fetch(REFERENCE)

    asyncio.run(run())
    assert sum(url.startswith(PLC) for url in hosts.requests) == 1
    assert sum(url.startswith(PDS) for url in hosts.requests) == 3


def test_while_the_cdn_is_down_images_are_asked_of_their_pds_at_once() -> None:
    hosts = ScriptedHosts({CDN: httpx.ConnectError("down"), **FOUND, PDS: BLOB})
    target = fetcher(downloader(hosts, attempts=1))

    async def run() -> None:
        for _ in range(20):
            assert (await target.fetch(REFERENCE)).source == "pds"

    asyncio.run(run())
    assert sum(url.startswith(CDN) for url in hosts.requests) == CDN_POLICY.failures


def test_an_image_that_only_the_cdn_may_have_waits_until_the_cdn_is_asked_again() -> None:
    hosts = ScriptedHosts({CDN: httpx.ConnectError("down"), **FOUND, PDS: 404})
    target = fetcher(downloader(hosts, attempts=1))

    async def run() -> ImageUnavailable:
        for _ in range(CDN_POLICY.failures + 1):
            with pytest.raises(ImageUnavailable) as caught:
                await target.fetch(REFERENCE)
        return caught.value

    failure = asyncio.run(run())
    assert failure.not_before == clock() + CDN_POLICY.open_for
    assert failure.excused
    assert "https://cdn.example is not asked before" in failure.reason


def test_an_image_may_come_sooner_when_one_of_its_sources_is_not_left_alone() -> None:
    hosts = ScriptedHosts({CDN: 500, **FOUND, PDS: httpx.ConnectError("down")})
    target = fetcher(downloader(hosts, attempts=1))

    async def run() -> ImageUnavailable:
        for _ in range(4):
            with pytest.raises(ImageUnavailable) as caught:
                await target.fetch(REFERENCE)
        return caught.value

    failure = asyncio.run(run())
    assert "pds.example is not asked before" in failure.reason
    assert (failure.not_before, failure.excused) == (None, False)


def test_an_image_and_its_original_share_one_time_out() -> None:
    async def stall() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    hosts = ScriptedHosts({**FOUND, CDN: b"page", PDS: httpx.Response(200, content=stall())})
    sources = ImageSources(CDN, FALLBACK, max_bytes=1000, total_timeout=0.3)
    target = fetcher(downloader(hosts), sources)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        turn = Turn()
        await target.fetch(REFERENCE, turn)
        await asyncio.sleep(0.25)
        start = loop.time()
        with pytest.raises(ImageUnavailable, match=r"not fetched within 0\.3 s"):
            await target.fetch_original(REFERENCE, turn)
        return loop.time() - start

    assert asyncio.run(run()) < 0.25


def test_the_rendition_that_was_had_is_named() -> None:
    avatar = ImageReference(REFERENCE.blob_cid, DID, None, preset="avatar")
    found = fetch(ScriptedHosts({CDN: [404, b"rendition"]}), avatar)
    assert found.rendition == "avatar@png"
