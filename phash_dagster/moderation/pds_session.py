"""A session at the PDS of the sending account, by the atproto SDK.

The SDK logs in, keeps the tokens and refreshes them before they expire; it builds its own HTTP
client, which is set up here like the others (no redirects, no proxies from the environment).
Bodies are plain JSON, since Ozone knows fields that the SDK's models may not. The SDK takes most
of a second to import, so it is imported at the first request.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import httpx
from pydantic import SecretStr

from phash_dagster.clock import Clock
from phash_dagster.http import USER_AGENT, retry_after_seconds
from phash_dagster.moderation.ozone_errors import (
    AnswerError,
    ErrorAnswer,
    OzoneMisconfiguredError,
    OzoneUnavailableError,
    is_session_expired,
    login_error,
)
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from atproto import Client, Session, SessionEvent
    from atproto_client.request import Response

QueryParameters = Mapping[str, str | int | list[str]]

_READ_SECONDS: Final = 30.0
"""Long, because an event that we stop waiting for may still be applied."""
_CONNECT_SECONDS: Final = 5.0
_NOT_CONNECTED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
"""What httpx raises before anything of a request has left."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class OzoneAccount:
    """Who sends, through which PDS, to which labeler."""

    pds: str
    handle: str
    password: SecretStr
    labeler_did: str

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The account that the settings name."""
        return cls(
            pds=settings.ozone_pds,
            handle=settings.automod_handle,
            password=settings.automod_password,
            labeler_did=settings.labeler_did,
        )


class PdsSession:
    """Calls XRPC methods as one account; logs in at the first call and not before.

    Every method raises:
        AnswerError: The server answered with an error; it is for the caller to say what it means.
        OzoneUnavailableError: No usable answer; the call may have arrived.
        OzoneMisconfiguredError: The login was refused, or there is no PDS at this address.
    """

    def __init__(
        self, account: OzoneAccount, clock: Clock, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._account = account
        self._clock = clock
        self._transport = transport
        self._client: Client | None = None
        self._did = ""

    def close(self) -> None:
        """Close the connections; the session ends by itself."""
        if self._client:
            self._client.request.close()
            self._client = None

    def did(self) -> str:
        """The DID of the account."""
        self._logged_in()
        return self._did

    def procedure(self, nsid: str, body: Mapping[str, Any], proxy: str) -> dict[str, Any]:
        """Call a procedure at the service that `proxy` names, `<did>#<service>`."""
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "atproto-proxy": proxy}
        return self._call(
            lambda client: client.invoke_procedure(nsid, content=content, headers=headers)
        )

    def query(self, nsid: str, parameters: QueryParameters, proxy: str) -> dict[str, Any]:
        """Call a query at the service that `proxy` names, `<did>#<service>`."""
        path = f"{nsid}?{httpx.QueryParams(dict(parameters))}"
        headers = {"atproto-proxy": proxy}
        return self._call(lambda client: client.invoke_query(path, headers=headers))

    def _call(self, request: "Callable[[Client], Response]") -> dict[str, Any]:
        """Make a request; once more after a new login if the server finds the session expired.

        The SDK refreshes tokens ahead of time by their expiry, so this is for sessions that were
        revoked, clocks that differ, and refresh tokens that expired.
        """
        try:
            return self._answer(request, self._logged_in())
        except AnswerError as error:
            if not is_session_expired(error.answer):
                raise
        self.close()
        return self._answer(request, self._logged_in())

    def _answer(self, request: "Callable[[Client], Response]", client: "Client") -> dict[str, Any]:
        content = self._translated(lambda: request(client).content)
        if not isinstance(content, dict):
            raise OzoneUnavailableError("the answer is not a JSON object")
        return content

    def _logged_in(self) -> "Client":
        if self._client is None:
            client = self._new_client()
            try:
                self._log_in(client)
            except BaseException:
                client.request.close()
                raise
            self._client = client
        return self._client

    def _new_client(self) -> "Client":
        from atproto import Client, Request

        request = Request(
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,
            max_redirects=0,
            transport=self._transport,
        )
        request.set_additional_headers({"User-Agent": USER_AGENT})
        client = Client(self._account.pds, request=request)
        client.on_session_change(self._remember_did)
        return client

    def _remember_did(self, _event: "SessionEvent", session: "Session") -> None:
        self._did = session.did

    def _log_in(self, client: "Client") -> None:
        account = self._account
        password = account.password.get_secret_value()
        try:
            self._translated(
                lambda: client.login(account.handle, password, fetch_bsky_profile=False)
            )
        except AnswerError as error:
            raise login_error(error.answer, account.handle) from None
        except OzoneUnavailableError as error:  # a login, whatever became of it, is no event
            raise OzoneUnavailableError(
                str(error), error.retry_after, may_have_arrived=False
            ) from None

    def _translated(self, call: Callable[[], _T]) -> _T:
        """Make a call of the SDK, with its errors turned into ours.

        Causes are dropped: what the SDK and pydantic say about an answer may quote its tokens.
        """
        from atproto.exceptions import AtProtocolError, RequestErrorBase

        try:
            return call()
        except RequestErrorBase as error:
            if error.response is None:
                raise _no_answer(error) from None
            raise AnswerError(self._error_answer(error.response)) from None
        except httpx.TooManyRedirects:
            raise OzoneMisconfiguredError(
                "the server redirects elsewhere. Check OZONE_PDS"
            ) from None
        except httpx.HTTPError as error:
            raise _no_answer(error) from None
        except AtProtocolError as error:
            raise OzoneMisconfiguredError(
                f"the PDS gave a session that cannot be used ({_name(error)}). Check OZONE_PDS"
            ) from None
        except ValueError:
            raise OzoneUnavailableError("the answer is not JSON") from None

    def _error_answer(self, response: "Response") -> ErrorAnswer:
        from atproto_client.models.common import XrpcError

        error = response.content
        return ErrorAnswer(
            status=response.status_code,
            code=error.error if isinstance(error, XrpcError) else "",
            message=(error.message or "") if isinstance(error, XrpcError) else "",
            retry_after=retry_after_seconds(httpx.Headers(response.headers), self._clock()),
        )


def _no_answer(error: Exception) -> OzoneUnavailableError:
    sent = not isinstance(error.__cause__ or error, _NOT_CONNECTED)
    return OzoneUnavailableError(f"no answer ({_name(error)})", may_have_arrived=sent)


def _name(error: Exception) -> str:
    """`ConnectTimeout` and the like; the SDK wraps what httpx raised."""
    return type(error.__cause__ or error).__name__
