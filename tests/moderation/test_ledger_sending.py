"""What an emitter writes into the ledger, on SQLite and on PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import RIVAL
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_sending import EmitterReplacedError, Sent, Term
from phash_dagster.moderation.ozone_circuit import Pause, PauseKind
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_post
from tests.moderation.conftest import lose_every_lock

PAUSE = Pause(NOW, NOW + timedelta(minutes=1), PauseKind.OUTAGE, "502 UpstreamFailure")


def record(ledger: Ledger, *rows: Action) -> list[Action]:
    ledger.record(rows, claim_ttl=TTL)
    return ledger.planned(100)


def post(rkey: str, **fields: Any) -> Action:
    return action_on_post(rkey, **{"did": f"did:plc:{rkey}", **fields})


def queued(ledger: Ledger) -> list[str]:
    rows = ledger.sending.planned(ledger.sending.queue(100))
    return [str(row.subject_cid).removeprefix("bafyrei") for row in rows]


def term(ledger: Ledger) -> Term:
    """A term that is begun and not ended."""
    found = ledger.sending.term(RIVAL).__enter__()
    assert found is not None
    return found


# The order of sending


def test_the_oldest_row_comes_first(ledger: Ledger) -> None:
    record(ledger, *(post(rkey) for rkey in "abc"))
    assert queued(ledger) == ["a", "b", "c"]


def test_what_failed_alone_comes_last_and_what_was_tried_before_it(ledger: Ledger) -> None:
    failed, tried, _ = record(ledger, *(post(rkey) for rkey in "abc"))
    for row in (failed, tried):
        ledger.mark_sending(row.action_id)
        ledger.sending.mark_unanswered(row.action_id, State.PLANNED, "502", charged=row is failed)
    assert queued(ledger) == ["c", "b", "a"]


def test_rules_and_events_take_turns(ledger: Ledger) -> None:
    record(
        ledger,
        *(post(rkey, rule_id="one") for rkey in "abc"),
        post("d", rule_id="two"),
        post("e", rule_id="two"),
        post("f", rule_id="one", event=Event.REPORT),
    )
    assert queued(ledger) == ["a", "d", "f", "b", "e", "c"]


def test_accounts_take_turns(ledger: Ledger) -> None:
    record(ledger, *(post(rkey, did="did:plc:busy") for rkey in "abc"), post("d"), post("e"))
    assert queued(ledger) == ["a", "d", "e", "b", "c"]


def test_what_was_tried_of_a_rule_counts_as_its_turn(ledger: Ledger) -> None:
    tried, *_ = record(
        ledger,
        post("a", rule_id="one"),
        post("b", rule_id="one"),
        post("c", rule_id="two"),
    )
    ledger.mark_sending(tried.action_id)
    ledger.back_to_planned(tried.action_id, "502")
    assert queued(ledger) == ["c", "b", "a"]


def test_a_probe_is_a_row_that_was_tried_least(ledger: Ledger) -> None:
    tried, *_ = record(ledger, *(post(rkey) for rkey in "abcd"))
    ledger.mark_sending(tried.action_id)
    ledger.back_to_planned(tried.action_id, "502")
    probes = [ledger.sending.any_planned() for _ in range(20)]
    assert all(len(probe) == 1 for probe in probes)
    assert tried.action_id not in {number for [number] in probes}


# Taking and writing back


def test_rows_are_taken_together_and_each_counts_an_attempt(ledger: Ledger) -> None:
    rows = record(ledger, *(post(rkey) for rkey in "abc"))
    assert ledger.sending.take(rows[:2], term(ledger)) == rows[:2]
    assert [(row.state, row.attempts) for row in ledger.changed_since(NOW)] == [
        (State.SENDING, 1),
        (State.SENDING, 1),
        (State.PLANNED, 0),
    ]


def test_what_is_no_longer_planned_is_not_taken(ledger: Ledger) -> None:
    rows = record(ledger, *(post(rkey) for rkey in "abc"))
    ledger.mark_suppressed(rows[1].action_id, "post deleted")
    assert ledger.sending.take(rows, term(ledger)) == [rows[0], rows[2]]
    assert ledger.sending.planned([row.action_id for row in rows]) == []


def test_what_was_sent_is_written_down_and_the_rest_is_given_back(ledger: Ledger) -> None:
    sent, untried = record(ledger, post("a"), post("b"))
    ledger.sending.take([sent, untried], term(ledger))
    later = NOW + timedelta(seconds=1)
    assert ledger.sending.write_back([Sent(sent.action_id, 17, later, "a note")], [untried]) == 2
    [first, second] = ledger.changed_since(NOW)
    assert (first.state, first.ozone_event_id, first.sent_at, first.reason) == (
        State.SENT,
        17,
        later,
        "a note",
    )
    assert (second.state, second.attempts) == (State.PLANNED, 0)


def test_what_stopped_being_sending_is_not_written_over(ledger: Ledger) -> None:
    row, other = record(ledger, post("a"), post("b"))
    ledger.sending.take([row, other], term(ledger))
    ledger.mark_failed(row.action_id, "refused")
    assert ledger.sending.write_back([Sent(row.action_id, 17, NOW, None)], [other]) == 1
    found = ledger.get(row.action_id)
    assert found is not None
    assert found.state is State.FAILED


@pytest.mark.parametrize("state", [State.PLANNED, State.SENDING, State.DEAD])
def test_a_failure_is_counted_where_it_is_the_rows_own(ledger: Ledger, state: State) -> None:
    [row] = record(ledger, post("a"))
    ledger.mark_sending(row.action_id)
    assert ledger.sending.mark_unanswered(row.action_id, state, "502", charged=True)
    found = ledger.get(row.action_id)
    assert found is not None
    assert (found.state, found.failed_runs, found.reason) == (state, 1, "502")


# Terms


def test_an_emitter_that_another_followed_takes_nothing_more(ledger_url: str) -> None:
    with Ledger(ledger_url) as one, Ledger(ledger_url) as other:
        rows = record(one, post("a"), post("b"))
        with one.sending.term(RIVAL) as first:
            assert first is not None
            one.sending.take(rows[:1], first)
        with other.sending.term(RIVAL), pytest.raises(EmitterReplacedError):
            one.sending.take(rows[1:], first)
        assert one.counts() == {State.SENDING: 1, State.PLANNED: 1}


def test_a_term_that_was_not_ended_leaves_time_for_what_it_took_on_postgresql(
    ledger_url: str, clock: ManualClock
) -> None:
    with Ledger(ledger_url, clock) as one, Ledger(ledger_url, clock) as other:
        is_postgresql = ledger_url.startswith("postgresql")
        lost = one.sending.term(RIVAL)
        assert lost.__enter__() == Term(1, 0.0)
        if is_postgresql:
            lose_every_lock(other)
        else:
            lost.__exit__(None, None, None)
        with other.sending.term(RIVAL) as second:
            assert second == Term(2, RIVAL.total_seconds() if is_postgresql else 0.0)
        clock.advance(seconds=10)
        with other.sending.term(RIVAL) as third:
            assert third == Term(3, RIVAL.total_seconds() - 10 if is_postgresql else 0.0)
        clock.advance(days=-1)
        with other.sending.term(RIVAL) as fourth:
            assert fourth == Term(4, RIVAL.total_seconds() if is_postgresql else 0.0)


# How Ozone is


def test_an_ozone_that_nothing_is_known_of_is_well(ledger: Ledger) -> None:
    assert ledger.sending.load_circuit("ozone") == (0, None)


@pytest.mark.parametrize("pause", [None, PAUSE])
def test_how_ozone_is_is_kept_for_each(ledger: Ledger, pause: Pause | None) -> None:
    ledger.sending.save_circuit("ozone", 3, pause)
    ledger.sending.save_circuit("another", 1, None)
    ledger.sending.save_circuit("ozone", 4, pause)
    assert ledger.sending.load_circuit("ozone") == (4, pause)
    ledger.sending.save_circuit("ozone", 0, None)
    assert ledger.sending.load_circuit("ozone") == (0, None)
    assert ledger.sending.load_circuit("another") == (1, None)
