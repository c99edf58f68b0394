"""Counts the requests to each service, and makes the next ones fail as a script asked for."""

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Literal, get_args

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from phash_dagster.clock import Clock

Service = Literal["jetstream", "jetstream_fallback", "cdn", "pds", "plc", "ozone"]
SERVICES: tuple[Service, ...] = get_args(Service)

_ERROR_NAMES = {
    400: "InvalidRequest",
    401: "AuthenticationRequired",
    403: "Forbidden",
    404: "NotFound",
    413: "PayloadTooLargeError",
    429: "RateLimitExceeded",
    500: "InternalServerError",
    502: "UpstreamFailure",
    503: "NotEnoughResources",
    504: "UpstreamTimeout",
}


@dataclass(frozen=True)
class Failure:
    """How a request fails.

    Attributes:
        status: HTTP status of the answer; None breaks the connection off in mid-answer, and 200
            lets the request through, after the delay.
        error: XRPC name of the error; by default the usual one of the status.
        message: Text of the error.
        delay: Seconds before the answer.
        retry_after: Seconds that `retry-after` names; with 429 also the `ratelimit-*` headers.
        matching: Only requests whose path and query contain this text fail.
        carried_out: The request is carried out all the same; only its answer is another, or lost.
    """

    status: int | None = 503
    error: str | None = None
    message: str | None = None
    delay: float = 0.0
    retry_after: int | None = None
    matching: str = ""
    carried_out: bool = False

    def response(self, now: datetime) -> JSONResponse:
        """The answer, in the form of an XRPC error."""
        status = self.status or 500
        return JSONResponse(
            {
                "error": self.error or _ERROR_NAMES.get(status, "InternalServerError"),
                "message": self.message or HTTPStatus(status).phrase,
            },
            status_code=status,
            headers=self._headers(now),
        )

    def _headers(self, now: datetime) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        headers = {"retry-after": str(self.retry_after)}
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            # The limit that a PDS sets on createSession.
            headers |= {
                "ratelimit-limit": "30",
                "ratelimit-remaining": "0",
                "ratelimit-reset": str(int(now.timestamp()) + self.retry_after),
                "ratelimit-policy": "30;w=300",
            }
        return headers


@dataclass
class _ServiceTraffic:
    requests: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, Failure]] = field(default_factory=list)
    drops: int = 0


class Traffic:
    """What happened to each service's requests, and what shall. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._services: dict[Service, _ServiceTraffic] = {
            name: _ServiceTraffic() for name in SERVICES
        }

    def fail_next(self, service: Service, count: int, failure: Failure) -> None:
        """Let the next `count` requests to the service fail, after failures asked for earlier."""
        with self._lock:
            self._services[service].failures.append((count, failure))

    def clear_failures(self) -> None:
        """Let every service work again."""
        with self._lock:
            for state in self._services.values():
                state.failures.clear()

    def requests(self, service: Service) -> Counter[str]:
        """How often each path (with its query) of the service was asked for."""
        with self._lock:
            return Counter(self._services[service].requests)

    def drop(self, service: Service) -> None:
        """Ask for the service's open connections to be closed."""
        with self._lock:
            self._services[service].drops += 1

    def drops(self, service: Service) -> int:
        """How often that was asked for."""
        with self._lock:
            return self._services[service].drops

    def take(self, service: Service, request: str) -> Failure | None:
        """Count a request; return how it shall fail, if it shall."""
        with self._lock:
            state = self._services[service]
            state.requests[request] += 1
            for index, (count, failure) in enumerate(state.failures):
                if failure.matching in request:
                    state.failures[index : index + 1] = [(count - 1, failure)] if count > 1 else []
                    return failure
        return None


class Monitored:
    """ASGI middleware: every request of a service goes through its `Traffic`."""

    def __init__(self, app: ASGIApp, service: Service, traffic: Traffic) -> None:
        self._app = app
        self._service = service
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        failure = self._traffic.take(self._service, _request_line(scope))
        if failure is not None and scope["type"] == "http":
            # Whoever asked may be gone after the delay; what was asked for is done all the same.
            receive = _replayed(await _whole_body(receive))
        if failure is not None:
            await asyncio.sleep(failure.delay)
            if failure.carried_out:
                await self._app(scope, receive, _forget)
        if failure is None or failure.status == HTTPStatus.OK:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            denial = failure.response(self._traffic.clock())
            await WebSocket(scope, receive, send).send_denial_response(denial)
        elif failure.status is None:
            await _break_off(send)
        else:
            await failure.response(self._traffic.clock())(scope, receive, send)


async def _whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytes) -> Receive:
    """A client that sends its request, and then listens for ever."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else await asyncio.Future()

    return receive


async def _forget(_: Message) -> None:
    """Nobody is told."""


def _request_line(scope: Scope) -> str:
    path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def _break_off(send: Send) -> None:
    """Promise a body and end without it, at which the server closes the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
