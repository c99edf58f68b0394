"""The checks on `moderation_actions`, and when the sensor reports them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from phash_dagster.defs.action_health import CHECKS, action_checks, action_health_sensor
from phash_dagster.moderation.actions import State
from phash_dagster.moderation.budgets import HashKey
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import Settings, settings_from
from tests.moderation.builders import HASH, NOW, TTL, ManualClock, action_on_post

BACKFILL: dict[str, Any] = {"lane": "backfill", "batch_id": "backfill-1", "reason": "too far"}


@dataclass
class Health:
    """The sensor, called as Dagster does: with its last cursor."""

    settings: Settings
    clock: ManualClock = field(default_factory=ManualClock)
    cursor: str | None = None

    def look(self) -> dict[str, dg.AssetCheckEvaluation]:
        context = dg.build_sensor_context(cursor=self.cursor)
        result = action_health_sensor(context, settings=self.settings, clock=self.clock)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return {
            event.check_name: event
            for event in result.asset_events
            if isinstance(event, dg.AssetCheckEvaluation)
        }

    def ledger(self) -> Ledger:
        return Ledger(self.settings.effective_ledger_url, self.clock)


@pytest.fixture
def health(tmp_path: Path) -> Health:
    return Health(settings_from({"DATA_DIR": str(tmp_path)}))


def test_an_empty_ledger_is_well_and_each_check_says_so_once(health: Health) -> None:
    evaluations = health.look()
    assert evaluations.keys() == {check.name for check in CHECKS}
    assert all(evaluation.passed for evaluation in evaluations.values())
    health.clock.advance(seconds=30)
    assert health.look() == {}


def test_held_actions_turn_their_check_red_until_a_person_decides(health: Health) -> None:
    health.look()
    with health.ledger() as ledger:
        ledger.record([action_on_post(state=State.HELD, **BACKFILL)], claim_ttl=TTL)
    found = health.look()
    assert found.keys() == {"held_actions"}
    assert not found["held_actions"].passed
    assert found["held_actions"].metadata["held"].value == 1
    details = str(found["held_actions"].metadata["details"].value)
    assert "rule-1" in details
    assert "too far" in details
    assert "backfill-1" in details
    assert "actions release" in (found["held_actions"].description or "")


def test_more_of_the_same_is_no_news_and_another_rule_is(health: Health) -> None:
    with health.ledger() as ledger:
        ledger.record([action_on_post("1", state=State.HELD, reason="a")], claim_ttl=TTL)
        health.look()
        ledger.record([action_on_post("2", state=State.HELD, reason="b")], claim_ttl=TTL)
        assert health.look() == {}
        another = action_on_post("3", state=State.HELD, rule_id="rule-2")
        ledger.record([another], claim_ttl=TTL)
        assert health.look().keys() == {"held_actions"}


@pytest.mark.parametrize("state", [State.FAILED, State.DEAD])
def test_what_ozone_did_not_take_turns_a_check_red(health: Health, state: State) -> None:
    with health.ledger() as ledger:
        refused = action_on_post(state=state, reason="InvalidRequest: no such label")
        ledger.record([refused], claim_ttl=TTL)
    found = health.look()["failed_actions"]
    assert not found.passed
    assert "no such label" in str(found.metadata["details"].value)


def test_a_quarantined_hash_turns_a_check_red(health: Health) -> None:
    with health.ledger() as ledger:
        hour = NOW.replace(minute=0)
        key = HashKey("rule-1", HASH)
        ledger.limits.note_posts({(key, hour): 500}, min_posts=50, factor=10)
    found = health.look()["quarantined_hashes"]
    assert not found.passed
    assert HASH in str(found.metadata["details"].value)


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.name for check in CHECKS])
def test_a_person_can_run_a_check_at_any_time(health: Health, number: int) -> None:
    result = dg.materialize(
        [dg.AssetSpec("moderation_actions"), action_checks[number]],
        selection=dg.AssetSelection.all_asset_checks(),
        resources={"settings": health.settings, "clock": health.clock},
        instance=dg.DagsterInstance.ephemeral(),
    )
    [evaluation] = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == (CHECKS[number].name, True)
