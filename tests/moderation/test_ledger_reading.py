"""Reading the ledger as a stranger, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from phash_dagster.moderation.actions import Event, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import LedgerError
from phash_dagster.moderation.ledger_limits import Batch
from phash_dagster.moderation.ledger_reading import list_actions, show_actions
from phash_dagster.moderation.reviewing import choose, decide
from phash_dagster.moderation.row_filter import RowFilter, parse_filter
from phash_dagster.settings import Settings, settings_from
from tests.moderation.builders import DID, NOW, TTL, action_on_account, action_on_post

EVERYTHING = RowFilter()


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A held label of a backfill that is held, a planned report, and a planned account label."""
    judged = Batch(
        batch_id="backfill-1",
        state="held",
        posts=9,
        accounts=9,
        images=9,
        reason="too far",
        evaluated_at=NOW,
    )
    ledger.limits.judge_batch(judged)
    rows = [
        action_on_post(
            "1", state=State.HELD, batch_id="backfill-1", lane="backfill", reason="too far"
        ),
        action_on_post("2", event=Event.REPORT, run_id="12345678-90ab"),
        action_on_account(rule_id="100%_rule", value="spam"),
    ]
    ledger.record(rows, claim_ttl=TTL)
    return ledger


@pytest.fixture
def settings(ledger_url: str, tmp_path: Path) -> Settings:
    return settings_from({"LEDGER_URL": ledger_url, "DATA_DIR": str(tmp_path)})


def test_actions_are_listed_while_the_pipeline_has_the_ledger_open(
    filled: Ledger, ledger_url: str
) -> None:
    found = list_actions(ledger_url, EVERYTHING, limit=2)
    assert [row.action_id for row in found.actions] == [3, 2]
    assert found.total == 3
    assert found.held_as_a_whole == ("Held as a whole: backfill-1: too far",)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ({"states": ["held"]}, [1]),
        ({"events": ["report"]}, [2]),
        ({"runs": ["12345678"]}, [2]),
        ({"runs": ["1234567"]}, []),
        ({"rules": ["100%_rule"]}, [3]),
        ({"labels": ["spam"]}, [3]),
        ({"lanes": ["backfill"]}, [1]),
        ({"batches": ["backfill-1"]}, [1]),
        ({"versions": ["AAAAAA"]}, [3, 2, 1]),
        ({"targets": [DID]}, [3, 2, 1]),
        ({"targets": [f"at://{DID}/app.bsky.feed.post/2/"]}, [2]),
        ({"targets": [f"https://bsky.app/profile/{DID}/post/2"]}, [2]),
        ({"targets": [f"https://bsky.app/profile/{DID}"]}, [3, 2, 1]),
        ({"targets": ["1", "3"], "states": ["planned"]}, [3]),
        ({"since": NOW}, [3, 2, 1]),
    ],
    ids=str,
)
def test_a_filter_says_which_are_meant(
    filled: Ledger, ledger_url: str, words: dict[str, object], numbers: list[int]
) -> None:
    which = parse_filter(**words)  # type: ignore[arg-type]
    found = list_actions(ledger_url, which, limit=9)
    assert [row.action_id for row in found.actions] == numbers


def test_what_undoes_an_action_is_shown_with_it(filled: Ledger, ledger_url: str) -> None:
    undo = action_on_account(event=Event.NEGATE_LABEL, value="spam", undoes=3)
    filled.record([undo], claim_ttl=TTL)
    [shown] = show_actions(ledger_url, RowFilter(action_ids=(3,)), limit=9)
    assert [row.action_id for row in shown.undone_by] == [4]


def test_a_backfill_goes_on_only_where_it_is_named_alone(
    filled: Ledger, settings: Settings
) -> None:
    part = choose("release", RowFilter(batches=("backfill-1",), rules=("rule-1",)), settings)
    assert (part.action_ids, part.backfills) == ((1,), ())
    assert "backfill-1 is still held" in part.held_on[0]
    whole = choose("release", RowFilter(batches=("backfill-1",)), settings)
    assert (whole.action_ids, whole.backfills, whole.held_on) == ((1,), ("backfill-1",), ())
    assert decide("release", whole, filled, "ana", settings).changed == (1,)
    batch = filled.limits.batch("backfill-1")
    assert batch is not None
    assert batch.state == "released"


def test_what_changes_between_a_look_and_the_decision_is_left(
    filled: Ledger, settings: Settings
) -> None:
    chosen = choose("reject", EVERYTHING, settings)
    assert chosen.action_ids == (1, 2, 3)
    filled.mark_sending(2)
    rejected = decide("reject", chosen, filled, "ana", settings)
    assert rejected.changed == (1, 3)
    assert [row for row, _ in rejected.skipped] == [2]


def test_states_that_are_not_concerned_are_an_error_and_not_everything(
    filled: Ledger, settings: Settings
) -> None:
    with pytest.raises(ValueError, match="those that are held"):
        choose("release", RowFilter(states=(State.SENT,)), settings)


def test_a_ledger_of_an_earlier_release_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    Ledger(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE moderation_actions DROP COLUMN settled_at")
    engine.dispose()
    with pytest.raises(LedgerError, match="earlier release"):
        list_actions(url, EVERYTHING, limit=1)
