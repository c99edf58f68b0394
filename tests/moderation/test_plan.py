"""Which ledger rows follow from decisions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Claim, Claims, Event, GoneSubjects, State
from phash_dagster.moderation.decisions import Decision
from phash_dagster.moderation.plan import PlanContext, PlannedActions, plan, wanted_claims
from phash_dagster.rules.model import Rule
from tests.moderation.builders import DID, HASH, NOW, TTL_DAYS, post_uri, rule, rules

NOTHING_CLAIMED, NOTHING_GONE = Claims(), GoneSubjects()


def decision(by: Rule, rkey: str = "1", did: str = DID) -> Decision:
    return Decision(post_uri(rkey, did), f"bafyrei{rkey}", did, by, HASH, 2, ("bafkreione",))


def context(**fields: Any) -> PlanContext:
    values: dict[str, Any] = {
        "mode": "live",
        "lane": "live",
        "backfill_mode": "shadow",
        "now": NOW,
        "claim_ttl_days": TTL_DAYS,
        "batch_id": "batch-7",
        "run_id": "run-7",
    }
    return PlanContext(**(values | fields))


def planned(
    *decisions: Decision,
    claimed: Claims = NOTHING_CLAIMED,
    gone: GoneSubjects = NOTHING_GONE,
    **fields: Any,
) -> PlannedActions:
    ruleset = rules(*{d.rule.id: d.rule for d in decisions}.values())
    return plan(decisions, ruleset, context(**fields), claimed, gone)


def _what(rows: tuple[Action, ...]) -> list[tuple[str, str, str]]:
    return [(row.subject, row.event.value, row.value) for row in rows]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("label_post", [(post_uri("1"), "label", "troll")]),
        ("report_post", [(post_uri("1"), "report", "troll")]),
        ("takedown_post", [(post_uri("1"), "takedown", "")]),
        ("label_account", [(DID, "label", "troll"), (DID, "comment", "troll")]),
        ("report_account", [(DID, "report", "troll")]),
        ("takedown_account", [(DID, "comment", "troll"), (DID, "takedown", "")]),
    ],
)
def test_each_flag_of_a_rule_asks_for_its_events(
    flag: str, expected: list[tuple[str, str, str]]
) -> None:
    flags = {"label_post": False, flag: True}
    assert _what(planned(decision(rule(**flags))).rows) == expected


def test_a_rule_without_any_flag_asks_for_nothing() -> None:
    assert planned(decision(rule(label_post=False))).rows == ()


def test_a_row_says_all_that_sending_and_explaining_need() -> None:
    by = rule(id="trolls")
    result = planned(decision(by))
    assert result.rows == (
        Action(
            external_id=result.rows[0].external_id,
            subject_uri=post_uri("1"),
            subject_did=DID,
            subject_cid="bafyrei1",
            source_uri=post_uri("1"),
            blob_cids=("bafkreione",),
            event=Event.LABEL,
            value="troll",
            rule_id="trolls",
            rule_version=rules(by).version,
            rule_hash=HASH,
            distance=2,
            comment=(
                f"2026-11-23T20:15:00Z: Known troll image at {post_uri('1')} "
                f'with phash "{HASH}" (distance=2)'
            ),
            report_reason=None,
            lane="live",
            mode="live",
            state=State.PLANNED,
            reason=None,
            batch_id="batch-7",
            run_id="run-7",
            planned_at=NOW,
        ),
    )


def test_an_account_row_names_the_account_and_the_post_it_came_from() -> None:
    [row] = planned(decision(rule(label_post=False, report_account=True))).rows
    assert (row.subject_uri, row.subject_cid, row.source_uri) == (None, None, post_uri("1"))
    assert row.comment == f"2026-11-23T20:15:00Z: Known troll image for account {DID}"


def test_only_reports_carry_a_report_reason_and_it_is_the_rules() -> None:
    reason = "com.atproto.moderation.defs#reasonViolation"
    rows = planned(decision(rule(report_post=True, report_reason=reason))).rows
    assert {row.event: row.report_reason for row in rows} == {
        Event.LABEL: None,
        Event.REPORT: reason,
    }


def test_two_rules_may_both_report_a_post() -> None:
    one = rule(id="one", label="troll", label_post=False, report_post=True)
    two = rule(id="two", label="spam", label_post=False, report_post=True)
    assert [row.value for row in planned(decision(one), decision(two)).rows] == ["troll", "spam"]


def test_a_post_is_taken_down_once_though_two_rules_ask_for_it() -> None:
    one = rule(id="one", label_post=False, takedown_post=True)
    two = rule(id="two", label="spam", label_post=False, takedown_post=True)
    result = planned(decision(one), decision(two))
    assert [row.rule_id for row in result.rows] == ["one"]
    assert result.deduplicated == (Claim(post_uri("1"), Event.TAKEDOWN, ""),)


def test_an_account_with_two_matching_posts_is_labelled_once() -> None:
    by = rule(label_account=True)
    result = planned(decision(by, "1"), decision(by, "2"))
    assert _what(result.rows) == [
        (post_uri("1"), "label", "troll"),
        (DID, "label", "troll"),
        (DID, "comment", "troll"),
        (post_uri("2"), "label", "troll"),
    ]
    assert len(result.deduplicated) == 2


def test_what_is_claimed_is_not_repeated() -> None:
    claim = Claim(post_uri("1"), Event.LABEL, "troll")
    result = planned(decision(rule()), claimed=Claims(live=frozenset({claim})))
    assert result == PlannedActions((), (claim,))


def test_a_shadow_claim_does_not_stand_in_the_way_of_a_live_row() -> None:
    claims = Claims(shadow=frozenset({Claim(post_uri("1"), Event.LABEL, "troll")}))
    assert len(planned(decision(rule()), claimed=claims).rows) == 1
    assert planned(decision(rule()), claimed=claims, mode="shadow").rows == ()


def test_a_shadow_rule_does_not_repeat_a_live_rule_of_the_same_plan() -> None:
    live, shadow = rule(id="live"), rule(id="shadow", mode="shadow")
    assert [row.rule_id for row in planned(decision(live), decision(shadow)).rows] == ["live"]


def test_a_live_rule_acts_though_a_shadow_rule_asked_for_the_same_before() -> None:
    live, shadow = rule(id="live"), rule(id="shadow", mode="shadow")
    rows = planned(decision(shadow), decision(live)).rows
    assert [(row.rule_id, row.state) for row in rows] == [
        ("shadow", State.SHADOW),
        ("live", State.PLANNED),
    ]
    assert len({row.external_id for row in rows}) == 2


@pytest.mark.parametrize(
    ("mode", "rule_mode", "lane", "backfill", "backfill_mode", "expected"),
    [
        ("live", "live", "live", "shadow", "shadow", "live"),
        ("live", "live", "backfill", "same", "live", "live"),
        ("live", "live", "backfill", "same", "shadow", "shadow"),
        ("live", "live", "backfill", "shadow", "live", "shadow"),
        ("live", "shadow", "live", "same", "live", "shadow"),
        ("live", "shadow", "backfill", "same", "live", "shadow"),
        ("shadow", "live", "live", "same", "live", "shadow"),
        ("shadow", "live", "backfill", "same", "live", "shadow"),
    ],
)
def test_a_row_is_live_only_if_everything_is(
    mode: str, rule_mode: str, lane: str, backfill: str, backfill_mode: str, expected: str
) -> None:
    by = rule(mode=rule_mode, backfill=backfill)
    [row] = planned(decision(by), mode=mode, lane=lane, backfill_mode=backfill_mode).rows
    assert row.mode == expected
    assert row.state is (State.PLANNED if expected == "live" else State.SHADOW)


@pytest.mark.parametrize("backfill_mode", ["shadow", "live"])
def test_a_post_from_before_the_rule_is_backfill_though_the_run_is_live(backfill_mode: str) -> None:
    earlier = replace(decision(rule(backfill="same")), after_rule=False)
    [row] = planned(earlier, lane="live", backfill_mode=backfill_mode).rows
    assert (row.lane, row.mode) == ("backfill", backfill_mode)


def test_a_deleted_post_is_suppressed_and_its_author_is_not() -> None:
    gone = GoneSubjects(uris={post_uri("1"): "post deleted"})
    rows = planned(decision(rule(report_account=True)), gone=gone).rows
    assert [(row.subject, row.state, row.reason) for row in rows] == [
        (post_uri("1"), State.SUPPRESSED, "post deleted"),
        (DID, State.PLANNED, None),
    ]


def test_everything_on_a_deleted_account_is_suppressed() -> None:
    gone = GoneSubjects(dids={DID: "account deleted"})
    rows = planned(decision(rule(label_account=True)), gone=gone).rows
    assert {row.state for row in rows} == {State.SUPPRESSED}


def test_a_suppressed_row_leaves_the_live_identifier_free() -> None:
    gone = GoneSubjects(uris={post_uri("1"): "post deleted"})
    [suppressed] = planned(decision(rule()), gone=gone).rows
    [live] = planned(decision(rule())).rows
    assert suppressed.external_id != live.external_id


def test_every_row_belongs_to_a_claim_that_was_asked_for() -> None:
    decisions = [decision(rule(label_account=True, report_post=True), rkey) for rkey in "12"]
    result = planned(*decisions)
    assert {row.claim for row in result.rows} == wanted_claims(decisions, context())


def test_a_rule_without_backfill_does_nothing_about_the_past() -> None:
    assert planned(decision(rule(backfill="none")), lane="backfill").rows == ()
    assert len(planned(decision(rule(backfill="none")), lane="live").rows) == 1


def test_a_backfill_that_reports_reports_what_the_rule_would_do_more_to() -> None:
    by = rule(backfill="report", takedown_post=True, label_account=True)
    rows = planned(decision(by), lane="backfill", backfill_mode="live").rows
    assert _what(rows) == [(post_uri("1"), "report", "troll"), (DID, "report", "troll")]
    assert {row.mode for row in rows} == {"live"}
    assert {row.report_reason for row in rows} == {by.report_reason}


def test_a_backfill_that_reports_leaves_alone_what_the_rule_does_nothing_to() -> None:
    rows = planned(decision(rule(backfill="report")), lane="backfill").rows
    assert [row.subject for row in rows] == [post_uri("1")]


@pytest.mark.parametrize(
    ("lane", "days", "expected"), [("backfill", 31, 0), ("backfill", 29, 1), ("live", 31, 1)]
)
def test_backfills_leave_posts_alone_that_are_too_old(lane: str, days: int, expected: int) -> None:
    posted = replace(decision(rule(backfill_max_age_days=30)), posted_at=NOW - timedelta(days=days))
    assert len(planned(posted, lane=lane).rows) == expected
