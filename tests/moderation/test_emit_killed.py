"""An emitter that is killed in the middle of its work, and its successor."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger import Ledger
from tests.moderation.builders import NOW, TTL, action_on_account, action_on_post
from tests.moderation.fake_ozone import ACCOUNT, EMIT, FakeOzone, Moment, served

pytestmark = pytest.mark.slow

_EMITTER = """
import sys
from pydantic import SecretStr
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.pds_session import OzoneAccount

ledger_url, pds, handle, password, labeler = sys.argv[1:]
account = OzoneAccount(pds, handle, SecretStr(password), labeler)
with Ledger(ledger_url) as ledger, OzoneClient(account) as ozone:
    emit_actions(ledger, ozone, EmitOptions(rate_limit_ms=0, settle_seconds=0.5))
"""


def _start_emitter(ledger_url: str, pds: str) -> "subprocess.Popen[bytes]":
    password = ACCOUNT.password.get_secret_value()
    arguments = [ledger_url, pds, ACCOUNT.handle, password, ACCOUNT.labeler_did]
    return subprocess.Popen([sys.executable, "-c", _EMITTER, *arguments])


@pytest.mark.parametrize("moment", ["arrived", "applied"])
def test_every_event_arrives_once_though_the_emitter_is_killed(
    tmp_path: Path, moment: Moment
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    actions = [*(action_on_post(str(number)) for number in range(4)), action_on_account()]
    with Ledger(url) as ledger:
        ledger.record(actions, claim_ttl=TTL)

    ozone = FakeOzone()
    victims: list[subprocess.Popen[bytes]] = []

    def kill_at_the_third_event(now: Moment, method: str) -> None:
        if victims and (now, method) == (moment, EMIT) and ozone.methods().count(EMIT) >= 2:
            victim = victims.pop()
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()

    with served(ozone, kill_at_the_third_event) as pds:
        killed = _start_emitter(url, pds)
        victims.append(killed)
        assert killed.wait(timeout=60) == -signal.SIGKILL
        with Ledger(url) as ledger:
            left = ledger.counts()
        assert left[State.SENDING] > 0
        assert _start_emitter(url, pds).wait(timeout=60) == 0

    sent = sorted(event["externalId"] for event in ozone.events)
    assert sent == sorted(action.external_id for action in actions)
    with Ledger(url) as ledger:
        assert ledger.counts() == {State.SENT: len(actions)}
        assert {row.ozone_event_id for row in ledger.changed_since(NOW)} == {1, 2, 3, 4, 5}
