"""Sessions at the PDS: kept, refreshed, begun anew; never shown."""

import json
import logging
import os
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from phash_dagster.moderation.ozone import EmitResult, OzoneClient
from phash_dagster.moderation.ozone_errors import (
    OzoneLoginRefusedError,
    OzoneUnavailableError,
)
from phash_dagster.moderation.pds_session import OzoneAccount
from tests.moderation.builders import ManualClock, action_on_post
from tests.moderation.fake_ozone import (
    ACCOUNT,
    EMIT,
    LOGIN,
    PASSWORD,
    REFRESH,
    Answer,
    FakeOzone,
    refusal,
)

pytestmark = pytest.mark.slow

MINUTES = 60


@pytest.fixture
def ozone() -> FakeOzone:
    return FakeOzone()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ozone_session.json"


@pytest.fixture
def client(ozone: FakeOzone, clock: ManualClock) -> Iterator[OzoneClient]:
    with OzoneClient(ACCOUNT, clock=clock, transport=ozone.transport()) as client:
        yield client


class Runs:
    """One process after the other, each with a client of its own."""

    def __init__(self, ozone: FakeOzone, clock: ManualClock, file: Path) -> None:
        self.ozone, self.clock, self.file = ozone, clock, file
        self._posts = 0

    def emit(self, account: OzoneAccount = ACCOUNT) -> EmitResult:
        self._posts += 1
        with OzoneClient(
            account,
            clock=self.clock,
            transport=self.ozone.transport(),
            keep_session_in=self.file,
        ) as client:
            return client.emit(action_on_post(str(self._posts)))


@pytest.fixture
def runs(ozone: FakeOzone, clock: ManualClock, file: Path) -> Runs:
    return Runs(ozone, clock, file)


# From one run to the next


def test_the_next_run_goes_on_with_the_session_of_the_last(ozone: FakeOzone, runs: Runs) -> None:
    for _ in range(3):
        runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, EMIT, EMIT]


def test_a_day_of_runs_takes_one_login(ozone: FakeOzone, runs: Runs, clock: ManualClock) -> None:
    for _ in range(24 * 6):
        ozone.expires_at = clock().timestamp() + 120 * MINUTES
        runs.emit()
        clock.advance(minutes=10)
    methods = ozone.methods()
    assert methods.count(LOGIN) == 1
    assert methods.count(REFRESH) == 13
    assert methods.count(EMIT) == 24 * 6


def test_a_session_that_ended_while_nothing_ran_is_refreshed(
    ozone: FakeOzone, runs: Runs, clock: ManualClock
) -> None:
    ozone.expires_at = clock().timestamp() + 120 * MINUTES
    runs.emit()
    clock.advance(days=3)
    ozone.expires_at = clock().timestamp() + 120 * MINUTES
    runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, REFRESH, EMIT]


def test_what_was_refreshed_is_kept(ozone: FakeOzone, runs: Runs) -> None:
    runs.emit()
    ozone.valid_tokens.clear()
    for _ in range(2):
        runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, EMIT, REFRESH, EMIT, EMIT]


def test_a_session_that_was_revoked_leads_to_a_login(ozone: FakeOzone, runs: Runs) -> None:
    runs.emit()
    ozone.valid_tokens.clear()
    ozone.refresh_tokens.clear()
    for _ in range(2):
        runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, EMIT, REFRESH, LOGIN, EMIT, EMIT]


@pytest.mark.parametrize(
    "other",
    [
        replace(ACCOUNT, pds="https://other.test"),
        replace(ACCOUNT, handle="other.test"),
    ],
    ids=["PDS", "account"],
)
def test_the_session_of_another_is_not_used(
    ozone: FakeOzone, runs: Runs, other: OzoneAccount
) -> None:
    runs.emit()
    runs.emit(other)
    assert ozone.methods() == [LOGIN, EMIT, LOGIN, EMIT]


def test_a_changed_password_is_tried(ozone: FakeOzone, runs: Runs) -> None:
    runs.emit()
    with pytest.raises(OzoneLoginRefusedError):
        runs.emit(replace(ACCOUNT, password=SecretStr("mistyped")))
    runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, LOGIN, LOGIN, EMIT]


# Within a run


@pytest.mark.parametrize("minutes_left", [14, -1])
def test_a_session_is_refreshed_before_it_ends(
    ozone: FakeOzone, client: OzoneClient, clock: ManualClock, minutes_left: int
) -> None:
    ozone.expires_at = clock().timestamp() + 120 * MINUTES
    client.emit(action_on_post("1"))
    clock.advance(minutes=120 - minutes_left)
    ozone.expires_at = clock().timestamp() + 120 * MINUTES
    client.emit(action_on_post("2"))
    assert ozone.methods() == [LOGIN, EMIT, REFRESH, EMIT]


def test_a_session_that_is_far_from_its_end_is_left_alone(
    ozone: FakeOzone, client: OzoneClient, clock: ManualClock
) -> None:
    ozone.expires_at = clock().timestamp() + 120 * MINUTES
    client.emit(action_on_post("1"))
    clock.advance(minutes=104)
    client.emit(action_on_post("2"))
    assert ozone.methods() == [LOGIN, EMIT, EMIT]


def test_a_clock_that_is_a_day_ahead_does_not_refresh_at_each_call(
    ozone: FakeOzone, client: OzoneClient, clock: ManualClock
) -> None:
    ozone.expires_at = clock().timestamp() - 22 * 60 * MINUTES
    for number in range(3):
        client.emit(action_on_post(str(number)))
    assert ozone.methods() == [LOGIN, EMIT, EMIT, EMIT]


def test_a_session_that_ends_in_mid_batch_is_renewed_and_nothing_is_sent_twice(
    ozone: FakeOzone, client: OzoneClient
) -> None:
    client.emit(action_on_post("1"))
    ozone.valid_tokens.clear()
    assert client.emit(action_on_post("2")) == EmitResult(2)
    assert ozone.methods() == [LOGIN, EMIT, EMIT, REFRESH, EMIT]
    assert len(ozone.events) == 2


@pytest.mark.parametrize(
    "failure",
    [refusal(502, "UpstreamFailure"), refusal(429, "RateLimitExceeded"), httpx.ReadTimeout("x")],
    ids=["502", "429", "time-out"],
)
def test_a_refresh_without_an_answer_is_no_reason_to_log_in(
    ozone: FakeOzone, client: OzoneClient, failure: Answer | Exception
) -> None:
    client.emit(action_on_post("1"))
    ozone.valid_tokens.clear()
    ozone.fail_next(REFRESH, failure)
    with pytest.raises(OzoneUnavailableError) as caught:
        client.emit(action_on_post("2"))
    assert not caught.value.may_have_arrived
    assert client.emit(action_on_post("2")) == EmitResult(2)
    assert ozone.methods().count(LOGIN) == 1


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, "AccountTakedown"),
        refusal(400, "InvalidToken"),
        Answer(404, b"<html>no such method</html>"),
    ],
    ids=["taken down", "other keys", "unknown"],
)
def test_a_refused_refresh_leads_to_a_login(
    ozone: FakeOzone, client: OzoneClient, answer: Answer
) -> None:
    client.emit(action_on_post("1"))
    ozone.valid_tokens.clear()
    ozone.fail_next(REFRESH, answer)
    assert client.emit(action_on_post("2")) == EmitResult(2)
    assert ozone.methods() == [LOGIN, EMIT, EMIT, REFRESH, LOGIN, EMIT]


# What is kept, and from whom


def test_the_file_is_for_its_owner_alone_whatever_the_umask(runs: Runs, file: Path) -> None:
    before = os.umask(0)
    try:
        runs.emit()
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_written_into_a_file_that_others_may_read(
    runs: Runs, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that knows no permissions: every file looks as if all may read it."""
    written: list[int] = []
    really_open = os.open

    def open_for_all(path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = really_open(path, flags, mode)
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o644)
        return descriptor

    monkeypatch.setattr(os, "open", open_for_all)
    monkeypatch.setattr(os, "fsync", written.append)
    runs.emit()
    assert written == []
    assert list(file.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_a_login_a_run_and_nothing_else(
    ozone: FakeOzone, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "no-folder").write_text("a file")
    runs = Runs(ozone, clock, tmp_path / "no-folder" / "session.json")
    for _ in range(2):
        runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, LOGIN, EMIT]


def _readable_by_others(file: Path) -> None:
    file.chmod(0o644)


def _of_somebody_else(file: Path) -> None:
    os.chown(file, 65534, 65534)


def _a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def _no_text(file: Path) -> None:
    file.write_bytes(b"\xff\x00")


def _not_an_object(file: Path) -> None:
    file.write_text("[]")


def _garbage_as_session(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {"session": "garbage"}))


def _token_that_is_none(file: Path) -> None:
    session = "automod.test:::did:plc:automod:::no.jwt:::none:::https://pds.test"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"session": session}))


def _without_fingerprint(file: Path) -> None:
    content = json.loads(file.read_text())
    del content["password"]
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "spoil",
    [
        _readable_by_others,
        pytest.param(
            _of_somebody_else,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
        ),
        _a_link,
        _damaged,
        _no_text,
        _not_an_object,
        _garbage_as_session,
        _token_that_is_none,
        _without_fingerprint,
    ],
)
def test_a_file_that_cannot_be_trusted_is_not_used_but_replaced(
    ozone: FakeOzone, runs: Runs, file: Path, spoil: object
) -> None:
    runs.emit()
    assert callable(spoil)
    spoil(file)
    for _ in range(2):
        runs.emit()
    assert ozone.methods() == [LOGIN, EMIT, LOGIN, EMIT, EMIT]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not file.is_symlink()


def test_the_password_is_not_in_the_file(runs: Runs, file: Path) -> None:
    runs.emit()
    assert PASSWORD not in file.read_text()


# What is never shown


def test_no_log_line_or_repr_shows_a_token(
    ozone: FakeOzone, runs: Runs, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runs.emit()
    file.write_text(file.read_text()[:-1])
    ozone.valid_tokens.clear()
    runs.emit()
    with OzoneClient(ACCOUNT, transport=ozone.transport(), keep_session_in=file) as client:
        client.emit(action_on_post("last"))
        shown = caplog.text + repr(vars(client)) + repr(vars(client._session))
    assert "ozone_session.json is not used" in caplog.text
    assert "secret-signature" not in shown
    assert PASSWORD not in shown


def test_an_error_does_not_show_what_is_kept(ozone: FakeOzone, runs: Runs) -> None:
    runs.emit()
    ozone.fail_next(EMIT, refusal(400, "ExpiredToken"))
    ozone.fail_next(REFRESH, Answer(200, {"accessJwt": "secret-signature", "did": 1}))
    ozone.fail_next(LOGIN, Answer(200, {"accessJwt": "secret-signature", "refreshJwt": "x"}))
    with pytest.raises(Exception, match=r".") as caught:
        runs.emit()
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "secret-signature" not in text
