"""What each measured answer of Ozone and the PDS means."""

import pytest

from phash_dagster.moderation.actions import Event
from phash_dagster.moderation.ozone_errors import (
    ErrorAnswer,
    OzoneError,
    OzoneLoginRefusedError,
    OzoneMisconfiguredError,
    OzoneRefusedError,
    OzoneUnavailableError,
    event_error,
    is_already_so,
    is_duplicate,
    is_session_expired,
    login_error,
    refresh_error,
)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (ErrorAnswer(400, "InvalidRequest", "Invalid label"), OzoneRefusedError, "Invalid label"),
        (ErrorAnswer(413, "PayloadTooLarge", "too large"), OzoneRefusedError, "too large"),
        (
            ErrorAnswer(401, "AuthenticationRequired", "Must be a full moderator to label content"),
            OzoneMisconfiguredError,
            "Make the account of AUTOMOD_HANDLE a moderator in Ozone",
        ),
        (
            ErrorAnswer(
                401,
                "AuthenticationRequired",
                "Must be a full moderator to take this type of action",
            ),
            OzoneMisconfiguredError,
            "Make the account of AUTOMOD_HANDLE a moderator in Ozone",
        ),
        (
            ErrorAnswer(400, "AccountDeactivated", "Account is deactivated"),
            OzoneMisconfiguredError,
            "AUTOMOD_HANDLE",
        ),
        (
            ErrorAnswer(401, "AccountTakedown", "Account has been taken down"),
            OzoneMisconfiguredError,
            "sending account cannot be used",
        ),
        (ErrorAnswer(421, "", ""), OzoneMisconfiguredError, "OZONE_PDS"),
        (ErrorAnswer(451, "", ""), OzoneMisconfiguredError, "OZONE_PDS"),
        (ErrorAnswer(409, "", ""), OzoneUnavailableError, "409"),
        (ErrorAnswer(425, "", ""), OzoneUnavailableError, "425"),
        (ErrorAnswer(400, "", ""), OzoneUnavailableError, "400"),
        (ErrorAnswer(403, "", ""), OzoneMisconfiguredError, "LABELER_DID"),
        (ErrorAnswer(413, "", ""), OzoneUnavailableError, "413"),
        (ErrorAnswer(400, "UpstreamFailure", ""), OzoneUnavailableError, "UpstreamFailure"),
        (ErrorAnswer(400, "SubjectHasAction", ""), OzoneRefusedError, "SubjectHasAction"),
        (
            ErrorAnswer(401, "AuthenticationRequired", "not a moderator account"),
            OzoneMisconfiguredError,
            "AUTOMOD_HANDLE",
        ),
        (
            ErrorAnswer(400, "InvalidRequest", "could not resolve proxy did"),
            OzoneMisconfiguredError,
            "LABELER_DID",
        ),
        (
            ErrorAnswer(400, "InvalidRequest", "could not resolve proxy did service url"),
            OzoneMisconfiguredError,
            "LABELER_DID",
        ),
        (ErrorAnswer(404, "", ""), OzoneMisconfiguredError, "OZONE_PDS"),
        (ErrorAnswer(501, "MethodNotImplemented", ""), OzoneMisconfiguredError, "OZONE_PDS"),
        (ErrorAnswer(502, "UpstreamFailure", ""), OzoneUnavailableError, "UpstreamFailure"),
        (ErrorAnswer(502, "InternalServerError", ""), OzoneUnavailableError, "502"),
        (ErrorAnswer(500, "", ""), OzoneUnavailableError, "500"),
        (ErrorAnswer(429, "RateLimitExceeded", ""), OzoneUnavailableError, "RateLimitExceeded"),
        (ErrorAnswer(400, "ExpiredToken", ""), OzoneUnavailableError, "fresh session"),
    ],
)
def test_an_answer_to_an_event_is_told_apart(
    answer: ErrorAnswer, kind: type[OzoneError], words: str
) -> None:
    error = event_error(answer)
    assert type(error) is kind
    assert words in str(error)


def test_a_refusal_is_in_ozones_own_words() -> None:
    answer = ErrorAnswer(400, "InvalidRequest", 'Invalid label value "a b"')
    assert str(event_error(answer)) == 'InvalidRequest: Invalid label value "a b"'


@pytest.mark.parametrize(
    ("status", "may_have_arrived"), [(400, False), (429, False), (500, False), (504, True)]
)
def test_who_answers_is_not_applying_the_event_unless_it_is_a_proxy_that_gave_up(
    status: int, may_have_arrived: bool
) -> None:
    error = event_error(ErrorAnswer(status, "", ""))
    assert isinstance(error, OzoneUnavailableError)
    assert error.may_have_arrived is may_have_arrived


def test_without_other_knowledge_an_event_may_have_arrived() -> None:
    assert OzoneUnavailableError("no answer").may_have_arrived


def test_the_seconds_to_wait_are_passed_on() -> None:
    error = event_error(ErrorAnswer(429, "RateLimitExceeded", "", retry_after=120.0))
    assert isinstance(error, OzoneUnavailableError)
    assert error.retry_after == 120


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
def test_an_expired_session_is_known_by_its_code_and_not_its_status(code: str) -> None:
    assert is_session_expired(ErrorAnswer(400, code, ""))


def test_duplicates_are_known() -> None:
    assert is_duplicate(ErrorAnswer(400, "DuplicateExternalId", "…"))
    assert not is_duplicate(ErrorAnswer(400, "InvalidRequest", "…"))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event.TAKEDOWN, "Subject is already taken down"),
        (Event.REVERSE_TAKEDOWN, "Subject is not taken down"),
    ],
)
def test_a_second_takedown_or_reversal_is_known(event: Event, words: str) -> None:
    answer = ErrorAnswer(400, "InvalidRequest", words)
    assert is_already_so(event, answer)
    assert not is_already_so(Event.LABEL, answer)


def test_a_refused_login_names_the_variables_to_check() -> None:
    answer = ErrorAnswer(401, "AuthenticationRequired", "Invalid identifier or password")
    error = login_error(answer, "automod.test")
    assert isinstance(error, OzoneLoginRefusedError)
    assert 'AUTOMOD_HANDLE "automod.test"' in str(error)
    assert "Invalid identifier or password" in str(error)
    assert "AUTOMOD_PASSWORD" in str(error)


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_login_without_a_verdict_can_be_tried_again(status: int) -> None:
    error = login_error(ErrorAnswer(status, "", "", retry_after=9.0), "automod.test")
    assert isinstance(error, OzoneUnavailableError)
    assert error.retry_after == 9


@pytest.mark.parametrize(
    ("status", "seconds", "may_have_arrived"),
    [(502, 0.1, False), (502, 10.5, True), (500, 10.5, True), (504, 0.1, True), (429, 10.5, False)],
)
def test_a_failure_after_seconds_may_be_that_of_a_pds_that_lost_patience_with_ozone(
    status: int, seconds: float, may_have_arrived: bool
) -> None:
    answer = ErrorAnswer(status, "UpstreamFailure", "unreachable", seconds=seconds)
    error = event_error(answer)
    assert isinstance(error, OzoneUnavailableError)
    assert error.may_have_arrived is may_have_arrived


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_refresh_that_the_server_cannot_do_now_is_tried_again_later(status: int) -> None:
    error = refresh_error(ErrorAnswer(status, "", "", retry_after=7.0, seconds=20.0))
    assert error is not None
    assert (error.retry_after, error.may_have_arrived) == (7.0, False)


@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (401, ""), (404, "")])
def test_a_refresh_that_is_refused_asks_for_a_login(status: int, code: str) -> None:
    assert refresh_error(ErrorAnswer(status, code, "")) is None
