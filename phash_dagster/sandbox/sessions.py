"""Session tokens: JSON Web Tokens with HS256, as the PDS issues them."""

import base64
import hashlib
import hmac
import itertools
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from phash_dagster.clock import Clock
from phash_dagster.sandbox.xrpc import XrpcError

ACCESS_LIFETIME = timedelta(hours=2)
REFRESH_LIFETIME = timedelta(days=90)
SERVICE_LIFETIME = timedelta(seconds=60)

_ACCESS = "at+jwt"
_REFRESH = "refresh+jwt"
_SERVICE = "JWT"


@dataclass(frozen=True)
class Tokens:
    """What createSession and refreshSession answer with."""

    access: str
    refresh: str


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _invalid() -> XrpcError:
    return XrpcError(400, "InvalidToken", "Token could not be verified")


class Sessions:
    """Issues and checks tokens; tokens that were issued can be made to expire. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.secret = secrets.token_hex(32)
        """What tokens are signed with."""
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._issued: dict[str, set[str]] = {_ACCESS: set(), _REFRESH: set()}
        self._expired: set[str] = set()
        self._revoked: set[str] = set()

    def issue(self, did: str) -> Tokens:
        """Start a session of an account."""
        return Tokens(
            access=self._remember(_ACCESS, self._token(_ACCESS, ACCESS_LIFETIME, sub=did)),
            refresh=self._remember(_REFRESH, self._token(_REFRESH, REFRESH_LIFETIME, sub=did)),
        )

    def service_token(self, did: str, audience: str, method: str) -> str:
        """What a PDS sends along when it passes a request of an account on to a service."""
        return self._token(_SERVICE, SERVICE_LIFETIME, iss=did, aud=audience, lxm=method)

    def account_of(self, access_token: str) -> str:
        """The DID whose session it is.

        Raises:
            XrpcError: 400 `ExpiredToken` or `InvalidToken`.
        """
        return str(self._verified(access_token, _ACCESS)["sub"])

    def refreshable(self, refresh_token: str) -> str:
        """The DID whose session may be renewed.

        Raises:
            XrpcError: 400 `ExpiredToken` or `InvalidToken`.
        """
        claims = self._verified(refresh_token, _REFRESH)
        with self._lock:
            if refresh_token in self._revoked:
                raise XrpcError(400, "ExpiredToken", "Token has been revoked")
        return str(claims["sub"])

    def revoke(self, refresh_token: str) -> None:
        """End a session: it cannot be renewed. Its access token lives on, as on the real PDS."""
        self._verified(refresh_token, _REFRESH)
        with self._lock:
            self._revoked.add(refresh_token)

    def caller_of(self, token: str | None, audience: str, method: str) -> str:
        """The account in whose name a PDS calls a service.

        Raises:
            XrpcError: 401, the token is missing or made for something else.
        """
        if token is None:
            raise XrpcError(401, "MissingJwt", "missing jwt")
        kind = self._kind(token)
        if kind != _SERVICE:
            raise XrpcError(401, "BadJwtType", f'Invalid jwt type "{kind}"')
        claims = self._verified(token, _SERVICE)
        if claims["aud"] != audience:
            raise XrpcError(401, "BadJwtAudience", "jwt audience does not match service did")
        if claims["lxm"] != method:
            raise XrpcError(401, "BadJwtLexiconMethod", "bad jwt lexicon method (lxm)")
        return str(claims["iss"])

    def expire(self, *, refresh: bool = False) -> None:
        """Let every access token expire that was issued so far, and refresh tokens if told."""
        with self._lock:
            self._expired |= self._issued[_ACCESS]
            if refresh:
                self._expired |= self._issued[_REFRESH]

    def _remember(self, kind: str, token: str) -> str:
        with self._lock:
            self._issued[kind].add(token)
        return token

    def _token(self, kind: str, lifetime: timedelta, **claims: str) -> str:
        now = int(self._clock().timestamp())
        header = {"typ": kind, "alg": "HS256"}
        payload: dict[str, Any] = {
            **claims,
            "jti": str(next(self._numbers)),
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        signed = ".".join(_base64(msgspec.json.encode(part)) for part in (header, payload))
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return _base64(hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).digest())

    def _kind(self, token: str) -> str:
        try:
            header = msgspec.json.decode(_unbase64(token.split(".")[0]), type=dict[str, Any])
        except ValueError:
            return ""
        return str(header.get("typ", ""))

    def _verified(self, token: str, kind: str) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        expected = self._signature(signed).encode()
        if not hmac.compare_digest(signature.encode(), expected) or self._kind(token) != kind:
            raise _invalid()
        claims = msgspec.json.decode(_unbase64(signed.split(".")[1]), type=dict[str, Any])
        with self._lock:
            expired = token in self._expired
        if expired or claims["exp"] <= self._clock().timestamp():
            raise XrpcError(400, "ExpiredToken", "Token has expired")
        return claims
