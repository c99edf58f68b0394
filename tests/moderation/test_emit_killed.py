"""Emitters that are killed at any point of their work, and their successors."""

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.identifiers import blob_cid, record_cid
from tests.moderation.builders import NOW, TTL, action_on_account, action_on_post
from tests.moderation.killed_emitter import NEVER, Job, emit_until_killed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
FEWEST_STEPS = 35
_numbers = itertools.count()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        yield network


def some_actions() -> list[Action]:
    """One of each kind, on subjects that nothing was done to yet."""
    did = f"did:plc:author{next(_numbers)}"
    return [
        on_post("1", did, Event.LABEL),
        on_post("2", did, Event.LABEL),
        on_post("2", did, Event.REPORT),
        on_post("3", did, Event.TAKEDOWN),
        action_on_account(did),
        action_on_account(did, event=Event.COMMENT),
    ]


def on_post(rkey: str, did: str, event: Event) -> Action:
    value = "" if event is Event.TAKEDOWN else "troll"
    cid, blob = record_cid({"rkey": rkey}), blob_cid(rkey.encode())
    action = action_on_post(rkey, did=did, event=event, value=value)
    return replace(action, subject_cid=cid, blob_cids=(blob,))


def job(sandbox: Sandbox, folder: Path) -> Job:
    automod = sandbox.world.automod
    return Job(
        ledger_url=f"sqlite:///{folder / 'ledger.sqlite'}",
        session_file=folder / "session.json",
        pds=sandbox.pds_url,
        handle=automod.handle,
        password=automod.password,
        labeler_did=sandbox.world.labeler_did,
    )


def sent_to(sandbox: Sandbox, did: str) -> Counter[tuple[str, str]]:
    """What Ozone holds on an account and its posts, without the tags that it adds itself."""
    return Counter(
        (event.type, event.subject.key)
        for event in sandbox.world.moderation.events()
        if event.subject.did == did and not event.type.endswith("modEventTag")
    )


def killed_and_started_again(sandbox: Sandbox, kills: list[int]) -> int:
    """Let emitters be killed at these steps, one after the other, and one come to its end.

    Returns:
        How many were killed.
    """
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    try:
        work, actions = job(sandbox, folder), some_actions()
        with Ledger(work.ledger_url) as ledger:
            ledger.record(actions, claim_ttl=TTL)
        killed = sum(not emit_until_killed(work, step) for step in kills)
        assert emit_until_killed(work, NEVER)
        sent = sent_to(sandbox, actions[0].subject_did)
        assert sum(sent.values()) == len(actions), kills
        assert set(sent.values()) == {1}, kills
        with Ledger(work.ledger_url) as ledger:
            assert ledger.counts() == {State.SENT: len(actions)}
            ids = [row.ozone_event_id for row in ledger.changed_since(NOW)]
        assert len(set(ids)) == len(actions)
        assert None not in ids
        for file in folder.iterdir():
            assert "session" not in file.name or file.stat().st_mode & 0o077 == 0
        return killed
    finally:
        shutil.rmtree(folder)


def test_killed_between_any_two_steps_ozone_has_each_event_once(sandbox: Sandbox) -> None:
    for step in itertools.count():
        if not killed_and_started_again(sandbox, [step]):
            break
    assert step > FEWEST_STEPS


def test_killed_again_and_again_ozone_has_each_event_once(sandbox: Sandbox) -> None:
    killed: list[int] = []

    @given(st.lists(st.integers(0, FEWEST_STEPS), min_size=1, max_size=4))
    @example([20, 3, 3, 3])
    @settings(
        max_examples=100,
        deadline=None,
        phases=[phase for phase in Phase if phase not in (Phase.explain, Phase.shrink)],
        suppress_health_check=[HealthCheck.too_slow],
    )
    def try_kills(kills: list[int]) -> None:
        killed.append(killed_and_started_again(sandbox, kills))

    try_kills()
    assert sum(killed) >= 200
