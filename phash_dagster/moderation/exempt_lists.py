"""Reads the members of lists whose members are exempt, each from the PDS of the list's owner.

A list is a record `app.bsky.graph.list`; each of its members is a record `app.bsky.graph.listitem`
in the same repository, which names list and account. A PDS is a stranger's host, so it is asked
through the guarded downloader of images, and for a bounded time.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from phash_dagster.addresses import LIST_COLLECTION
from phash_dagster.clock import Clock, utc_now
from phash_dagster.images.content_id import is_did
from phash_dagster.images.download import Downloader, open_downloader
from phash_dagster.images.hosts import strangers_host
from phash_dagster.images.identity import IdentityResolver, IdentitySources, MemoryEndpointCache
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome, excerpt
from phash_dagster.images.turns import Turn
from phash_dagster.moderation.exemptions import ListState
from phash_dagster.settings import Settings

_ITEM_COLLECTION: Final = "app.bsky.graph.listitem"
_PAGE: Final = 100
"""Records a page: the most that a PDS gives."""

_MOST_PAGES: Final = 1_000
"""Pages read of one owner, whose items of all lists come together: a PDS could go on for ever."""

_MAX_PAGE_BYTES: Final = 2_000_000
_SECONDS_PER_LIST: Final = 300.0


class ListUnreadableError(Exception):
    """The members of a list could not be had, all of them; the text says why."""


@dataclass(frozen=True)
class ReadLists:
    """What one reading found.

    Attributes:
        states: One of each list that was asked for.
        members: DIDs on the lists whose members are to be replaced by these.
    """

    states: tuple[ListState, ...] = ()
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)


class ListReader:
    """Reads lists, one at a time."""

    def __init__(self, downloader: Downloader, identities: IdentityResolver) -> None:
        self._downloader = downloader
        self._identities = identities

    async def members(self, list_uri: str) -> frozenset[str]:
        """The DIDs of all members; an empty list is one that exists and has none.

        Raises:
            ListUnreadableError: The list does not exist, or its members could not be read, all
                of them.
        """
        owner, _, rkey = list_uri.removeprefix("at://").split("/")
        try:
            async with asyncio.timeout(_SECONDS_PER_LIST):
                pds = (await self._identities.pds_endpoint(owner, Turn(), anew=True)).origin
                await self._require_list(pds, owner, rkey)
                items = [item async for item in self._items(pds, owner)]
        except (ImageRejected, ImageUnavailable) as error:
            raise ListUnreadableError(error.reason) from error
        except TimeoutError as error:
            reason = f"not all of it came within {_SECONDS_PER_LIST:g} s"
            raise ListUnreadableError(reason) from error
        subjects = (item.get("subject") for item in items if item.get("list") == list_uri)
        return frozenset(did for did in subjects if isinstance(did, str) and is_did(did))

    async def _require_list(self, pds: str, owner: str, rkey: str) -> None:
        """Tell a list that does not exist from one without members: both have no items."""
        query = {"repo": owner, "collection": LIST_COLLECTION, "rkey": rkey}
        try:
            answer = await self._get(pds, "com.atproto.repo.getRecord", query)
        except ImageRejected as rejected:
            if rejected.outcome is not Outcome.not_found:
                raise
            reason = f"there is no such list ({rejected.reason}); check EXEMPT_LISTS"
            raise ListUnreadableError(reason) from rejected
        value = answer.get("value")
        if not isinstance(value, dict) or value.get("$type") != LIST_COLLECTION:
            raise ListUnreadableError("the record is not a list")

    async def _items(self, pds: str, owner: str) -> AsyncIterator[Mapping[str, Any]]:
        """The items of all lists of an owner. Every page but an empty one names the next."""
        query: dict[str, str | int] = {
            "repo": owner,
            "collection": _ITEM_COLLECTION,
            "limit": _PAGE,
        }
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            answer = await self._get(pds, "com.atproto.repo.listRecords", query)
            records = answer.get("records")
            if not isinstance(records, list):
                raise ListUnreadableError("the PDS answered without records")
            for record in records:
                value = record.get("value") if isinstance(record, dict) else None
                if isinstance(value, dict):
                    yield value
            cursor = answer.get("cursor")
            if not records or not cursor:
                return
            if not isinstance(cursor, str) or cursor in seen:
                raise ListUnreadableError("the PDS gives the same page again and again")
            seen.add(cursor)
            query["cursor"] = cursor
        raise ListUnreadableError(f"its owner has over {_MOST_PAGES * _PAGE} items on lists")

    async def _get(self, pds: str, nsid: str, query: Mapping[str, str | int]) -> dict[str, Any]:
        body = await self._downloader.get(
            f"{pds}/xrpc/{nsid}?{urlencode(query)}",
            strangers_host(httpx.URL(pds)),
            max_bytes=_MAX_PAGE_BYTES,
            turn=Turn(),
        )
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ListUnreadableError(
                f"the PDS answered no JSON ({excerpt(str(error))})"
            ) from error
        if not isinstance(answer, dict):
            raise ListUnreadableError("the PDS answered no JSON object")
        return answer


async def read_lists(
    reader: ListReader, list_uris: Iterable[str], known: Iterable[ListState], now: datetime
) -> ReadLists:
    """Read these lists; what goes wrong with one changes nothing of what is known of it.

    Args:
        reader: Gets the members.
        list_uris: AT URIs of lists.
        known: What is known of lists from before.
        now: The current time.
    """
    before = {state.list_uri: state for state in known}
    states, members = [], {}
    for uri in list_uris:
        try:
            found = await reader.members(uri)
        except ListUnreadableError as error:
            state = _unchanged(uri, before.get(uri), now, str(error))
        else:
            state = judged(uri, len(found), before.get(uri), now)
            if state.problem is None:
                members[uri] = found
        states.append(state)
    return ReadLists(tuple(states), members)


def judged(uri: str, members: int, before: ListState | None, now: datetime) -> ListState:
    """What is known of a list after it was read. Pure.

    A list that had members and is empty now is suspicious: its owner may have lost their account,
    or the PDS its data, and whoever was trusted yesterday would be acted upon by mistake. So its
    members stay exempt until a person takes the list out of EXEMPT_LISTS.
    """
    if members == 0 and before is not None and before.members:
        return _unchanged(
            uri,
            before,
            now,
            f"it had {before.members} members and is empty now; they stay exempt. If it is meant, "
            "take the list out of EXEMPT_LISTS",
        )
    return ListState(uri, now, members, now, None)


def _unchanged(uri: str, before: ListState | None, now: datetime, problem: str) -> ListState:
    if before is None:
        return ListState(uri, None, None, now, problem)
    return before._replace(tried_at=now, problem=problem)


@asynccontextmanager
async def open_list_reader(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[ListReader]:
    """A reader as the settings want it, with its own connections, closed on leaving.

    It looks every owner's PDS up anew: accounts move, and lists are read once an hour.
    """
    async with open_downloader(settings, clock=clock) as downloader:
        sources = IdentitySources.from_settings(settings)
        yield ListReader(
            downloader, IdentityResolver(downloader, sources, MemoryEndpointCache(clock))
        )
