"""The ops of `moderation_actions` when something breaks: more tries, and what the run says."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType
from sqlalchemy.exc import OperationalError

from phash_dagster.clock import utc_now
from phash_dagster.defs.tags import RANGE_END, RANGE_START
from phash_dagster.moderation import emit, plan_hours
from phash_dagster.moderation.ledger import Ledger
from tests.defs.small_stack import SmallStack
from tests.moderation.builders import TTL, action_on_post
from tests.preview.past import entry

pytestmark = pytest.mark.slow

TROLL = 0x07870707A1B2C3D4


@pytest.fixture
def stack(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SmallStack:
    return with_a_match(SmallStack(instance, tmp_path, monkeypatch))


def with_a_match(stack: SmallStack) -> SmallStack:
    """An hour of the past with one post that a rule matches, not planned yet."""
    stack.post(utc_now() - timedelta(hours=5), [TROLL])
    stack.write({"blobs.json": [entry("troll", TROLL)]})
    assert stack.load()
    return stack


def broken(times: int, works: Callable[..., Any]) -> Callable[..., Any]:
    """A function that the database fails under, so many times."""
    left = iter(range(times))

    def function(*arguments: Any, **options: Any) -> Any:
        for _ in left:
            raise OperationalError("INSERT", {}, Exception("disk I/O error"))
        return works(*arguments, **options)

    return function


def rematch(stack: SmallStack) -> dg.ExecuteInProcessResult:
    [hour] = stack.posts.partition_keys()
    return stack.run("rematch_hours", {RANGE_START: hour, RANGE_END: hour})


def tried_again(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        str(event.step_key)
        for event in result.all_events
        if event.event_type is DagsterEventType.STEP_UP_FOR_RETRY
    ]


def said(stack: SmallStack, result: dg.ExecuteInProcessResult) -> str:
    """The errors in the run's log, as the UI shows them."""
    return "\n".join(
        entry.user_message
        for entry in stack.instance.all_logs(result.run_id)
        if int(entry.level) >= logging.ERROR and not entry.is_dagster_event
    )


@pytest.mark.parametrize(
    ("module", "function", "op"),
    [(plan_hours, "plan_hours", "plan_actions"), (emit, "emit_planned", "emit_ozone_events")],
)
def test_an_op_that_fails_twice_is_tried_again_and_does_its_work_once(
    stack: SmallStack, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, op: str
) -> None:
    monkeypatch.setattr(module, function, broken(2, getattr(module, function)))
    result = rematch(stack)
    assert result.success
    assert tried_again(result) == [f"moderation_actions.{op}"] * 2
    assert said(stack, result) == ""
    assert [action.value for action in stack.actions()] == ["troll"]


def test_an_op_that_fails_for_good_says_what_is_left_and_the_next_run_goes_on(
    stack: SmallStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(stack.settings.effective_ledger_url) as ledger:
        [rule] = stack.rules.rules
        waiting = [
            action_on_post(name, rule_id=rule.id, rule_hash=rule.phashes[0]) for name in ("1", "2")
        ]
        ledger.record(waiting, claim_ttl=TTL)
    with monkeypatch.context() as patch:
        patch.setattr(emit, "emit_planned", broken(99, emit.emit_planned))
        result = rematch(stack)
    assert not result.success
    assert len(tried_again(result)) == 2
    assert "emit_ozone_events failed after all its tries" in said(stack, result)
    assert "2 actions wait in the ledger" in said(stack, result)
    assert "phash-dagster actions list --state planned" in said(stack, result)
    again = rematch(stack)
    assert again.success
    assert said(stack, again) == ""


def test_where_the_ledger_cannot_be_read_the_run_says_so_without_the_password(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", "postgresql+psycopg2://ledger:sesame@127.0.0.1:9/moderation")
    stack = with_a_match(SmallStack(instance, tmp_path, monkeypatch))
    result = rematch(stack)
    assert not result.success
    assert "plan_actions failed after all its tries" in said(stack, result)
    assert "cannot read the ledger" in said(stack, result)
    assert "phash-dagster doctor" in said(stack, result)
    assert "sesame" not in "".join(entry.user_message for entry in instance.all_logs(result.run_id))
