"""What people decide about rows of the ledger, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from phash_dagster.moderation.actions import Action, Event, Review, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import insert_new, write
from phash_dagster.moderation.ledger_reviews import Reviewed
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_account, action_on_post


def recorded(ledger: Ledger, action: Action) -> Action:
    assert ledger.record([action], claim_ttl=TTL) == 1
    return ledger.changed_since(NOW - timedelta(days=999))[-1]


def held(ledger: Ledger, rkey: str = "3kpost", **fields: Any) -> Action:
    action = action_on_post(rkey, state=State.HELD, reason="over the budget", **fields)
    return recorded(ledger, action)


def failed(ledger: Ledger, action: Action) -> Action:
    row = recorded(ledger, action)
    assert ledger.mark_sending(row.action_id)
    assert ledger.mark_failed(row.action_id, "InvalidRequest: no")
    return row


def sent(ledger: Ledger, action: Action, clock: ManualClock) -> Action:
    row = recorded(ledger, action)
    assert ledger.mark_sending(row.action_id)
    assert ledger.mark_sent(row.action_id, 17, clock())
    return row


def get(ledger: Ledger, row: Action) -> Action:
    found = ledger.get(row.action_id)
    assert found is not None
    return found


def test_a_released_row_is_planned_and_says_who_released_it(
    ledger: Ledger, clock: ManualClock
) -> None:
    row = held(ledger)
    clock.advance(hours=1)
    assert ledger.reviews.release([row.action_id], "ana") == Reviewed((row.action_id,))
    assert get(ledger, row) == replace(
        row,
        state=State.PLANNED,
        review=Review.RELEASED,
        reviewed_at=clock(),
        reviewed_by="ana",
        reason="released by ana; before: over the budget",
        updated_at=clock(),
    )


def test_a_rejected_row_is_settled_under_the_identifier_it_had(
    ledger: Ledger, clock: ManualClock
) -> None:
    row = held(ledger)
    clock.advance(hours=1)
    assert ledger.reviews.reject([row.action_id], "ana") == Reviewed((row.action_id,))
    assert get(ledger, row) == replace(
        row,
        state=State.SUPPRESSED,
        review=Review.REJECTED,
        reviewed_at=clock(),
        reviewed_by="ana",
        settled_at=clock(),
        reason="rejected by ana; before: over the budget",
        updated_at=clock(),
    )


def test_a_planned_row_can_be_rejected_but_not_released(ledger: Ledger) -> None:
    row = recorded(ledger, action_on_post())
    released = ledger.reviews.release([row.action_id], "ana")
    assert released.skipped == ((row.action_id, "is planned, not held"),)
    assert ledger.reviews.reject([row.action_id], "ana").changed == (row.action_id,)
    assert get(ledger, row).reason == "rejected by ana"


def test_what_an_emitter_is_at_work_on_is_not_rejected(ledger: Ledger) -> None:
    row = recorded(ledger, action_on_post())
    ledger.mark_sending(row.action_id)
    rejected = ledger.reviews.reject([row.action_id], "ana")
    assert rejected.skipped == ((row.action_id, "is sending, not held, planned, failed or dead"),)
    assert ledger.mark_sent(row.action_id, 1, NOW)


def test_a_number_that_is_none_is_named(ledger: Ledger) -> None:
    assert ledger.reviews.release([7], "ana").skipped == ((7, "there is no such action"),)


def test_a_number_that_is_given_twice_is_decided_once(ledger: Ledger) -> None:
    row = held(ledger)
    assert ledger.reviews.release([row.action_id] * 2, "ana") == Reviewed((row.action_id,))


def test_of_two_people_one_decides(ledger: Ledger) -> None:
    rows = [held(ledger, str(number)).action_id for number in range(20)]
    with ThreadPoolExecutor(2) as pool:
        released = pool.submit(ledger.reviews.release, rows, "ana")
        rejected = pool.submit(ledger.reviews.reject, rows[::-1], "bob")
    decided = (*released.result().changed, *rejected.result().changed)
    # Who is first releases; a row that is planned may be rejected all the same.
    assert set(decided) == set(rows)
    assert {row for row, _ in released.result().skipped} <= set(rejected.result().changed)
    with ThreadPoolExecutor(2) as pool:
        more = [held(ledger, f"more-{number}").action_id for number in range(20)]
        both = list(pool.map(ledger.reviews.release, [more, more[::-1]], ["ana", "bob"]))
    assert sorted(both[0].changed + both[1].changed) == more


def test_more_rows_than_one_statement_takes_are_decided(ledger: Ledger) -> None:
    actions = [
        action_on_post(str(number), did=f"did:plc:{number}", state=State.HELD)
        for number in range(1_200)
    ]
    ledger.record(actions, claim_ttl=TTL)
    rows = [row.action_id for row in ledger.in_state(State.HELD)]
    assert len(ledger.reviews.release(rows, "ana").changed) == 1_200
    assert ledger.counts() == {State.PLANNED: 1_200}


def test_a_rejected_row_holds_its_claim_on_a_post_for_good_and_on_an_account_for_the_window(
    ledger: Ledger, clock: ManualClock
) -> None:
    on_post, on_account = action_on_post(), action_on_account()
    rows = [recorded(ledger, action).action_id for action in (on_post, on_account)]
    ledger.reviews.reject(rows, "ana")
    clock.advance(days=TTL.days, seconds=1)
    later = [
        action_on_post(planned_at=clock()),
        action_on_account(planned_at=clock()),
    ]
    assert ledger.claims([row.claim for row in later], clock() - TTL).live == {on_post.claim}
    assert ledger.record(later, claim_ttl=TTL) == 1


def test_a_retried_row_is_planned_again_under_the_identifier_that_ozone_may_know(
    ledger: Ledger, clock: ManualClock
) -> None:
    row = failed(ledger, action_on_post(failed_runs=3))
    clock.advance(hours=1)
    retried = ledger.reviews.retry([row.action_id], "ana", claim_ttl=TTL)
    assert retried == Reviewed((row.action_id,))
    assert get(ledger, row) == replace(
        row,
        attempts=1,
        failed_runs=0,
        reason="tried again by ana; before: InvalidRequest: no",
        updated_at=clock(),
    )


def test_a_sent_row_is_not_retried(ledger: Ledger, clock: ManualClock) -> None:
    row = sent(ledger, action_on_post(), clock)
    skipped = ledger.reviews.retry([row.action_id], "ana", claim_ttl=TTL).skipped
    assert skipped == ((row.action_id, "is sent, not failed or dead"),)


def test_a_row_is_not_retried_where_another_has_done_the_same_since(
    ledger: Ledger, clock: ManualClock
) -> None:
    old = failed(ledger, action_on_post())
    clock.advance(days=TTL.days + 1)
    other = sent(ledger, action_on_post(planned_at=clock()), clock)
    retried = ledger.reviews.retry([old.action_id], "ana", claim_ttl=TTL)
    assert retried.skipped == ((old.action_id, f"action {other.action_id} did the same, or will"),)


def test_of_two_rows_with_one_claim_one_is_retried(ledger: Ledger, clock: ManualClock) -> None:
    first = failed(ledger, action_on_post())
    clock.advance(days=TTL.days + 1)
    second = failed(ledger, action_on_post(planned_at=clock()))
    retried = ledger.reviews.retry([first.action_id, second.action_id], "ana", claim_ttl=TTL)
    assert retried.changed == (first.action_id,)
    assert [row for row, _ in retried.skipped] == [second.action_id]


def test_a_dead_row_is_no_obstacle_to_itself(ledger: Ledger) -> None:
    row = recorded(ledger, action_on_post(state=State.DEAD, attempts=3))
    assert ledger.reviews.retry([row.action_id], "ana", claim_ttl=TTL).changed == (row.action_id,)


def test_rows_that_take_something_back_are_no_obstacle_to_each_other(ledger: Ledger) -> None:
    undos = [
        action_on_post(
            event=Event.NEGATE_LABEL, state=State.DEAD, undoes=number, external_id=str(number)
        )
        for number in (1, 2)
    ]
    with write(ledger._engine) as connection:
        insert_new(connection, undos, NOW)
    assert ledger.reviews.retry([1, 2], "ana", claim_ttl=TTL).changed == (1, 2)
