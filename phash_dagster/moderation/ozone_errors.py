"""What Ozone and the PDS in front of it answer when they do not accept an event. Pure.

Every rule here is from calls to the real servers; see the comments for what they said.
"""

from dataclasses import dataclass
from typing import Final

from phash_dagster.moderation.actions import Event


class OzoneError(Exception):
    """An event was not accepted; the text says why, in Ozone's own words where it has any."""


class OzoneRefusedError(OzoneError):
    """Refused for good: sending this event again will be refused again."""


class OzoneUnavailableError(OzoneError):
    """No usable answer: try again later. The event may have arrived all the same.

    Args:
        message: What went wrong.
        retry_after: See the attribute.
        may_have_arrived: See the attribute. True unless the caller knows better, since a request
            that is repeated too early is applied twice.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, may_have_arrived: bool = True
    ) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived
        """Whether Ozone may still be applying the event, as after a time-out. Its check for
        duplicates does not see what it is still applying, so such a request must not be repeated
        at once."""
        self.retry_after = retry_after
        """Seconds that the server asks us to wait, if it said so."""


class OzoneMisconfiguredError(OzoneError):
    """Nothing can be sent with these settings; the text names the variable to check."""


class OzoneLoginRefusedError(OzoneMisconfiguredError):
    """The PDS does not let the account of AUTOMOD_HANDLE in."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An HTTP answer that is not a success."""

    status: int
    code: str
    """`error` of the XRPC error body, e.g. `InvalidRequest`; empty if the body is none."""
    message: str
    retry_after: float | None = None
    seconds: float = 0.0
    """How long the answer took."""

    def __str__(self) -> str:
        words = ": ".join(part for part in (self.code, self.message) if part)
        return words or f"HTTP status {self.status}"


class AnswerError(OzoneError):
    """The server answered with an error, not yet judged."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(str(answer))
        self.answer = answer


SLOW_SECONDS: Final = 5.0
"""A failure that took so long may be that of a PDS that lost patience with Ozone (it does after
10 s, and answers 502 `UpstreamFailure`), while Ozone goes on and applies the event in the end."""

_EXPIRED: Final = frozenset({"ExpiredToken", "InvalidToken"})
_NOT_SERVED: Final = frozenset({404, 405, 421, 451, 501})
_ROLE_REFUSAL: Final = "must be a"
"""How Ozone begins a refusal for want of a role: "Must be a full moderator to label content"."""
_ACCOUNT_GONE: Final = frozenset({"AccountDeactivated", "AccountSuspended", "AccountTakedown"})
"""About the sending account; the PDS says so before Ozone hears of the event."""
_VERDICTS: Final = frozenset({"InvalidRequest", "PayloadTooLarge", "SubjectHasAction"})
"""Errors about the event itself: those of the `emitEvent` lexicon, and XRPC's own."""


def is_session_expired(answer: ErrorAnswer) -> bool:
    """The access token is no longer accepted: log in again. A 400, not a 401."""
    return answer.code in _EXPIRED


def is_duplicate(answer: ErrorAnswer) -> bool:
    """Ozone has had this `externalId`: the event arrived earlier."""
    return answer.code == "DuplicateExternalId"


def is_already_so(event: Event, answer: ErrorAnswer) -> bool:
    """What a takedown or its reversal asks for is the case."""
    if event is Event.TAKEDOWN:
        return answer.status == 400 and "already taken down" in answer.message
    if event is Event.REVERSE_TAKEDOWN:
        return answer.status == 400 and "is not taken down" in answer.message
    return False


def event_error(answer: ErrorAnswer) -> OzoneError:
    """The error for an answer to `emitEvent` or `queryEvents`."""
    if is_session_expired(answer):
        text = f"a fresh session was not accepted: {answer}"
        return OzoneUnavailableError(text, may_have_arrived=False)
    if error := _no_verdict(answer):
        return error
    if answer.message.lower().startswith(_ROLE_REFUSAL):
        return OzoneMisconfiguredError(
            f"the role of this account in Ozone is too low: {answer}. "
            "Make the account of AUTOMOD_HANDLE a moderator in Ozone"
        )
    if answer.code in _ACCOUNT_GONE:
        return OzoneMisconfiguredError(
            f"the sending account cannot be used: {answer}. Check the account of AUTOMOD_HANDLE"
        )
    if answer.status in (401, 403):
        return OzoneMisconfiguredError(
            f"Ozone does not take events from this account: {answer}. Check that the account of "
            "AUTOMOD_HANDLE is a moderator of the labeler LABELER_DID"
        )
    if "could not resolve proxy did" in answer.message:  # "… service url" likewise
        return OzoneMisconfiguredError(
            f"the PDS does not find the labeler: {answer}. Check LABELER_DID"
        )
    if answer.code not in _VERDICTS:
        # A proxy on the way, or a server newer than this list. A refusal would be for good.
        return _not_applied(answer)
    return OzoneRefusedError(str(answer))


def login_error(answer: ErrorAnswer, handle: str) -> OzoneError:
    """The error for an answer to `createSession`."""
    error = _no_verdict(answer)
    if isinstance(error, OzoneUnavailableError):
        return _not_applied(answer)  # no event was sent yet
    return error or OzoneLoginRefusedError(
        f'the PDS refused the login of AUTOMOD_HANDLE "{handle}": {answer}. '
        "Check AUTOMOD_HANDLE and AUTOMOD_PASSWORD (an app password of that account)"
    )


def refresh_error(answer: ErrorAnswer) -> OzoneUnavailableError | None:
    """The error for an answer to `refreshSession`; None if it says that a login is needed."""
    error = _no_verdict(answer)
    return _not_applied(answer) if isinstance(error, OzoneUnavailableError) else None


def _no_verdict(answer: ErrorAnswer) -> OzoneError | None:
    """The error for an answer that says nothing about the request itself."""
    if answer.status in _NOT_SERVED or answer.status < 400:
        return OzoneMisconfiguredError(
            f"there is no PDS at this address: HTTP status {answer.status}, {answer}. "
            "Check OZONE_PDS"
        )
    # A time-out of the PDS or of a proxy: what is behind it may still be at work.
    if answer.status == 504 or (answer.status >= 500 and answer.seconds >= SLOW_SECONDS):
        return OzoneUnavailableError(f"{answer.status} {answer}", answer.retry_after)
    if answer.status >= 500 or answer.status in (408, 409, 425, 429):
        return _not_applied(answer)
    return None


def _not_applied(answer: ErrorAnswer) -> OzoneUnavailableError:
    """The server has answered, so that it is not at work on the request any more."""
    text = f"{answer.status} {answer}"
    return OzoneUnavailableError(text, answer.retry_after, may_have_arrived=False)
