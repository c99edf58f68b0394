"""Connections to real hosts, by aiohttp, whose reader of WebSocket frames is compiled.

Measured against `websockets`: `tests/benchmarks/ingest.py`.
"""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from aiohttp.http_websocket import WSCloseCode

from phash_dagster.http import USER_AGENT
from phash_dagster.jetstream.connection import Ending, Take
from phash_dagster.jetstream.dictionaries import Dictionaries, NoDictionaryError
from phash_dagster.jetstream.hosts import Endpoint
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, RefusedError, Wire, refusal
from phash_dagster.jetstream.wire_v1 import WireV1
from phash_dagster.jetstream.wire_v2 import WireV2

_MAX_REFUSAL_BYTES: Final = 4096
_DEFLATE_WINDOW_BITS: Final = 15

_DICTIONARY_SHARE: Final = 0.25
"""Of the time to open a connection, for fetching a dictionary, which it can do without."""

Socket = aiohttp.ClientWebSocketResponse[bool]


class WebSocketConnection:
    """An open connection."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: Socket,
        wire: Wire,
        *,
        lacks_dictionary: bool,
    ) -> None:
        self.wire = wire
        self.lacks_dictionary = lacks_dictionary
        self._session = session
        self._socket = socket

    async def deliver(self, take: Take, deadline: float) -> Ending:
        """See `Connection.deliver`."""
        text, binary = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
        receive = self._socket.receive
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    message = await receive()
                    kind = message.type
                    if kind is text:
                        wanted = take(message.data, False)
                    elif kind is binary:
                        wanted = take(message.data, True)
                    else:
                        return self._ending(message.data)
                    if not wanted:
                        return Ending("enough")
        except TimeoutError:
            return Ending("time")
        except aiohttp.ClientError:
            # Raised by the answer to a ping, when the host is gone and its last frames are read.
            return Ending("broken", "the connection broke off")

    def _ending(self, data: object) -> Ending:
        if isinstance(data, aiohttp.WebSocketError):
            oversized = data.code == WSCloseCode.MESSAGE_TOO_BIG
            return Ending("broken", f"what it sent is no WebSocket: {data}", oversized)
        code = self._socket.close_code
        if code is None or code == WSCloseCode.ABNORMAL_CLOSURE:
            return Ending("broken", "the connection broke off")
        return Ending("broken", f"it closed the connection, code {int(code)}")

    async def close(self) -> None:
        """See `Connection.close`."""
        # Says good-bye, and waits for no answer: on the way may be hours of events.
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await self._socket.close()
        await self._session.close()


class WebSocketDial:
    """Opens connections to hosts, with the best compression their wire has."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        self._dictionaries = dictionaries

    async def __call__(
        self,
        endpoint: Endpoint,
        start: int | None,
        *,
        wanted: frozenset[str],
        seconds: float,
        plain: bool,
    ) -> WebSocketConnection:
        """See `Dial`."""
        deadline = time.monotonic() + seconds
        wire = self._wire(endpoint, seconds, plain=plain)
        try:
            session, socket = await _connect(
                _address(endpoint, wire, wanted, start), wire, deadline - time.monotonic()
            )
        except RefusedError as error:
            if error.name != "UnknownZstdDictionary" or not isinstance(wire, WireV2):
                raise
            wire = self._renewed(endpoint, seconds, refused=wire.dictionary_id)
            session, socket = await _connect(
                _address(endpoint, wire, wanted, start), wire, deadline - time.monotonic()
            )
        lacks = isinstance(wire, WireV2) and not plain and wire.decompress is None
        return WebSocketConnection(session, socket, wire, lacks_dictionary=lacks)

    def _wire(self, endpoint: Endpoint, seconds: float, *, plain: bool) -> Wire:
        if not endpoint.is_v2:
            return WireV1()
        if plain:
            return WireV2()
        try:
            cached = self._dictionaries.cached(endpoint.host)
            dictionary = cached or self._dictionaries.fetch(endpoint, seconds * _DICTIONARY_SHARE)
        except NoDictionaryError:
            return WireV2()
        return dictionary.wire()

    def _renewed(self, endpoint: Endpoint, seconds: float, *, refused: int | None) -> WireV2:
        """The wire with another dictionary than the refused one; without any if there is none."""
        try:
            dictionary = self._dictionaries.fetch(endpoint, seconds * _DICTIONARY_SHARE)
        except NoDictionaryError:
            return WireV2()
        return WireV2() if dictionary.number == refused else dictionary.wire()


def _address(endpoint: Endpoint, wire: Wire, wanted: frozenset[str], start: int | None) -> str:
    scheme, place, path, query, fragment = urlsplit(endpoint.url)
    if fragment:
        raise _invalid_address()
    asked = urlencode(wire.query(wanted, start))
    return urlunsplit((scheme, place, path, f"{query}&{asked}" if query else asked, ""))


async def _connect(
    address: str, wire: Wire, seconds: float
) -> tuple[aiohttp.ClientSession, Socket]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": USER_AGENT},
                timeout=aiohttp.ClientTimeout(total=None),
                middlewares=(_refuse_other_answers,),
            )
        )
        try:
            async with asyncio.timeout(seconds):
                socket = await session.ws_connect(
                    address,
                    protocols=(wire.subprotocol,) if wire.subprotocol else (),
                    compress=_DEFLATE_WINDOW_BITS if wire.offers_deflate else 0,
                    max_msg_size=MAX_FRAME_BYTES + 1,
                    # Bytes that are no UTF-8 are the decoder's to judge, no reason to hang up.
                    decode_text=False,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RefusedError(_reason(error)) from None
        stack.pop_all()
    return session, socket


async def _refuse_other_answers(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Read the body of a refusal, which tells why; follow no redirect."""
    response = await handler(request)
    if response.status != 101:
        body = await response.content.read(_MAX_REFUSAL_BYTES)
        response.close()
        raise refusal(response.status, body)
    return response


def _reason(error: Exception) -> str:
    """Why no connection came about, without texts of the library that repeat the address."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate cannot be trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error) or type(error.os_error).__name__
    if isinstance(error, ValueError):
        return str(_invalid_address())
    if isinstance(error, aiohttp.ClientError):
        return f"the handshake failed ({type(error).__name__})"
    return str(error) if isinstance(error, OSError) else type(error).__name__


def _invalid_address() -> RefusedError:
    return RefusedError("its address in JETSTREAM_URL or JETSTREAM_FALLBACK_URLS is not valid")
