"""Requests to a PDS by the atproto SDK, with its errors turned into ours.

The SDK builds its own HTTP client, which is set up here like the others (no redirects, no proxies
from the environment). Bodies are plain JSON, since Ozone knows fields that the SDK's models may
not. The SDK takes most of a second to import, so it is imported at the first request.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx

from phash_dagster.clock import Clock
from phash_dagster.http import USER_AGENT, retry_after_seconds
from phash_dagster.moderation.ozone_errors import (
    AnswerError,
    ErrorAnswer,
    OzoneMisconfiguredError,
    OzoneUnavailableError,
)
from phash_dagster.moderation.rate_limit import RateLimit

if TYPE_CHECKING:
    from atproto import Session
    from atproto_client.request import Response

QueryParameters = Mapping[str, str | int | list[str]]

READ_SECONDS: Final = 30.0
"""Long, because an event that we stop waiting for may still be applied."""
CONNECT_SECONDS: Final = 5.0
_NOT_CONNECTED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
"""What httpx raises before anything of a request has left."""

_T = TypeVar("_T")


class PdsClient:
    """One connection to a PDS, with or without a session.

    Every method that makes a request raises:
        AnswerError: The server answered with an error; it is for the caller to say what it means.
        OzoneUnavailableError: No usable answer; the request may have arrived.
        OzoneMisconfiguredError: There is no PDS at this address.
    """

    def __init__(self, pds: str, clock: Clock, transport: httpx.BaseTransport | None) -> None:
        from atproto import Client, Request

        request = Request(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
            max_redirects=0,
            transport=transport,
        )
        request.set_additional_headers({"User-Agent": USER_AGENT})
        self._client: Client = Client(pds, request=request)
        self._clock = clock
        self._session: Session | None = None
        self._client.on_session_change(lambda _, session: self._remember(session))
        self.rate_limit: RateLimit | None = None
        """What the last answer of `procedure` or `query` said; logins have limits of their own."""

    def close(self) -> None:
        """Close the connections; a session ends by itself."""
        self._client.request.close()

    # Sessions

    def log_in(self, handle: str, password: str) -> None:
        """Begin a session."""
        self._translated(
            lambda: self._client.login(handle, password, fetch_bsky_profile=False), _checked
        )
        self.expires_at()

    def resume(self, session: str) -> bool:
        """Go on with a session that was kept; False if this is none."""
        try:
            self._client.login(session_string=session, fetch_bsky_profile=False)
            self.expires_at()
        except (ValueError, TypeError, OzoneMisconfiguredError):
            return False
        return True

    def refresh(self) -> None:
        """Exchange the session for a new one, by its refresh token."""
        from atproto import Session

        old = self._current()
        headers = {"Authorization": f"Bearer {old.refresh_jwt}"}
        new = self._translated(
            lambda: self._client.com.atproto.server.refresh_session(
                headers=headers, ignore_session_check=True
            ),
            _checked,
        )
        session = Session(new.handle, new.did, new.access_jwt, new.refresh_jwt, old.pds_endpoint)
        self._client.login(session_string=session.encode(), fetch_bsky_profile=False)
        self.expires_at()

    def session(self) -> str:
        """The session as a string that `resume` takes. A secret."""
        return str(self._current().encode())

    def did(self) -> str:
        """The DID of the account."""
        return str(self._current().did)

    def expires_at(self) -> datetime:
        """When the access token expires.

        Raises:
            OzoneMisconfiguredError: The tokens are none.
        """
        from atproto.exceptions import AtProtocolError

        try:
            expires = self._current().access_jwt_payload.exp
        except (AtProtocolError, ValueError) as error:
            raise _unusable(error) from None
        if not isinstance(expires, int):
            raise _unusable(ValueError())
        return datetime.fromtimestamp(expires, UTC)

    def _current(self) -> "Session":
        if self._session is None:
            raise RuntimeError("there is no session yet")
        return self._session

    def _remember(self, session: "Session") -> None:
        self._session = session

    # Calls

    def procedure(self, nsid: str, body: Mapping[str, Any], proxy: str) -> dict[str, Any]:
        """Call a procedure at the service that `proxy` names, `<did>#<service>`."""
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "atproto-proxy": proxy}
        return self._call(
            lambda: self._client.invoke_procedure(
                nsid, content=content, headers=headers, ignore_session_check=True
            )
        )

    def query(self, nsid: str, parameters: QueryParameters, proxy: str) -> dict[str, Any]:
        """Call a query at the service that `proxy` names, `<did>#<service>`."""
        path = f"{nsid}?{httpx.QueryParams(dict(parameters))}"
        headers = {"atproto-proxy": proxy}
        return self._call(
            lambda: self._client.invoke_query(path, headers=headers, ignore_session_check=True)
        )

    def _call(self, request: "Callable[[], Response]") -> dict[str, Any]:
        response = self._translated(request, self._note_limit)
        if not isinstance(response.content, dict):
            raise OzoneUnavailableError("the answer is not a JSON object")
        return response.content

    def _note_limit(self, response: "Response") -> None:
        self.rate_limit = RateLimit.of(httpx.Headers(response.headers), self._clock())

    def _translated(self, call: Callable[[], _T], look_at: "Callable[[Any], object]") -> _T:
        """Make a call of the SDK, with its errors turned into ours.

        Causes are dropped: what the SDK and pydantic say about an answer may quote its tokens.
        """
        from atproto.exceptions import AtProtocolError, RequestErrorBase

        start = time.monotonic()
        try:
            answer = call()
            look_at(answer)
        except RequestErrorBase as error:
            if error.response is None:
                raise _no_answer(error) from None
            look_at(error.response)
            raise AnswerError(self._error_answer(error.response, start)) from None
        except httpx.TooManyRedirects:
            raise OzoneMisconfiguredError(
                "the server redirects elsewhere. Check OZONE_PDS"
            ) from None
        except httpx.HTTPError as error:
            raise _no_answer(error) from None
        except AtProtocolError as error:
            raise _unusable(error) from None
        except ValueError:
            raise OzoneUnavailableError("the answer is not JSON") from None
        return answer

    def _error_answer(self, response: "Response", start: float) -> ErrorAnswer:
        from atproto_client.models.common import XrpcError

        error = response.content
        return ErrorAnswer(
            status=response.status_code,
            code=error.error if isinstance(error, XrpcError) else "",
            message=(error.message or "") if isinstance(error, XrpcError) else "",
            retry_after=retry_after_seconds(httpx.Headers(response.headers), self._clock()),
            seconds=time.monotonic() - start,
        )


def _checked(_answer: object) -> None:
    """Nothing to look at in the answer to a login."""


def _unusable(error: Exception) -> OzoneMisconfiguredError:
    return OzoneMisconfiguredError(
        f"the PDS gave a session that cannot be used ({_name(error)}). Check OZONE_PDS"
    )


def _no_answer(error: Exception) -> OzoneUnavailableError:
    sent = not isinstance(error.__cause__ or error, _NOT_CONNECTED)
    return OzoneUnavailableError(f"no answer ({_name(error)})", may_have_arrived=sent)


def _name(error: Exception) -> str:
    """`ConnectTimeout` and the like; the SDK wraps what httpx raised."""
    return type(error.__cause__ or error).__name__
