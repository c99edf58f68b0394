"""What goes beyond a budget is held, whatever the rows are."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.budgets import (
    COUNTED,
    Budgeted,
    Budgets,
    HashKey,
    Reach,
    Spent,
    within_budgets,
)
from phash_dagster.rules import RuleSet
from phash_dagster.settings import settings_from
from tests.moderation.builders import HASH, action_on_account, action_on_post, rule

PLENTY = 10**6


def budgets(**fields: Any) -> Budgets:
    values: dict[str, Any] = {
        "actions_per_rule": PLENTY,
        "actions_per_run": PLENTY,
        "actions_per_day": PLENTY,
        "actions_per_account": PLENTY,
        "takedowns_per_day": PLENTY,
        "backfill_posts": PLENTY,
        "backfill_accounts": PLENTY,
        "backfill_share": 1.0,
    }
    return Budgets(**(values | fields))


def held(rows: list[Action], limits: Budgets, **spent: Any) -> list[str | None]:
    """The reason of each row that is held, None for the others."""
    found = within_budgets(rows, limits, Spent(**spent))
    return [row.reason if row.state is State.HELD else None for row in found.rows]


def posts(number: int, **fields: Any) -> list[Action]:
    """Labels on posts of as many accounts."""
    return [action_on_post(did=f"did:plc:{each}", **fields) for each in range(number)]


@pytest.mark.parametrize(
    ("limit", "spent", "variable"),
    [
        ({"actions_per_rule": 3}, {"by_rule": {"rule-1": 1}}, "MAX_ACTIONS_PER_RULE_PER_DAY"),
        ({"rule_limits": {"rule-1": 3}}, {"by_rule": {"rule-1": 1}}, "its maxActionsPerDay"),
        ({"actions_per_run": 3}, {"in_run": 1}, "MAX_ACTIONS_PER_RUN"),
        ({"actions_per_day": 3}, {"in_day": 1}, "MAX_ACTIONS_PER_DAY"),
    ],
)
def test_the_rest_is_held_once_a_budget_is_spent(
    limit: dict[str, Any], spent: dict[str, Any], variable: str
) -> None:
    first, second, third, fourth = held(posts(4), budgets(**limit), **spent)
    assert (first, second) == (None, None)
    assert third == fourth
    assert third is not None
    assert third.startswith("over budget: 3 ")
    assert variable in third


def test_what_one_account_gets_is_bounded_and_others_are_not_held_for_it() -> None:
    rows = [action_on_post(rkey) for rkey in "12"] + posts(1)
    first, second, other = held(rows, budgets(actions_per_account=1))
    assert (first, other) == (None, None)
    assert second is not None
    assert "MAX_ACTIONS_PER_ACCOUNT_PER_DAY" in second


def test_takedowns_have_a_budget_of_their_own_and_wait_for_a_person_by_default() -> None:
    limits = Budgets.of(settings_from({}), RuleSet.of((), default_threshold=3))
    takedown = action_on_post(event=Event.TAKEDOWN, value="")
    label, held_takedown = held([action_on_post(), takedown], limits)
    assert label is None
    assert held_takedown is not None
    assert "0 takedowns in 24 hours (MAX_TAKEDOWNS_PER_DAY)" in held_takedown


def test_a_held_row_spends_nothing() -> None:
    takedown = action_on_post(event=Event.TAKEDOWN, value="")
    limits = budgets(takedowns_per_day=0, actions_per_run=1)
    _, label = held([takedown, action_on_post()], limits)
    assert label is None


def test_a_rule_names_its_own_budget() -> None:
    rules = (rule(id="small", max_actions_per_day=1), rule(id="usual"))
    limits = Budgets.of(
        settings_from({"MAX_ACTIONS_PER_RULE_PER_DAY": "7"}),
        RuleSet.of(rules, default_threshold=3),
    )
    assert (limits.of_rule("small"), limits.of_rule("usual"), limits.of_rule("gone")) == (1, 7, 7)


def test_a_rule_that_may_do_nothing_has_everything_held() -> None:
    limits = budgets(rule_limits={"rule-1": 0})
    assert all(held(posts(2), limits))


@pytest.mark.parametrize("state", [State.SHADOW, State.SUPPRESSED])
def test_what_is_not_sent_spends_nothing_and_is_not_held(state: State) -> None:
    rows = [*posts(2, state=state), action_on_post()]
    assert held(rows, budgets(actions_per_run=1)) == [None, None, None]


def test_a_comment_on_an_account_is_held_with_what_it_explains() -> None:
    label, comment = action_on_account(), action_on_account(event=Event.COMMENT)
    assert all(held([label, comment], budgets(actions_per_run=0)))
    assert held([label, comment], budgets(actions_per_run=1)) == [None, None]


def test_a_comment_goes_out_with_one_of_the_two_things_that_it_explains() -> None:
    takedown = action_on_account(event=Event.TAKEDOWN, value="")
    comment = action_on_account(event=Event.COMMENT)
    label, said, down = held([action_on_account(), comment, takedown], budgets(takedowns_per_day=0))
    assert (label, said) == (None, None)
    assert down is not None


def test_what_takes_something_back_is_never_held() -> None:
    back = action_on_post(event=Event.NEGATE_LABEL, undoes=1)
    assert held([back], budgets(actions_per_run=0)) == [None]


def test_the_actions_of_a_flooded_hash_are_held_and_those_of_others_are_not() -> None:
    rows = [action_on_post("1"), action_on_post("2", rule_hash="f0" * 8)]
    reasons = held(rows, budgets(), quarantined={HashKey("rule-1", HASH): "flood: many"})
    assert reasons == ["flood: many", None]


# Backfills


def of_backfill(number: int, batch_id: str = "backfill-1") -> list[Action]:
    return posts(number, lane="backfill", batch_id=batch_id)


@pytest.mark.parametrize(
    ("limit", "variable"),
    [
        ({"backfill_posts": 2}, "BACKFILL_MAX_POSTS"),
        ({"backfill_accounts": 2}, "BACKFILL_MAX_ACCOUNTS"),
    ],
)
def test_a_backfill_beyond_its_bounds_is_held_as_a_whole(
    limit: dict[str, Any], variable: str
) -> None:
    found: Budgeted = within_budgets(of_backfill(3), budgets(**limit), Spent())
    assert {row.state for row in found.rows} == {State.HELD}
    [(batch_id, reason)] = found.batches_over.items()
    assert batch_id == "backfill-1"
    assert variable in reason


def test_what_the_backfill_reached_before_counts() -> None:
    before = Reach(frozenset({"at://a", "at://b"}), frozenset({"did:plc:a"}))
    found = within_budgets(
        of_backfill(1), budgets(backfill_posts=2), Spent(reached={"backfill-1": before})
    )
    assert found.batches_over.keys() == {"backfill-1"}


def test_one_backfill_is_not_held_for_another() -> None:
    rows = of_backfill(3) + of_backfill(1, "backfill-2")
    found = within_budgets(rows, budgets(backfill_posts=2), Spent())
    assert [row.state for row in found.rows] == [State.HELD] * 3 + [State.PLANNED]


def test_live_rows_are_not_held_for_a_backfill() -> None:
    rows = of_backfill(3) + posts(1, batch_id="run-1")
    found = within_budgets(rows, budgets(backfill_posts=2), Spent())
    assert found.rows[-1].state is State.PLANNED


def test_a_held_backfill_stays_held_and_a_released_one_goes_on() -> None:
    limits = budgets(backfill_posts=2)
    assert held(of_backfill(1), limits, held_batches={"backfill-1": "too far"}) == ["too far"]
    assert held(of_backfill(3), limits, released_batches={"backfill-1"}) == [None] * 3


@pytest.mark.parametrize(
    ("posts_reached", "images", "over"),
    [(9, 10, False), (10, 999, True), (10, 1000, False), (11, 1000, True), (11, None, False)],
)
def test_the_share_of_images_counts_from_ten_posts_on(
    posts_reached: int, images: int | None, over: bool
) -> None:
    reach = Reach(frozenset(map(str, range(posts_reached))), frozenset({"did:plc:a"}))
    reason = budgets(backfill_share=0.01).over_reach(reach, images)
    assert (reason is not None) is over
    assert reason is None or "BACKFILL_MAX_SHARE" in reason


EVENTS = st.sampled_from(list(Event))
ROWS = st.lists(
    st.builds(
        lambda event, rule_id, account, rkey, shadow, backfill: replace(
            action_on_post(rkey, did=f"did:plc:{account}", event=event, rule_id=rule_id),
            state=State.SHADOW if shadow else State.PLANNED,
            lane="backfill" if backfill else "live",
        ),
        EVENTS,
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
        st.sampled_from("12345"),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)
SMALL = st.integers(0, 6)


@given(ROWS, st.tuples(*[SMALL] * 8), st.tuples(*[SMALL] * 4))
def test_no_budget_is_ever_exceeded(
    rows: list[Action], limits: tuple[int, ...], spent: tuple[int, ...]
) -> None:
    rule_limit, per_rule, per_run, per_day, per_account, takedowns, of_posts, accounts = limits
    allowed = budgets(
        rule_limits={"a": rule_limit},
        actions_per_rule=per_rule,
        actions_per_run=per_run,
        actions_per_day=per_day,
        actions_per_account=per_account,
        takedowns_per_day=takedowns,
        backfill_posts=of_posts,
        backfill_accounts=accounts,
    )
    of_rule, of_account, in_run, in_day = spent
    found = within_budgets(
        rows,
        allowed,
        Spent(
            by_rule={"a": of_rule},
            by_account={"did:plc:x": of_account},
            in_run=in_run,
            in_day=in_day,
        ),
    )
    assert [replace(row, state=State.PLANNED, reason=None) for row in found.rows] == [
        replace(row, state=State.PLANNED, reason=None) for row in rows
    ]
    new = [row for row in found.rows if row.state is State.PLANNED and row.event in COUNTED]
    by_rule = Counter(row.rule_id for row in new)
    by_account = Counter(row.subject_did for row in new)
    assert by_rule["a"] <= max(rule_limit - of_rule, 0)
    assert by_rule["b"] <= per_rule
    assert len(new) <= max(per_run - in_run, 0)
    assert len(new) <= max(per_day - in_day, 0)
    assert by_account["did:plc:x"] <= max(per_account - of_account, 0)
    assert all(by_account[did] <= per_account for did in ("did:plc:y", "did:plc:z"))
    assert sum(row.event is Event.TAKEDOWN for row in new) <= takedowns
    past = [row for row in found.rows if row.lane == "backfill" and row.state is State.PLANNED]
    assert len({row.source_uri for row in past}) <= of_posts
    assert len({row.subject_did for row in past}) <= accounts


@given(ROWS)
def test_nothing_is_held_where_there_is_plenty(rows: list[Action]) -> None:
    assert within_budgets(rows, budgets(), Spent()) == Budgeted(tuple(rows))
