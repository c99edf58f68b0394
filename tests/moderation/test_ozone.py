"""OzoneClient over HTTP, against answers as the real servers give them."""

import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from phash_dagster.moderation.actions import Event
from phash_dagster.moderation.events import event_body
from phash_dagster.moderation.ozone import EmitResult, OzoneClient
from phash_dagster.moderation.ozone_errors import (
    OzoneLoginRefusedError,
    OzoneMisconfiguredError,
    OzoneRefusedError,
    OzoneUnavailableError,
)
from tests.moderation.builders import ManualClock, action_on_account, action_on_post
from tests.moderation.fake_ozone import (
    ACCOUNT,
    AUTOMOD_DID,
    EMIT,
    LOGIN,
    PASSWORD,
    QUERY,
    REFRESH,
    Answer,
    FakeOzone,
    refusal,
)


@pytest.fixture
def ozone() -> FakeOzone:
    return FakeOzone()


@pytest.fixture
def client(ozone: FakeOzone, clock: ManualClock) -> Iterator[OzoneClient]:
    with OzoneClient(ACCOUNT, clock=clock, transport=ozone.transport()) as client:
        yield client


def test_an_event_arrives_as_built_and_answers_its_id(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    action = replace(action_on_post(), comment="ümläut")
    assert client.emit(action) == EmitResult(1)
    assert ozone.calls[-1].body == event_body(action, AUTOMOD_DID)


def test_a_request_goes_to_the_labeler_as_our_tool(ozone: FakeOzone, client: OzoneClient) -> None:
    client.emit(action_on_post())
    headers = ozone.calls[-1].headers
    assert headers["atproto-proxy"] == "did:plc:labeler#atproto_labeler"
    assert headers["user-agent"].startswith("phash-dagster/")
    assert headers["content-type"] == "application/json"


def test_the_login_happens_once_and_not_before_there_is_something_to_send(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    assert ozone.calls == []
    client.emit(action_on_post("1"))
    client.emit(action_on_post("2"))
    assert ozone.methods() == [LOGIN, EMIT, EMIT]


def test_an_event_that_ozone_has_counts_as_sent_with_its_id(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    client.emit(action_on_post("1"))
    client.emit(action_on_post("2"))
    again = client.emit(action_on_post("1"))
    assert (again.event_id, again.duplicate) == (1, True)
    assert "DuplicateExternalId" in str(again.note)
    assert len(ozone.events) == 2


def test_a_duplicate_counts_as_sent_though_its_id_cannot_be_found(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    client.emit(action_on_post())
    ozone.fail_next(QUERY, refusal(502, "UpstreamFailure"))
    again = client.emit(action_on_post())
    assert (again.event_id, again.duplicate) == (None, True)


def test_the_takedown_of_what_is_taken_down_counts_as_sent(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    action = action_on_account(event=Event.TAKEDOWN, value="")
    ozone.taken_down.add(action.subject_did)
    result = client.emit(action)
    assert (result.event_id, result.duplicate) == (None, True)
    assert "Subject is already taken down" in str(result.note)


def test_two_posts_of_one_author_do_not_collide(ozone: FakeOzone, client: OzoneClient) -> None:
    assert not client.emit(action_on_post("1")).duplicate
    assert not client.emit(action_on_post("2")).duplicate


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
def test_a_session_that_is_no_longer_accepted_is_renewed(
    ozone: FakeOzone, client: OzoneClient, code: str
) -> None:
    client.emit(action_on_post("1"))
    ozone.fail_next(EMIT, refusal(400, code))
    assert client.emit(action_on_post("2")) == EmitResult(2)
    assert ozone.methods() == [LOGIN, EMIT, EMIT, REFRESH, EMIT]


def test_a_fresh_session_that_is_not_accepted_does_not_lead_to_login_after_login(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    ozone.fail_next(EMIT, *[refusal(400, "ExpiredToken")] * 9)
    with pytest.raises(OzoneUnavailableError, match="fresh session"):
        client.emit(action_on_post())
    assert ozone.methods().count(LOGIN) == 2


def test_a_refusal_is_final_and_in_ozones_words(ozone: FakeOzone, client: OzoneClient) -> None:
    ozone.fail_next(EMIT, refusal(400, "InvalidRequest", "Invalid label"))
    with pytest.raises(OzoneRefusedError, match=r"^InvalidRequest: Invalid label$"):
        client.emit(action_on_post())


@pytest.mark.parametrize(
    "failure",
    [
        refusal(502, "UpstreamFailure"),
        Answer(503, b"<html>down for maintenance</html>"),
        Answer(200, b"<html>a captive portal</html>"),
        Answer(200, b'{"id": 1', {"content-type": "application/json"}),
        Answer(200, {"unexpected": True}),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("closed"),
    ],
    ids=["502", "503", "html", "cut off", "no id", "time-out", "connection", "protocol"],
)
def test_no_usable_answer_can_be_tried_again(
    ozone: FakeOzone, client: OzoneClient, failure: Answer | Exception
) -> None:
    ozone.fail_next(EMIT, failure)
    with pytest.raises(OzoneUnavailableError):
        client.emit(action_on_post())
    assert client.emit(action_on_post()) == EmitResult(1)


@pytest.mark.parametrize(
    ("method", "failure", "may_have_arrived"),
    [
        (EMIT, httpx.ReadTimeout("slow"), True),
        (EMIT, httpx.ReadError("reset"), True),
        (EMIT, httpx.RemoteProtocolError("closed"), True),
        (EMIT, Answer(200, {"unexpected": True}), True),
        (EMIT, httpx.ConnectError("refused"), False),
        (EMIT, httpx.ConnectTimeout("slow"), False),
        (EMIT, refusal(502, "UpstreamFailure"), False),
        (LOGIN, httpx.ReadTimeout("slow"), False),
        (LOGIN, refusal(504, "UpstreamTimeout"), False),
    ],
)
def test_what_may_have_arrived_is_told_apart_from_what_was_not_sent(
    ozone: FakeOzone,
    client: OzoneClient,
    method: str,
    failure: Answer | Exception,
    may_have_arrived: bool,
) -> None:
    ozone.fail_next(method, failure)
    with pytest.raises(OzoneUnavailableError) as caught:
        client.emit(action_on_post())
    assert caught.value.may_have_arrived is may_have_arrived


@pytest.mark.parametrize("method", [LOGIN, EMIT])
def test_a_rate_limit_says_how_long_to_wait(
    ozone: FakeOzone, client: OzoneClient, method: str
) -> None:
    ozone.fail_next(method, refusal(429, "RateLimitExceeded", retry_after="120"))
    with pytest.raises(OzoneUnavailableError) as caught:
        client.emit(action_on_post())
    assert caught.value.retry_after == 120


def test_a_rate_limit_may_name_the_time_of_its_reset(
    ozone: FakeOzone, client: OzoneClient, clock: ManualClock
) -> None:
    reset = str(int(clock().timestamp()) + 45)
    ozone.fail_next(EMIT, refusal(429, "RateLimitExceeded", ratelimit_reset=reset))
    with pytest.raises(OzoneUnavailableError) as caught:
        client.emit(action_on_post())
    assert caught.value.retry_after == 45


def test_a_wrong_password_is_one_clear_error(ozone: FakeOzone, clock: ManualClock) -> None:
    wrong = replace(ACCOUNT, password=SecretStr("wrong"))
    with (
        OzoneClient(wrong, clock=clock, transport=ozone.transport()) as client,
        pytest.raises(OzoneLoginRefusedError, match=r'AUTOMOD_HANDLE "automod\.test"'),
    ):
        client.emit(action_on_post())


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"<html>not here</html>"),
        Answer(302, b"", {"location": "https://elsewhere.test/"}),
        Answer(200, {"accessJwt": "no-jwt", "refreshJwt": "x", "handle": "a.test", "did": "did:a"}),
        Answer(200, {"no": "session"}),
    ],
    ids=["not found", "redirect", "token that is none", "no session"],
)
def test_a_server_that_is_no_pds_is_a_matter_of_settings(
    ozone: FakeOzone, client: OzoneClient, answer: Answer
) -> None:
    ozone.fail_next(LOGIN, answer)
    with pytest.raises(OzoneMisconfiguredError, match="OZONE_PDS"):
        client.emit(action_on_post())


def test_an_account_without_a_role_is_a_matter_of_settings(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    ozone.fail_next(EMIT, refusal(401, "AuthenticationRequired", "not a moderator account"))
    with pytest.raises(OzoneMisconfiguredError, match="LABELER_DID"):
        client.emit(action_on_post())


@pytest.mark.parametrize(
    "failure",
    [
        refusal(401, "AuthenticationRequired", "Invalid identifier or password"),
        refusal(500, "InternalServerError"),
        Answer(200, {"accessJwt": "secret-token", "refreshJwt": "secret-token", "did": 1}),
        httpx.ReadTimeout("slow"),
    ],
    ids=["refused", "500", "odd session", "time-out"],
)
def test_no_error_or_log_line_shows_a_password_or_token(
    ozone: FakeOzone,
    client: OzoneClient,
    failure: Answer | Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    ozone.fail_next(LOGIN, failure)
    try:
        client.emit(action_on_post())
    except Exception as error:  # noqa: BLE001 - whatever it is, it must keep the secret
        text = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    assert PASSWORD not in text
    assert "secret-token" not in text


def test_an_account_does_not_show_its_password() -> None:
    assert PASSWORD not in repr(ACCOUNT)


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, phash_dagster.moderation.emit; sys.exit('atproto' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
