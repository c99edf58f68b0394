"""Lists of exempt accounts, read page by page from hosts of strangers, which may say anything."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.images.identity import IdentityResolver, IdentitySources, MemoryEndpointCache
from phash_dagster.moderation import exempt_lists
from phash_dagster.moderation.exempt_lists import (
    ListReader,
    ListUnreadableError,
    judged,
    open_list_reader,
    read_lists,
)
from phash_dagster.moderation.exemptions import ListState
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.identifiers import plc_did
from phash_dagster.settings import settings_from
from tests.images.hosts import DID, Responder, ScriptedHosts, downloader

NOW = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
EARLIER = datetime(2026, 11, 23, 19, 15, tzinfo=UTC)
PDS, PLC = "https://pds.example.org", "https://plc.example.org"
GET_RECORD = f"{PDS}/xrpc/com.atproto.repo.getRecord"
LIST_RECORDS = f"{PDS}/xrpc/com.atproto.repo.listRecords"
LIST = f"at://{DID}/app.bsky.graph.list/3klist"
OTHER = f"at://{DID}/app.bsky.graph.list/3kother"
SERVICE = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": PDS}
DOCUMENT = json.dumps({"id": DID, "service": [SERVICE]}).encode()
A_LIST = json.dumps({"value": {"$type": "app.bsky.graph.list", "name": "friends"}}).encode()
MEMBERS = tuple(plc_did(f"member {number}") for number in range(250))


def item(subject: object, list_uri: str = LIST) -> dict[str, object]:
    value = {"$type": "app.bsky.graph.listitem", "list": list_uri, "subject": subject}
    return {"uri": "at://x", "cid": "bafy", "value": value}


def ok(body: bytes) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(body))


def pages(items: Sequence[object]) -> Responder:
    """Answers `listRecords` as a PDS does: each page but an empty one names a cursor."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = parse_qs(urlsplit(str(request.url)).query)
        start, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        page = items[start : start + limit]
        cursor = {"cursor": str(start + len(page))} if page else {}
        return ok(json.dumps({"records": page, **cursor}).encode())

    return answer


def hosts(records: object, a_list: object = A_LIST) -> ScriptedHosts:
    answers = {f"{PLC}/{DID}": DOCUMENT, GET_RECORD: a_list, LIST_RECORDS: records}
    return ScriptedHosts(answers)


def reader(network: Any) -> ListReader:
    get = downloader(network, attempts=1)
    return ListReader(get, IdentityResolver(get, IdentitySources((PLC,)), MemoryEndpointCache()))


@pytest.mark.anyio
class TestReading:
    async def test_all_pages_are_read_and_other_lists_of_the_owner_left_out(self) -> None:
        items = [item(did) for did in MEMBERS] + [item(plc_did("stranger"), OTHER)]
        network = hosts(pages(items))
        assert await reader(network).members(LIST) == frozenset(MEMBERS)
        assert sum(url.startswith(LIST_RECORDS) for url in network.requests) == 4

    async def test_a_list_without_members_is_empty(self) -> None:
        assert await reader(hosts(pages([]))).members(LIST) == frozenset()

    async def test_items_that_name_no_account_are_left_out(self) -> None:
        odd = [item("alice.test"), item(7), {"value": 3}, 4, {"no": "value"}, item(MEMBERS[0])]
        assert await reader(hosts(pages(odd))).members(LIST) == {MEMBERS[0]}

    @pytest.mark.parametrize(
        ("network", "says"),
        [
            (hosts(pages([]), a_list=400), "no such list"),
            (hosts(pages([]), a_list=b'{"value": {"$type": "app.bsky.feed.post"}}'), "not a list"),
            (hosts(pages([]), a_list=b"[]"), "no JSON object"),
            (hosts(503), "answered 503"),
            (hosts(b"<html>"), "no JSON"),
            (hosts(b'{"error": "x"}'), "without records"),
            (hosts(b"x" * 2_000_001), "at most 2000000 bytes"),
            (hosts(httpx.ConnectError("refused")), "refused"),
            (ScriptedHosts({}), "answered 404"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_what_cannot_be_read_says_why(self, network: ScriptedHosts, says: str) -> None:
        with pytest.raises(ListUnreadableError, match=says):
            await reader(network).members(LIST)

    async def test_a_page_that_fails_in_the_midst_gives_no_members_at_all(self) -> None:
        page = json.dumps({"records": [item(MEMBERS[0])], "cursor": "1"}).encode()
        with pytest.raises(ListUnreadableError, match="503"):
            await reader(hosts([page, 503])).members(LIST)

    async def test_a_host_that_repeats_a_page_is_not_followed_for_ever(self) -> None:
        page = json.dumps({"records": [item(MEMBERS[0])], "cursor": "again"}).encode()
        network = hosts(page)
        with pytest.raises(ListUnreadableError, match="again and again"):
            await reader(network).members(LIST)
        assert len(network.requests) == 4

    async def test_a_host_that_never_ends_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exempt_lists, "_MOST_PAGES", 2)
        items = [item(did) for did in MEMBERS]
        with pytest.raises(ListUnreadableError, match="over 200 items"):
            await reader(hosts(pages(items))).members(LIST)

    async def test_a_host_that_is_slow_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exempt_lists, "_SECONDS_PER_LIST", 0.05)
        network = hosts(pages([]))

        async def stall(request: httpx.Request) -> httpx.Response:
            if str(request.url).startswith(LIST_RECORDS):
                await asyncio.Event().wait()
            return network(request)

        with pytest.raises(ListUnreadableError, match="not all of it came within"):
            await reader(stall).members(LIST)

    async def test_one_list_that_fails_leaves_the_others_and_its_own_members(self) -> None:
        network = hosts(
            pages([item(MEMBERS[0]), item(MEMBERS[1], OTHER)]),
            a_list=lambda request: (
                httpx.Response(503) if "3kother" in str(request.url) else ok(A_LIST)
            ),
        )
        known = [ListState(OTHER, EARLIER, 5, EARLIER, None)]
        found = await read_lists(reader(network), [LIST, OTHER], known, NOW)
        assert found.members == {LIST: {MEMBERS[0]}}
        good, bad = found.states
        assert good == ListState(LIST, NOW, 1, NOW, None)
        assert bad[:4] == (OTHER, EARLIER, 5, NOW)
        assert "answered 503" in str(bad.problem)

    async def test_a_list_that_was_never_read_stays_unknown(self) -> None:
        found = await read_lists(reader(hosts(503)), [LIST], [], NOW)
        assert found.members == {}
        assert found.states[0][:4] == (LIST, None, None, NOW)

    async def test_a_host_within_the_own_network_is_not_asked(self) -> None:
        with Sandbox() as sandbox:
            owner = sandbox.world.create_account("owner.test")
            variables = {**sandbox.settings_environment(), "ALLOW_PRIVATE_NETWORK": "false"}
            async with open_list_reader(settings_from(variables)) as own:
                with pytest.raises(ListUnreadableError, match=r"127\.0\.0\.1"):
                    await own.members(f"at://{owner.did}/app.bsky.graph.list/3k")

    async def test_a_list_is_read_from_its_owners_pds(self) -> None:
        with Sandbox() as sandbox:
            owner = sandbox.world.create_account("owner.test")
            record = {"$type": "app.bsky.graph.list", "name": "friends"}
            uri = sandbox.world.publish_record(owner, record, collection="app.bsky.graph.list").uri
            for did in MEMBERS[:3]:
                value = {"$type": "app.bsky.graph.listitem", "list": uri, "subject": did}
                sandbox.world.publish_record(owner, value, collection="app.bsky.graph.listitem")
            async with open_list_reader(settings_from(sandbox.settings_environment())) as own:
                assert await own.members(uri) == frozenset(MEMBERS[:3])


def test_a_list_that_suddenly_is_empty_keeps_its_members_and_says_what_to_do() -> None:
    before = ListState(LIST, EARLIER, 12, EARLIER, None)
    state = judged(LIST, 0, before, NOW)
    assert state[:4] == (LIST, EARLIER, 12, NOW)
    assert "it had 12 members and is empty now" in str(state.problem)
    assert "take the list out of EXEMPT_LISTS" in str(state.problem)


def test_a_list_that_stays_empty_goes_on_being_suspicious() -> None:
    once = judged(LIST, 0, ListState(LIST, EARLIER, 12, EARLIER, None), EARLIER)
    assert judged(LIST, 0, once, NOW) == once._replace(tried_at=NOW)


@given(
    known=st.none() | st.integers(0, 3),
    found=st.integers(0, 3),
)
def test_members_are_replaced_unless_there_were_some_and_are_none(
    known: int | None, found: int
) -> None:
    before = None if known is None else ListState(LIST, EARLIER, known, EARLIER, "a problem")
    state = judged(LIST, found, before, NOW)
    if known and not found:
        assert (state.members, state.read_at) == (known, EARLIER)
        assert state.problem
    else:
        assert state == ListState(LIST, NOW, found, NOW, None)
