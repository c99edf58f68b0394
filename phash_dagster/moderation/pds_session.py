"""A session at the PDS of the sending account: kept, refreshed, and begun anew when it must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from phash_dagster.clock import Clock
from phash_dagster.moderation.ozone_errors import (
    AnswerError,
    OzoneUnavailableError,
    is_session_expired,
    login_error,
    refresh_error,
)
from phash_dagster.moderation.pds_client import PdsClient, QueryParameters
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.moderation.session_file import SessionFile
from phash_dagster.settings import Settings

REFRESH_AHEAD: Final = timedelta(minutes=15)
"""Time before an access token's end from which on it is refreshed; a PDS gives it two hours."""

_Answer = dict[str, Any]


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

    A session is refreshed when its access token is about to end, and when the server says that it
    has ended. Where that is refused, and where there is no session, a new one is begun. With
    `keep_in` a session outlives the process, so that a day takes one login instead of thousands.

    Every method raises:
        AnswerError: The server answered with an error; it is for the caller to say what it means.
        OzoneUnavailableError: No usable answer; the call may have arrived.
        OzoneMisconfiguredError: The login was refused, or there is no PDS at this address.
    """

    def __init__(
        self,
        account: OzoneAccount,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
        *,
        keep_in: Path | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._transport = transport
        self._client: PdsClient | None = None
        self._heeds_expiry = True
        self._kept = (
            SessionFile(keep_in, account.pds, account.handle, account.password) if keep_in else None
        )

    def close(self) -> None:
        """Close the connections; the session ends by itself."""
        if self._client:
            self._client.close()
            self._client = None

    def did(self) -> str:
        """The DID of the account."""
        return self._ready().did()

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server last said of how many calls it still takes; None if it did not."""
        return self._client.rate_limit if self._client else None

    def procedure(self, nsid: str, body: Mapping[str, Any], proxy: str) -> _Answer:
        """Call a procedure at the service that `proxy` names, `<did>#<service>`."""
        return self._call(lambda client: client.procedure(nsid, body, proxy))

    def query(self, nsid: str, parameters: QueryParameters, proxy: str) -> _Answer:
        """Call a query at the service that `proxy` names, `<did>#<service>`."""
        return self._call(lambda client: client.query(nsid, parameters, proxy))

    def _call(self, request: Callable[[PdsClient], _Answer]) -> _Answer:
        """Make a request; again after a refresh, then after a login, while the session is refused.

        Sessions are refreshed ahead of time, so this is for those that were revoked, for clocks
        that differ, and for servers that changed their keys.
        """
        for renew in (self._refreshed, self._logged_in):
            client = self._ready()
            try:
                return request(client)
            except AnswerError as error:
                if not is_session_expired(error.answer):
                    raise
            renew(client)
        return request(self._ready())

    def _ready(self) -> PdsClient:
        """A client whose session has not ended, as far as is known."""
        client = self._client
        if client is None:
            client = self._client = PdsClient(self._account.pds, self._clock, self._transport)
            kept = self._kept.load() if self._kept else None
            if kept is None or not client.resume(kept):
                self._logged_in(client)
        if self._heeds_expiry and self._ends_soon(client):
            self._refreshed(client)
        return client

    def _ends_soon(self, client: PdsClient) -> bool:
        return client.expires_at() - REFRESH_AHEAD <= self._clock()

    def _refreshed(self, client: PdsClient) -> None:
        """Refresh the session, or begin a new one if the server has no more of this one."""
        try:
            client.refresh()
        except AnswerError as error:
            if waits := refresh_error(error.answer):
                raise waits from None
            self._logged_in(client)
        except OzoneUnavailableError as error:
            raise _not_yet_sent(error) from None
        else:
            self._keep(client)

    def _logged_in(self, client: PdsClient) -> None:
        account = self._account
        try:
            client.log_in(account.handle, account.password.get_secret_value())
        except AnswerError as error:
            self._forget()
            raise login_error(error.answer, account.handle) from None
        except OzoneUnavailableError as error:
            self._forget()
            raise _not_yet_sent(error) from None
        except BaseException:
            self._forget()
            raise
        self._keep(client)

    def _keep(self, client: PdsClient) -> None:
        # By a clock that is hours ahead every session has ended: then it is for the server to say.
        self._heeds_expiry = not self._ends_soon(client)
        if self._kept:
            self._kept.save(client.session())

    def _forget(self) -> None:
        """Leave no client behind that has no session."""
        self.close()
        if self._kept:
            self._kept.forget()


def _not_yet_sent(error: OzoneUnavailableError) -> OzoneUnavailableError:
    """The same for a login or refresh: whatever became of it, no event has left."""
    return OzoneUnavailableError(str(error), error.retry_after, may_have_arrived=False)
