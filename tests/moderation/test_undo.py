"""Undoing what rules did: over real posts, matches and rules, and a ledger."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.moderation.actions import Event, Review, State
from phash_dagster.moderation.undo import Support
from phash_dagster.moderation.undo_counts import counted
from phash_dagster.rules import Rule
from tests.moderation.bench import a_rule, delete, post
from tests.moderation.builders import DID, HASH, NOW
from tests.moderation.undo_bench import UndoBench, troll_rule, uri

pytestmark = pytest.mark.slow

LATER = NOW + timedelta(minutes=5)
OTHER_HASH = "1f1f1f1f1f1f1f1f"


@pytest.fixture
def bench(tmp_path: Path) -> UndoBench:
    """A rule has labelled two posts."""
    found = UndoBench(tmp_path)
    found.load(troll_rule("a"))
    found.match(rule="a")
    found.write(post("1"), post("2"))
    found.plan()
    found.send()
    return found


BOTH = {(uri("1"), "troll"), (uri("2"), "troll")}


def test_a_look_changes_nothing(bench: UndoBench) -> None:
    before = bench.rows()
    assert len(bench.look(rules=("a",)).plan.taken_back) == 2
    assert bench.rows() == before


def test_labels_of_a_rule_are_negated_once(bench: UndoBench) -> None:
    assert bench.ozone.standing == BOTH
    bench.undo(rules=("a",))
    bench.send()
    assert bench.ozone.standing == set()
    again = bench.undo(rules=("a",))
    assert (again.plan.taken_back, len(again.plan.undone_before)) == ((), 2)
    bench.send()
    assert [row.event for row in bench.ozone.asked] == [Event.LABEL] * 2 + [Event.NEGATE_LABEL] * 2


def test_a_row_that_undoes_says_what_and_for_whom(bench: UndoBench) -> None:
    bench.undo(subjects=(uri("1"),))
    [row] = bench.in_state(State.PLANNED)
    [undone] = [row for row in bench.rows() if row.subject_uri == uri("1") and not row.undoes]
    assert (row.undoes, row.batch_id, row.reviewed_by) == (undone.action_id, "undo-1", "ana")
    assert (row.subject, row.subject_cid, row.value) == (uri("1"), "cid-1", "troll")
    assert row.comment == "2026-11-23T20:15:00Z: label troll of rule a undone by ana"


def test_the_rule_does_not_put_back_what_was_undone(bench: UndoBench) -> None:
    bench.undo(rules=("a",))
    bench.send()
    bench.clock.advance(days=30)
    assert bench.plan().recorded == 0


def test_an_account_may_be_labelled_again_once_the_claim_window_is_over(bench: UndoBench) -> None:
    bench.load(troll_rule("a", toLabel=False, labelAcct=True))
    bench.write(post("3"))
    bench.plan()
    bench.send()
    bench.clock.advance(days=6)
    bench.undo(subjects=(DID,))
    bench.send()
    bench.clock.advance(days=6)  # twelve after it was sent
    assert bench.plan().recorded == 0
    bench.clock.advance(days=2)
    assert [row.event for row in bench.plan().rows] == [Event.LABEL, Event.COMMENT]


def test_a_person_may_let_the_rule_act_again(bench: UndoBench) -> None:
    bench.undo(rules=("a",), allow_again=True)
    bench.send()
    assert bench.plan().recorded == 0
    bench.clock.advance(days=8)
    assert bench.plan().recorded == 2


def test_what_waits_is_stopped(bench: UndoBench) -> None:
    bench.write(post("3"))
    bench.plan()
    undo = bench.undo(rules=("a",))
    assert [row.subject_uri for row in undo.plan.stopped] == [uri("3")]
    bench.send()
    assert bench.ozone.standing == set()
    [stopped] = [row for row in bench.rows() if row.subject_uri == uri("3")]
    assert (stopped.state, stopped.review) == (State.SUPPRESSED, Review.REJECTED)
    assert bench.plan().recorded == 0


def test_a_label_that_another_rule_asks_for_stays_and_is_listed(bench: UndoBench) -> None:
    bench.load(troll_rule("a"), troll_rule("b"))
    bench.match("second", "a")
    bench.match("second", "b")
    bench.write(post("3", blob_cid="second"))
    bench.plan()
    bench.send()
    undo = bench.undo(rules=("a",))
    [kept] = undo.plan.kept
    assert (kept.action.subject_uri, kept.support) == (uri("3"), Support("b", uri("3")))
    bench.send()
    assert bench.ozone.standing == {(uri("3"), "troll")}
    # Once that rule is undone as well, so is what was kept because of it.
    bench.load()
    bench.undo(rules=("a",))
    bench.send()
    assert bench.ozone.standing == set()


@pytest.mark.parametrize(
    "other",
    [
        troll_rule("b", mode="shadow"),
        troll_rule("b", toLabel=False, reportPost=True),
        troll_rule("b", expires="2026-11-22"),
        troll_rule("b", ignoreDID=[DID]),
        a_rule("spam", id="b"),
    ],
    ids=["shadow", "reports", "expired", "ignores", "other label"],
)
def test_a_rule_that_does_not_put_the_label_supports_nothing(bench: UndoBench, other: Rule) -> None:
    bench.load(troll_rule("a"), other)
    bench.match(rule="b")
    assert len(bench.undo(rules=("a",)).plan.taken_back) == 2


def test_no_rule_supports_a_label_of_an_exempt_account(bench: UndoBench) -> None:
    bench.load(troll_rule("a"), troll_rule("b"))
    bench.match(rule="b")
    assert len(bench.look(rules=("a",)).plan.kept) == 2
    bench.set(exempt_dids=(DID,))
    assert bench.look(rules=("a",)).plan.kept == ()


def test_a_rule_that_is_newer_than_the_post_supports_its_label_if_backfills_put_it(
    bench: UndoBench,
) -> None:
    bench.match(rule="b")
    bench.load(troll_rule("a"), troll_rule("b"), at=LATER)
    assert bench.look(rules=("a",)).plan.kept == ()
    bench.load(troll_rule("a"), troll_rule("b", backfill="same"), at=LATER)
    assert len(bench.look(rules=("a",)).plan.kept) == 2
    bench.set(backfill_mode="shadow")
    assert bench.look(rules=("a",)).plan.kept == ()


def test_a_label_of_an_account_stays_because_of_another_of_its_posts(bench: UndoBench) -> None:
    account_rule = troll_rule("b", toLabel=False, labelAcct=True)
    bench.load(troll_rule("a", toLabel=False, labelAcct=True), account_rule)
    bench.match("second", "b")
    bench.write(post("3"), post("4", blob_cid="second", at=LATER))
    bench.plan()
    bench.send()
    [kept] = bench.look(rules=("a",), events=(Event.LABEL,), subjects=(f"at://{DID}",)).plan.kept
    assert (kept.action.subject, kept.support) == (DID, Support("b", uri("4")))
    bench.write(delete("4", at=LATER + timedelta(minutes=1)))
    assert bench.look(rules=("a",)).plan.kept == ()


def test_a_hash_is_undone_but_where_the_rest_of_its_rule_matches_too(bench: UndoBench) -> None:
    bench.load(troll_rule("a", phashes=[HASH, OTHER_HASH]))
    with bench.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO rule_matches VALUES ('both', 'a', $1, 'average', 2, 'v', now())",
            [OTHER_HASH],
        )
    bench.match("both", "a")
    bench.write(post("3", blob_cid="both"))
    bench.plan()
    bench.send()
    bench.undo(hashes=(HASH,))
    bench.send()
    assert bench.ozone.standing == {(uri("3"), "troll")}


def test_a_version_is_undone_but_for_what_the_rules_in_force_ask_for(bench: UndoBench) -> None:
    bench.match("far", "a", distance=3)
    bench.write(post("3", blob_cid="far"))
    bench.plan()
    bench.send()
    version = bench.rows()[0].rule_version
    bench.load(troll_rule("a", hammingThreshold=2))
    bench.undo(versions=(version[:12],))
    bench.send()
    assert bench.ozone.standing == BOTH


def test_a_version_in_force_is_undone_with_the_rules_that_acted(bench: UndoBench) -> None:
    bench.undo(versions=(bench.rows()[0].rule_version,))
    bench.send()
    assert bench.ozone.standing == set()


def test_of_a_batch_the_rules_that_acted_in_it_support_nothing(bench: UndoBench) -> None:
    bench.load(troll_rule("a"), troll_rule("b"))
    for rule in "ab":
        bench.match("second", rule)
    bench.match("third", "b")
    bench.write(post("3", blob_cid="second"), post("4", blob_cid="third"))
    bench.plan()
    bench.send()
    bench.undo(batches=("run",))
    bench.send()
    assert bench.ozone.standing == set()


def test_only_what_was_planned_or_sent_since_then_is_undone(bench: UndoBench) -> None:
    bench.clock.advance(hours=1)
    bench.write(post("3", at=NOW + timedelta(hours=1)))
    bench.plan(NOW + timedelta(hours=1))
    bench.send()
    bench.undo(rules=("a",), since=NOW + timedelta(minutes=30))
    bench.send()
    assert bench.ozone.standing == BOTH


def test_takedowns_are_reversed_and_reports_and_comments_are_not(bench: UndoBench) -> None:
    bench.set(max_takedowns_per_day=9)
    bench.load(troll_rule("a", toLabel=False, reportPost=True, takedownAcct=True))
    bench.write(post("3"))
    bench.plan()
    bench.send()
    assert (DID, "!takedown") in bench.ozone.standing
    undo = bench.undo(rules=("a",))
    bench.send()
    assert bench.ozone.standing == set()
    assert {row.event for row in undo.plan.for_good} == {Event.REPORT, Event.COMMENT}


def test_what_was_recorded_in_shadow_mode_needs_no_undo(bench: UndoBench) -> None:
    bench.set(moderation_mode="shadow")
    bench.write(post("3"))
    bench.plan()
    plan = bench.look(subjects=(uri("3"),)).plan
    assert (plan.only_recorded, plan.taken_back, plan.stopped) == (1, (), ())


def test_in_shadow_mode_an_undo_is_recorded_and_can_be_done_in_earnest_later(
    bench: UndoBench,
) -> None:
    bench.set(moderation_mode="shadow")
    bench.undo(rules=("a",))
    assert [row.event for row in bench.in_state(State.SHADOW)] == [Event.NEGATE_LABEL] * 2
    assert len(bench.undo(rules=("a",)).plan.undone_before) == 2
    bench.set(moderation_mode="live")
    bench.undo(rules=("a",))
    bench.send()
    assert bench.ozone.standing == set()


def test_a_label_that_a_later_action_put_again_is_that_actions(bench: UndoBench) -> None:
    bench.ozone.standing.clear()  # somebody else takes it away, else it would not be put again
    bench.clock.advance(days=8)
    bench.plan()
    bench.send()
    first = [row.action_id for row in bench.rows()][:2]
    kept = bench.look(action_ids=tuple(first)).plan.kept
    assert [str(each.support) for each in kept] == [
        "action 3 did it again",
        "action 4 did it again",
    ]
    undo = bench.undo(rules=("a",))
    assert (len(undo.plan.taken_back), len(undo.plan.repeated)) == (2, 2)
    assert len(bench.look(action_ids=tuple(first)).plan.undone_before) == 2


def test_an_undo_that_a_person_rejected_can_be_asked_for_again(bench: UndoBench) -> None:
    bench.undo(rules=("a",))
    rejected = [row.action_id for row in bench.in_state(State.PLANNED)]
    bench.ledger.reviews.reject(rejected, "bob")
    bench.send()
    assert bench.ozone.standing == BOTH
    assert len(bench.undo(rules=("a",)).plan.again) == 2
    bench.send()
    assert bench.ozone.standing == set()


def test_a_rule_that_still_acts_and_hours_that_are_not_matched_are_named(bench: UndoBench) -> None:
    found = bench.look(rules=("a",))
    assert (found.still_acting, found.unmatched_hours) == (("a",), 1)
    bench.load(troll_rule("a", mode="shadow"))
    assert bench.look(rules=("a",)).still_acting == ()


def test_without_posts_and_rules_everything_is_undone(bench: UndoBench, tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").unlink()
    assert len(bench.undo(rules=("a",)).plan.taken_back) == 2


def test_an_undo_is_counted_by_what_becomes_of_the_actions(bench: UndoBench) -> None:
    bench.write(post("3"))
    bench.plan()
    plan = bench.undo(rules=("a",)).plan
    assert [(each.outcome, each.event, each.rule_id, each.actions) for each in counted(plan)] == [
        ("undo", "label", "a", 2),
        ("stop", "label", "a", 1),
    ]
