"""Session tokens: what they say, and when they stop being accepted."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from phash_dagster.sandbox.sessions import ACCESS_LIFETIME, REFRESH_LIFETIME, Sessions
from phash_dagster.sandbox.xrpc import XrpcError

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


class _Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def sessions(clock: _Clock) -> Sessions:
    return Sessions(clock)


def test_a_token_says_when_it_expires(sessions: Sessions, clock: _Clock) -> None:
    payload = sessions.issue(DID).access.split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=="))

    assert claims["sub"] == DID
    assert claims["exp"] == (clock.now + ACCESS_LIFETIME).timestamp()


def test_an_access_token_names_its_account(sessions: Sessions) -> None:
    assert sessions.account_of(sessions.issue(DID).access) == DID


def test_an_access_token_expires_in_time(sessions: Sessions, clock: _Clock) -> None:
    token = sessions.issue(DID).access
    clock.now += ACCESS_LIFETIME

    with pytest.raises(XrpcError, match="Token has expired") as caught:
        sessions.account_of(token)

    assert (caught.value.status, caught.value.name) == (400, "ExpiredToken")


def test_a_script_lets_access_tokens_expire_at_once(sessions: Sessions) -> None:
    tokens = sessions.issue(DID)

    sessions.expire()

    with pytest.raises(XrpcError, match="Token has expired"):
        sessions.account_of(tokens.access)
    assert sessions.refreshable(tokens.refresh) == DID


def test_a_script_lets_whole_sessions_expire(sessions: Sessions) -> None:
    tokens = sessions.issue(DID)

    sessions.expire(refresh=True)

    with pytest.raises(XrpcError, match="Token has expired"):
        sessions.refreshable(tokens.refresh)


def test_a_session_after_the_expiry_is_good(sessions: Sessions) -> None:
    sessions.issue(DID)
    sessions.expire(refresh=True)

    assert sessions.account_of(sessions.issue(DID).access) == DID


def test_a_refresh_token_outlives_the_access_token(sessions: Sessions, clock: _Clock) -> None:
    token = sessions.issue(DID).refresh
    clock.now += REFRESH_LIFETIME - timedelta(seconds=1)

    assert sessions.refreshable(token) == DID


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "e30.e30."])
def test_garbage_is_no_token(sessions: Sessions, token: str) -> None:
    with pytest.raises(XrpcError) as caught:
        sessions.account_of(token)

    assert (caught.value.status, caught.value.name) == (400, "InvalidToken")


def test_a_token_of_another_network_is_refused(sessions: Sessions, clock: _Clock) -> None:
    with pytest.raises(XrpcError, match="could not be verified"):
        sessions.account_of(Sessions(clock).issue(DID).access)


@pytest.mark.parametrize(
    ("audience", "method", "name"),
    [
        ("did:plc:other", "a.b.c", "BadJwtAudience"),
        ("did:plc:labeler", "a.b.other", "BadJwtLexiconMethod"),
    ],
)
def test_a_service_token_is_good_for_one_method_of_one_service(
    sessions: Sessions, audience: str, method: str, name: str
) -> None:
    token = sessions.service_token(DID, "did:plc:labeler", "a.b.c")
    assert sessions.caller_of(token, "did:plc:labeler", "a.b.c") == DID

    with pytest.raises(XrpcError) as caught:
        sessions.caller_of(token, audience, method)

    assert (caught.value.status, caught.value.name) == (401, name)


def test_a_service_does_not_take_an_access_token(sessions: Sessions) -> None:
    with pytest.raises(XrpcError) as caught:
        sessions.caller_of(sessions.issue(DID).access, "did:plc:labeler", "a.b.c")

    assert (caught.value.status, caught.value.name) == (401, "BadJwtType")
