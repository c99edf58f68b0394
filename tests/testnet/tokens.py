"""Access tokens as the PDS would have made them at another time."""

import base64
import hashlib
import hmac

import msgspec

DAY_SECONDS = 86_400


def expired(token: str, jwt_secret: str, *, days: int = 1) -> str:
    """Return the same token as issued days earlier, signed as the PDS signs (HS256, RFC 7515)."""
    header, payload, _ = token.split(".")
    claims = msgspec.json.decode(_decode(payload), type=dict[str, object])
    for claim in ("iat", "exp"):
        moment = claims[claim]
        if not isinstance(moment, int):
            raise TypeError(f"the token's claim {claim!r} is {moment!r}, not a number of seconds")
        claims[claim] = moment - days * DAY_SECONDS
    signed = f"{header}.{_encode(msgspec.json.encode(claims))}"
    signature = hmac.digest(jwt_secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_encode(signature)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
