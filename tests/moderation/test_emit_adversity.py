"""What goes wrong between the emitter and Ozone, over HTTP; and what changes in the meantime."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from phash_dagster.clock import utc_now
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions, emit_planned
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.ozone_errors import OzoneMisconfiguredError
from phash_dagster.moderation.pds_session import OzoneAccount
from phash_dagster.moderation.unwanted import suppress_unwanted
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox.identifiers import blob_cid, record_cid
from phash_dagster.settings import settings_from
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import TTL, action_on_post
from tests.moderation.killed_emitter import NEVER, Job, started
from tests.moderation.scripted_ozone import FakeTime, ScriptedOzone

pytestmark = pytest.mark.slow

AT_ONCE = EmitOptions(rate_limit_ms=0, first_wait_seconds=0.01, settle_seconds=0.3)
EMIT = "emitEvent"


class Network:
    """A sandbox, and emitters that send to it, each as a process of its own would."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.world, self.folder = sandbox, sandbox.world, folder
        self.ledger_url = f"sqlite:///{folder / 'ledger.sqlite'}"
        self.ledger = Ledger(self.ledger_url)

    def record(self, count: int, event: Event = Event.REPORT) -> list[Action]:
        actions = [
            replace(
                action_on_post(str(number), event=event),
                subject_cid=record_cid({"number": number}),
                blob_cids=(blob_cid(b"image"),),
            )
            for number in range(count)
        ]
        assert self.ledger.record(actions, claim_ttl=TTL) == count
        return actions

    def emit(self, options: EmitOptions = AT_ONCE) -> EmitSummary:
        automod = self.world.automod
        account = OzoneAccount(
            self.sandbox.pds_url,
            automod.handle,
            SecretStr(automod.password),
            self.world.labeler_did,
        )
        with OzoneClient(account, keep_session_in=self.folder / "session.json") as ozone:
            return emit_actions(self.ledger, ozone, options)

    def emit_until_done(self) -> None:
        while self.emit().left_planned:
            pass

    def fail(self, service: str, count: int, matching: str = EMIT, **failure: Any) -> None:
        self.world.fail_next(service, count, Failure(matching=matching, **failure))  # type: ignore[arg-type]

    def arrived(self) -> Counter[str]:
        """How often each subject was reported or labelled."""
        return Counter(
            event.subject.key
            for event in self.world.moderation.events()
            if not event.type.endswith("Tag")
        )

    def asked(self, service: str, method: str) -> int:
        requests = self.world.traffic.requests(service)  # type: ignore[arg-type]
        return sum(count for path, count in requests.items() if method in path)

    def assert_each_arrived_once(self, actions: list[Action]) -> None:
        assert self.arrived() == {action.subject: 1 for action in actions}
        assert self.ledger.counts() == {State.SENT: len(actions)}


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Sandbox() as sandbox:
        found = Network(sandbox, tmp_path)
        yield found
        found.ledger.close()


# Lost and late answers


@pytest.mark.parametrize("service", ["pds", "ozone"])
def test_answers_that_are_lost_after_the_event_was_applied_lead_to_no_second_one(
    network: Network, service: str
) -> None:
    actions = network.record(6)
    network.fail(service, 3, status=None, carried_out=True)
    network.emit_until_done()
    network.assert_each_arrived_once(actions)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_errors_that_are_answered_after_the_event_was_applied_lead_to_no_second_one(
    network: Network, status: int
) -> None:
    actions = network.record(6)
    network.fail("ozone", 4, status=status, carried_out=True)
    network.emit_until_done()
    network.assert_each_arrived_once(actions)


def test_an_ozone_that_is_slower_than_the_pds_waits_gets_each_event_once(
    network: Network,
) -> None:
    actions = network.record(3)
    network.fail("ozone", 1, status=200, delay=11.0)
    first = network.emit()
    assert first.left_planned == 1
    [unclear] = network.ledger.in_state(State.SENDING)
    assert unclear.reason == "502 UpstreamFailure: Upstream service unreachable"
    network.emit_until_done()
    network.assert_each_arrived_once(actions)


def test_an_ozone_that_is_slow_gets_each_event_once(network: Network) -> None:
    actions = network.record(4)
    network.fail("ozone", 3, status=200, delay=0.5)
    assert network.emit() == EmitSummary(sent=4)
    network.assert_each_arrived_once(actions)


# Refusals for now


@pytest.mark.parametrize("status", [502, 503, 500])
def test_an_error_or_two_are_retried_at_once(network: Network, status: int) -> None:
    actions = network.record(3)
    network.fail("ozone", 2, status=status)
    assert network.emit() == EmitSummary(sent=3)
    network.assert_each_arrived_once(actions)


def test_a_pds_that_asks_for_a_second_gets_it(network: Network) -> None:
    actions = network.record(3)
    network.fail("pds", 1, status=429, retry_after=1)
    assert network.emit() == EmitSummary(sent=3)
    network.assert_each_arrived_once(actions)


def test_a_pds_that_asks_for_minutes_is_left_alone_by_all_runs_until_then(
    network: Network,
) -> None:
    network.record(3)
    network.fail("pds", 1, status=429, retry_after=200)
    before = utc_now()
    summary = network.emit()
    assert summary.not_before is not None
    assert timedelta(seconds=190) < summary.not_before - before < timedelta(seconds=210)
    for _ in range(5):
        assert network.emit().not_before == summary.not_before
    assert network.asked("pds", EMIT) == 1


def test_too_many_logins_are_waited_for_and_not_repeated(network: Network) -> None:
    network.record(1)
    network.fail("pds", 99, matching="createSession", status=429, retry_after=200)
    for _ in range(5):
        assert network.emit().not_before is not None
    assert network.asked("pds", "createSession") <= 2


def test_a_wrong_password_is_tried_once_a_minute(network: Network) -> None:
    network.record(1)
    network.fail("pds", 99, matching="createSession", status=401)
    for _ in range(5):
        with pytest.raises(OzoneMisconfiguredError, match="AUTOMOD_PASSWORD"):
            network.emit()
    assert network.asked("pds", "createSession") == 1


# Sessions that end in mid-batch


@pytest.mark.parametrize(("refresh", "logins"), [(False, 1), (True, 2)])
def test_a_session_that_expires_in_mid_batch_is_renewed_and_each_event_arrives_once(
    network: Network, refresh: bool, logins: int
) -> None:
    actions = network.record(8)
    check = network.world.moderation.check
    checked: list[object] = []

    def expire_at_the_fourth(*arguments: Any) -> None:
        checked.append(arguments)
        if len(checked) == 4:
            network.world.sessions.expire(refresh=refresh)
        check(*arguments)

    network.world.moderation.check = expire_at_the_fourth  # type: ignore[method-assign, assignment]
    assert network.emit() == EmitSummary(sent=8)
    network.assert_each_arrived_once(actions)
    assert network.asked("pds", "createSession") == logins
    assert network.asked("pds", "refreshSession") == 1


# Two at once


def test_of_several_emitters_at_once_one_sends(network: Network) -> None:
    actions = network.record(40)
    automod = network.world.automod
    job = Job(
        network.ledger_url,
        network.folder / "session.json",
        network.sandbox.pds_url,
        automod.handle,
        automod.password,
        network.world.labeler_did,
    )
    emitters = [started(job, NEVER) for _ in range(4)]
    for emitter in emitters:
        emitter.join()
    assert [emitter.exitcode for emitter in emitters] == [0] * 4
    network.assert_each_arrived_once(actions)


# What changes in the meantime


def test_a_clock_that_jumps_back_in_mid_run_sends_nothing_twice(sqlite_ledger: Ledger) -> None:
    rows = [action_on_post(str(number)) for number in range(6)]
    sqlite_ledger.record(rows, claim_ttl=TTL)
    time = FakeTime()

    def jump(action: Action) -> None:
        if action.subject_cid == "bafyrei3":
            time.set_forward = timedelta(days=-30)

    ozone = ScriptedOzone(on_request=jump)
    options = EmitOptions(rate_limit_ms=0)
    assert emit_actions(sqlite_ledger, ozone, options, pacing=time.pacing) == EmitSummary(sent=6)
    assert emit_actions(sqlite_ledger, ozone, options, pacing=time.pacing) == EmitSummary()
    assert len(ozone.asked) == 6
    # What was sent holds its claim, however old its time looks or young.
    claims = [row.claim for row in rows]
    assert sqlite_ledger.claims(claims, time.clock() - TTL).live == set(claims)


def _looking_again(bench: Bench) -> Callable[[], int]:
    return lambda: suppress_unwanted(
        bench.ledger, bench.warehouse, bench.posts, bench.clock(), bench.settings
    )


def test_a_rule_that_is_removed_between_plan_and_send_sends_nothing(bench: Bench) -> None:
    bench.write(post("a"), post("b"))
    bench.plan()
    bench.load(a_rule("another"), at=bench.clock())
    ozone = ScriptedOzone()
    summary = emit_actions(bench.ledger, ozone, AT_ONCE, look_again=_looking_again(bench))
    assert (summary.sent, summary.suppressed) == (0, 2)
    assert ozone.asked == []


@pytest.mark.parametrize("arrived", [True, False])
def test_a_rule_that_is_removed_between_crash_and_settling_sends_nothing_anew(
    bench: Bench, arrived: bool
) -> None:
    bench.write(post("a"))
    bench.plan()
    [left] = bench.rows()
    bench.ledger.mark_sending(left.action_id)
    bench.load(a_rule("another"), at=bench.clock())
    ozone = ScriptedOzone(events={left.external_id: 9} if arrived else {})
    emit_actions(
        bench.ledger, ozone, AT_ONCE, pacing=FakeTime().pacing, look_again=_looking_again(bench)
    )
    assert ozone.asked == []
    assert bench.states() == ["sent" if arrived else "suppressed"]


def test_in_live_mode_a_run_by_the_settings_goes_on_with_the_session_of_the_last(
    network: Network,
) -> None:
    environment = network.sandbox.settings_environment() | {
        "MODERATION_MODE": "live",
        "RATE_LIMIT_MS": "0",
        "DATA_DIR": str(network.folder),
    }
    settings = settings_from(environment)
    for _ in range(3):
        network.ledger.record([action_on_post(str(len(network.arrived())))], claim_ttl=TTL)
        emit_planned(network.ledger, settings)
    assert network.asked("pds", "createSession") == 1
