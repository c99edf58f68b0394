"""An emitter that loses its right, and its successor, on PostgreSQL."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emission import REPLACED
from phash_dagster.moderation.emit import RIVAL, emit_actions
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from tests.moderation.builders import TTL, action_on_post
from tests.moderation.conftest import lose_every_lock
from tests.moderation.scripted_ozone import FakeTime, ScriptedOzone

pytestmark = pytest.mark.slow

OPTIONS = EmitOptions(rate_limit_ms=0)
LOST_AT = 4
"""The event during which the first emitter loses its right: it has taken others besides."""


@dataclass
class SlowOzone(ScriptedOzone):
    """Applies an event at the end of its request, and counts how often it applied which."""

    applied: Counter[str] = field(default_factory=Counter)

    def emit(self, action: Action) -> EmitResult:
        self.asked.append(action)
        self.on_request(action)
        if action.external_id in self.events:
            return EmitResult(self.events[action.external_id], duplicate=True)
        self.applied[action.external_id] += 1
        self.events[action.external_id] = len(self.events) + 1
        return EmitResult(self.events[action.external_id])


def recorded(ledger: Ledger, count: int) -> list[Action]:
    rows = [action_on_post(str(number)) for number in range(count)]
    assert ledger.record(rows, claim_ttl=TTL) == count
    return rows


@pytest.mark.parametrize("seconds", [1.0, RIVAL.total_seconds() - 6.0])
def test_an_emitter_that_lost_its_lock_and_its_successor_send_each_event_once(
    postgres_url: str, seconds: float
) -> None:
    """The request under way goes on for so long after the lock was lost."""
    time = FakeTime()
    with Ledger(postgres_url, time.clock) as one, Ledger(postgres_url, time.clock) as other:
        rows = recorded(one, 30)
        ozone = SlowOzone()
        successors: list[EmitSummary] = []

        def take_over(_: Action) -> None:
            if len(ozone.asked) != LOST_AT or successors:
                return
            lose_every_lock(other)
            # The successor works while the request is under way, as far as the time goes.
            brief = EmitOptions(rate_limit_ms=0, max_seconds=seconds)
            successors.append(emit_actions(other, ozone, brief, pacing=time.pacing))
            time.now += seconds

        ozone.on_request = take_over
        first = emit_actions(one, ozone, OPTIONS, pacing=time.pacing)
        assert first.stopped == REPLACED
        time.now += 10.0
        while emit_actions(other, ozone, OPTIONS, pacing=time.pacing).left_planned:
            pass
        assert ozone.applied == {row.external_id: 1 for row in rows}
        assert other.counts() == {State.SENT: len(rows)}


def test_a_successor_waits_for_as_long_as_the_other_may_still_send(
    postgres_url: str,
) -> None:
    time = FakeTime()
    with Ledger(postgres_url, time.clock) as one, Ledger(postgres_url, time.clock) as other:
        [row] = recorded(one, 1)
        lost = one.sending.term(RIVAL)
        term = lost.__enter__()
        assert term is not None
        one.sending.take(one.planned(1), term)
        lose_every_lock(other)
        ozone = SlowOzone()
        assert emit_actions(other, ozone, OPTIONS, pacing=time.pacing) == EmitSummary(sent=1)
        assert time.slept == [RIVAL.total_seconds()]
        assert ozone.applied == {row.external_id: 1}
