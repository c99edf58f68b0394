"""XRPC over HTTP: methods by name, parameters, errors in the form that the real servers use."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from phash_dagster.sandbox import identifiers

Json = dict[str, Any]
MAX_BODY_BYTES = 100 * 1024
"""What Ozone and the PDS accept as JSON."""


class XrpcError(Exception):
    """A request that is answered with an error: its HTTP status, XRPC name and text."""

    def __init__(
        self, status: int, name: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.headers = headers

    def response(self) -> JSONResponse:
        """The answer."""
        body = {"error": self.name, "message": self.message}
        return JSONResponse(body, status_code=self.status, headers=self.headers)


def invalid_request(message: str) -> XrpcError:
    """The error for a request that breaks its lexicon."""
    return XrpcError(400, "InvalidRequest", message)


def internal_error() -> XrpcError:
    """The error for what the real servers do not catch."""
    return XrpcError(500, "InternalServerError", "Internal Server Error")


Handler = Callable[[Request], Awaitable[Response]]
Headers = Callable[[Request], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True)
class Method:
    """An XRPC method: a query is a GET, a procedure is a POST."""

    verb: Literal["GET", "POST"]
    handler: Handler


async def _no_headers(_: Request) -> Mapping[str, str]:
    return {}


def xrpc_route(
    methods: Mapping[str, Method], fallback: Handler, before: Headers = _no_headers
) -> Route:
    """The route `/xrpc/{nsid}`.

    Args:
        methods: By name.
        fallback: Answers for every other name.
        before: Refuses a request by an `XrpcError`, or gives headers for its answer.
    """

    async def dispatch(request: Request) -> Response:
        headers: Mapping[str, str] = {}
        try:
            headers = await before(request)
            answer = await handle(request)
        except XrpcError as error:
            answer = error.response()
        answer.headers.update(headers)
        return answer

    async def handle(request: Request) -> Response:
        method = methods.get(request.path_params["nsid"])
        if method is None:
            return await fallback(request)
        if request.method != method.verb:
            raise invalid_request(
                f"Incorrect HTTP method ({request.method}) expected {method.verb}"
            )
        return await method.handler(request)

    return Route("/xrpc/{nsid}", dispatch, methods=["GET", "POST"])


def bearer_token(request: Request) -> str | None:
    """The token of the `authorization` header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme == "Bearer" else None


async def json_body(request: Request) -> Any:
    """The body of a procedure.

    Raises:
        XrpcError: It is missing, too large, or no JSON.
    """
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise XrpcError(413, "PayloadTooLargeError", "request entity too large")
    encoding = request.headers.get("content-type")
    if encoding is None:
        raise invalid_request("Request encoding (Content-Type) required but not provided")
    if encoding.partition(";")[0].strip() != "application/json":
        raise invalid_request(f"Wrong request encoding (Content-Type): {encoding}")
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise XrpcError(400, "SyntaxError", str(error)) from None


Form = Literal["did", "cid", "uri", "datetime", "nsid", "actor", "rkey"]

_CHECKS: Mapping[Form, tuple[str, Callable[[str], bool]]] = {
    "did": ("DID", identifiers.is_did),
    "cid": ("CID string", identifiers.is_cid),
    "uri": ("uri", identifiers.is_uri),
    "datetime": ("datetime", identifiers.is_datetime),
    "nsid": ("NSID", identifiers.is_nsid),
    "actor": ("AT identifier", identifiers.is_actor),
    "rkey": ("record key", identifiers.is_record_key),
}


@dataclass(frozen=True)
class Parameters:
    """The parameters of a query. Every method raises `XrpcError` for a value that is not valid."""

    request: Request

    def strings(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return self.request.query_params.getlist(name)

    def string(self, name: str, form: Form | None = None) -> str | None:
        """The value, or None; `form` names what it must look like."""
        value = self.request.query_params.get(name)
        if value is not None and form is not None:
            title, holds = _CHECKS[form]
            if not holds(value):
                raise self._error(f'Invalid {title} (got "{value}")')
        return value

    def required(self, name: str, form: Form) -> str:
        """The value, which must be there."""
        value = self.string(name, form)
        if value is None:
            raise self._error(f'Missing required key "{name}"')
        return value

    def choice(self, name: str, allowed: tuple[str, str]) -> str:
        """One of two values, the first by default."""
        value = self.request.query_params.get(name, allowed[0])
        if value not in allowed:
            first, second = sorted(allowed)
            raise self._error(f'Expected one of "{first}" or "{second}" (got "{value}")')
        return value

    def boolean(self, name: str) -> bool | None:
        """`true` or `false`, or None."""
        value = self.string(name)
        if value is None or value in ("true", "false"):
            return None if value is None else value == "true"
        raise self._error(f'Expected boolean value type (got "{value}")')

    def limit(self, default: int, most: int) -> int:
        """The parameter `limit`: 1 to `most`."""
        value = self.request.query_params.get("limit", str(default))
        if not value.isascii() or not value.lstrip("-").isdigit():
            raise self._error(f'Expected integer value type (got "{value}")')
        if int(value) < 1:
            raise self._error(f"integer too small (minimum 1, got {value})")
        if int(value) > most:
            raise self._error(f"integer too big (maximum {most}, got {value})")
        return int(value)

    def _error(self, message: str) -> XrpcError:
        nsid = self.request.path_params["nsid"]
        return invalid_request(f"Invalid {nsid} params: {message}")
