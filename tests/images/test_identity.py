import asyncio
import json
from datetime import datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.images.identity import (
    Endpoint,
    IdentityResolver,
    IdentitySources,
    MemoryEndpointCache,
    pds_in_document,
)
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome
from phash_dagster.images.turns import Slots, Turn
from tests.images.hosts import DID, NOW, ScriptedHosts, by_client, clock, downloader, settings

PLC = "https://plc.example"
MIRROR = "https://mirror.example"
PDS = "https://pds.example"
SERVICE: dict[str, object] = {
    "id": "#atproto_pds",
    "type": "AtprotoPersonalDataServer",
    "serviceEndpoint": PDS,
}


def document(did: str = DID, service: object = None) -> bytes:
    return json.dumps({"id": did, "service": [SERVICE] if service is None else service}).encode()


def resolve(
    hosts: ScriptedHosts, *dids: str, mirrors: tuple[str, ...] = (), private: bool = False
) -> str:
    """Resolve DIDs in turn with one resolver and give the last one's endpoint."""
    sources = IdentitySources((PLC, *mirrors), allow_private_network=private)
    resolver = IdentityResolver(downloader(hosts), sources, MemoryEndpointCache(clock))

    async def run() -> str:
        return [(await resolver.pds_endpoint(did, Turn())).origin for did in dids][-1]

    return asyncio.run(run())


def test_a_did_plc_is_resolved_by_the_directory() -> None:
    hosts = ScriptedHosts({f"{PLC}/{DID}": document()})
    assert resolve(hosts, DID) == PDS
    assert hosts.requests == [f"{PLC}/{DID}"]


def test_a_did_web_is_resolved_by_its_host() -> None:
    did = "did:web:alice.example"
    hosts = ScriptedHosts({"https://alice.example/.well-known/did.json": document(did)})
    assert resolve(hosts, did) == PDS


def test_a_did_web_with_a_port_is_asked_by_http_where_local_networks_are_allowed() -> None:
    did = "did:web:localhost%3A2583"
    hosts = ScriptedHosts({"http://localhost:2583/.well-known/did.json": document(did)})
    assert resolve(hosts, did, private=True) == PDS


def test_a_second_look_at_the_same_did_needs_no_request() -> None:
    hosts = ScriptedHosts({f"{PLC}/{DID}": document()})
    resolve(hosts, DID, DID)
    assert len(hosts.requests) == 1


@pytest.mark.parametrize("failure", [503, 429, 403, httpx.ConnectError("refused")])
def test_a_mirror_is_asked_when_the_directory_fails(failure: object) -> None:
    hosts = ScriptedHosts({PLC: failure, f"{MIRROR}/{DID}": document()})
    assert resolve(hosts, DID, mirrors=(MIRROR,)) == PDS


@pytest.mark.parametrize("status", [404, 410])
def test_the_directory_itself_can_say_that_a_did_does_not_exist(status: int) -> None:
    hosts = ScriptedHosts({PLC: status, MIRROR: document()})
    with pytest.raises(ImageRejected, match=f"answered {status}") as caught:
        resolve(hosts, DID, mirrors=(MIRROR,))
    assert caught.value.outcome is Outcome.not_found


def test_a_mirror_that_does_not_know_a_did_may_lag_behind() -> None:
    hosts = ScriptedHosts({PLC: 503, MIRROR: 404})
    with pytest.raises(ImageUnavailable, match=r"plc\.example answered 503.*mirror\.example.*404"):
        resolve(hosts, DID, mirrors=(MIRROR,))


def test_a_did_web_host_that_fails_may_come_back() -> None:
    with pytest.raises(ImageUnavailable):
        resolve(ScriptedHosts({"https://alice.example/": 500}), "did:web:alice.example")


def test_a_did_web_host_that_is_blocked_stays_blocked() -> None:
    blocked = ImageRejected(Outcome.blocked, "network guard: loopback")
    with pytest.raises(ImageRejected) as caught:
        resolve(ScriptedHosts({"https://evil.example/": blocked}), "did:web:evil.example")
    assert caught.value.outcome is Outcome.blocked


def test_a_did_web_host_is_asked_with_the_guard_and_the_directory_without() -> None:
    did = "did:web:alice.example"
    directory = ScriptedHosts({PLC: document()})
    strangers = ScriptedHosts({"https://alice.example/": document(did)})
    resolver = IdentityResolver(
        by_client(directory, strangers), IdentitySources((PLC,)), MemoryEndpointCache(clock)
    )

    async def run() -> list[str]:
        return [(await resolver.pds_endpoint(name, Turn())).origin for name in (DID, did)]

    assert asyncio.run(run()) == [PDS, PDS]
    assert (len(directory.requests), len(strangers.requests)) == (1, 1)


@pytest.mark.parametrize(
    "did",
    [
        "did:key:z6Mk",
        "did:plc:short",
        "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ",
        "did:web:alice.example:path",
        "did:web:alice.example%2Fpath",
        "did:web:user%40alice.example",
        "did:web:999.999.999.999",
    ],
)
def test_a_did_that_leads_to_no_document_causes_no_request(did: str) -> None:
    hosts = ScriptedHosts({})
    with pytest.raises(ImageRejected, match=r"neither a did:plc nor a did:web|not a URL"):
        resolve(hosts, did)
    assert hosts.requests == []


def test_a_huge_document_is_refused() -> None:
    with pytest.raises(ImageRejected, match="at most 64000 bytes") as caught:
        resolve(ScriptedHosts({PLC: b" " * 100_000}), DID)
    assert caught.value.outcome is Outcome.not_found


@pytest.mark.parametrize(
    "service",
    [
        [SERVICE],
        [SERVICE | {"id": f"{DID}#atproto_pds"}],
        [SERVICE | {"serviceEndpoint": f"{PDS}/"}],
        [None, "text", {"id": "#other", "type": [], "serviceEndpoint": {}}, SERVICE],
    ],
)
def test_the_pds_of_a_document_is_found(service: object) -> None:
    assert pds_in_document(DID, document(service=service)) == PDS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "its id is 'None'"),
        (document("did:plc:other"), "its id is 'did:plc:other'"),
        (document(service=[]), "no service #atproto_pds"),
        (document(service=7), "no service #atproto_pds"),
        (document(service="text"), "no service #atproto_pds"),
        (document(service={"a": SERVICE}), "no service #atproto_pds"),
        (document(service=[SERVICE | {"type": "Other"}]), "no service #atproto_pds"),
        (document(service=[SERVICE | {"id": "#labeler"}]), "no service #atproto_pds"),
        (document(service=[SERVICE | {"serviceEndpoint": [PDS]}]), "is not a string"),
        (document(service=[SERVICE | {"serviceEndpoint": ""}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": "pds.example"}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": f"{PDS}/path"}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": f"{PDS}?q"}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": f"{PDS}#f"}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": "file:///etc"}]), "scheme and host only"),
        (document(service=[SERVICE | {"serviceEndpoint": "https://x:port/"}]), "is not a URL"),
        (document(service=[SERVICE | {"serviceEndpoint": "https://0177.0.0.1"}]), "is not a URL"),
        (document(service=[SERVICE | {"serviceEndpoint": "https://①②⑦.⓪.⓪.①"}]), "is not a URL"),
    ],
)
def test_a_malformed_document_is_rejected_with_what_is_wrong(content: bytes, reason: str) -> None:
    with pytest.raises(ImageRejected, match=reason) as caught:
        pds_in_document(DID, content)
    assert caught.value.outcome is Outcome.not_found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"id": st.just(DID), "service": st.lists(json_values)}) | json_values)
def test_no_document_raises_anything_but_a_rejection(content: object) -> None:
    with pytest.raises(ImageRejected):
        pds_in_document(DID, json.dumps(content).encode())


@given(st.text())
def test_any_endpoint_is_an_origin_or_rejected(endpoint: str) -> None:
    content = document(service=[SERVICE | {"serviceEndpoint": endpoint}])
    try:
        origin = pds_in_document(DID, content)
    except ImageRejected:
        return
    assert httpx.URL(f"{origin}/xrpc/method?did=x").path == "/xrpc/method"


class Times:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_a_cached_endpoint_expires() -> None:
    times = Times()
    cache = MemoryEndpointCache(times, lifetime=timedelta(minutes=10))
    cache.put(DID, PDS)
    times.now += timedelta(minutes=9)
    assert cache.get(DID) == PDS
    times.now += timedelta(minutes=1)
    assert cache.get(DID) is None


def test_a_full_cache_drops_the_did_unused_longest() -> None:
    cache = MemoryEndpointCache(clock, capacity=2)
    cache.put("did:plc:a", PDS)
    cache.put("did:plc:b", PDS)
    cache.get("did:plc:a")
    cache.put("did:plc:c", PDS)
    assert [cache.get(f"did:plc:{name}") for name in "abc"] == [PDS, None, PDS]


def test_the_sources_come_from_the_settings() -> None:
    chosen = settings(plc_endpoint=PLC, plc_fallback_endpoints=[MIRROR])
    assert IdentitySources.from_settings(chosen) == IdentitySources((PLC, MIRROR))


MOVED = "https://moved.example"
MOVED_DOCUMENT = document(service=[SERVICE | {"serviceEndpoint": MOVED}])


def remembering(hosts: ScriptedHosts, **known: str) -> IdentityResolver:
    cache = MemoryEndpointCache(clock)
    for did, endpoint in known.items():
        cache.put(did, endpoint)
    return IdentityResolver(downloader(hosts), IdentitySources((PLC,)), cache)


def test_what_the_cache_knew_before_is_marked_as_remembered() -> None:
    hosts = ScriptedHosts({PLC: MOVED_DOCUMENT})
    resolver = remembering(hosts, **{DID: PDS})

    async def run() -> list[Endpoint]:
        return [
            await resolver.pds_endpoint(DID, Turn()),
            await resolver.pds_endpoint(DID, Turn(), anew=True),
            await resolver.pds_endpoint(DID, Turn()),
        ]

    assert asyncio.run(run()) == [Endpoint(PDS, remembered=True), Endpoint(MOVED), Endpoint(MOVED)]


def test_a_did_is_resolved_anew_once() -> None:
    hosts = ScriptedHosts({PLC: document()})
    resolver = remembering(hosts, **{DID: PDS})

    async def run() -> None:
        for _ in range(3):
            await resolver.pds_endpoint(DID, Turn(), anew=True)

    asyncio.run(run())
    assert len(hosts.requests) == 1


def test_a_did_that_many_images_ask_for_at_once_is_resolved_once() -> None:
    hosts = ScriptedHosts({PLC: document()})
    resolver = remembering(hosts)

    async def run() -> list[Endpoint]:
        turns = [Turn() for _ in range(20)]
        return await asyncio.gather(*(resolver.pds_endpoint(DID, turn) for turn in turns))

    assert set(asyncio.run(run())) == {Endpoint(PDS)}
    assert len(hosts.requests) == 1


def test_images_of_one_author_that_wait_for_its_document_leave_a_slot_to_who_asks_for_it() -> None:
    did = "did:web:alice.example"
    hosts = ScriptedHosts({"https://alice.example/": [503, document(did)]})
    resolver = remembering(hosts)

    async def run() -> list[str]:
        slots = Slots(2, on_release=lambda: None)

        async def ask() -> str:
            turn = await slots.begin()
            try:
                return (await resolver.pds_endpoint(did, turn)).origin
            finally:
                slots.end(turn)

        async with asyncio.timeout(10):
            return await asyncio.gather(*(ask() for _ in range(6)))

    assert asyncio.run(run()) == [PDS] * 6


@pytest.mark.parametrize("name", ["xn--0", "xn--a", "xn--zzzzzz"])
def test_a_host_name_that_does_not_decode_is_no_url(name: str) -> None:
    did = f"did:web:{name}.example"
    with pytest.raises(ImageRejected, match="is not a URL") as caught:
        resolve(ScriptedHosts({}), did)
    assert caught.value.outcome is Outcome.not_found
    with pytest.raises(ImageRejected, match="is not a URL"):
        pds_in_document(DID, document(DID, [SERVICE | {"serviceEndpoint": f"https://{name}.a"}]))
