"""What the metrics tell of the ledger, on both databases."""

from dataclasses import replace

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import Pacing
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_metrics import Group
from phash_dagster.moderation.ozone_circuit import PauseKind
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_account, action_on_post
from tests.moderation.scripted_ozone import AT_ONCE, NOT_TAKEN, ScriptedOzone


def test_actions_that_are_alike_are_counted_together(ledger: Ledger) -> None:
    rows = [action_on_post("1"), action_on_post("2"), action_on_account(state=State.HELD)]
    ledger.record(rows, claim_ttl=TTL)
    tallies = ledger.tallies()
    assert sorted(tallies.groups) == [
        Group("label", "account", "live", "live", "held", "rule-1", False, 1),
        Group("label", "post", "live", "live", "planned", "rule-1", False, 2),
    ]
    assert tallies.oldest == {"planned": NOW, "held": NOW}


def test_totals_add_up_over_the_changes_of_a_circuit(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.sending.count_rejection()
    ledger.sending.count_probe()
    tallies = ledger.tallies()
    assert tallies.rejections == 2
    assert tallies.transitions == {"open": 0, "half_open": 1, "closed": 0}
    assert tallies.pauses == {kind.value: 0 for kind in PauseKind}


def test_an_outage_is_told_by_the_runs_that_meet_it(
    sqlite_ledger: Ledger, clock: ManualClock
) -> None:
    pacing = Pacing(clock=clock, sleep=lambda _: None, monotonic=lambda: 0.0)
    rows = [action_on_post(str(number), did=f"did:plc:{number}") for number in range(8)]
    sqlite_ledger.record(rows, claim_ttl=TTL)
    ozone = ScriptedOzone([NOT_TAKEN] * 5)
    for _ in range(3):  # fails five times in a row, and is left alone twice
        emit_actions(sqlite_ledger, ozone, replace(AT_ONCE, attempts=1), pacing=pacing)
    clock.advance(seconds=61)
    emit_actions(sqlite_ledger, ozone, AT_ONCE, pacing=pacing)
    tallies = sqlite_ledger.tallies()
    assert sqlite_ledger.counts() == {State.SENT: 8}
    assert tallies.transitions == {"open": 1, "half_open": 1, "closed": 1}
    assert tallies.rejections == 2
    assert tallies.pauses == {"outage": 1, "limit": 0, "settings": 0}
