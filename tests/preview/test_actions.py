"""What would be done: equal to what the pipeline then does."""

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.budgets import HashKey
from phash_dagster.moderation.exemptions import ListState, save_lists
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.preview.model import ActionCount
from phash_dagster.warehouse import ImagePost
from tests.preview.past import MEME, NOW, OTHER, Past, account, delete, entry, near, post

pytestmark = pytest.mark.slow

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Two posts of one account and one of another with the image."""
    return with_posts(Past(tmp_path))


def with_posts(past: Past) -> Past:
    past.hash({"x": MEME})
    past.write(post("1", "x"), post("2", "x"), post("3", "x", did="did:plc:b"))
    return past


def count(
    outcome: Any,
    actions: int = 3,
    accounts: int = 2,
    *,
    why: str = "",
    event: str = "label",
    value: str = "meme",
    subject: str = "post",
    lane: str = "backfill",
) -> ActionCount:
    return ActionCount(subject, event, value, lane, outcome, why, actions, accounts)


def test_live_rules_in_a_live_backfill_would_be_sent(past: Past) -> None:
    assert past.preview_rule(entry()).actions == (count("sent"),)


@pytest.mark.parametrize(
    ("variables", "changes", "why"),
    [
        ({}, {"mode": "shadow"}, "the rule's mode"),
        ({}, {"backfill": "shadow"}, "the rule's backfill"),
        ({"BACKFILL_MODE": "shadow"}, {}, "BACKFILL_MODE"),
        ({"MODERATION_MODE": "shadow"}, {}, "MODERATION_MODE"),
        ({"OZONE_PDS": ""}, {}, "missing credentials"),
        ({"BACKFILL_MODE": "shadow"}, {"mode": "shadow"}, "the rule's mode, BACKFILL_MODE"),
    ],
)
def test_it_says_what_holds_actions_back(
    tmp_path: Path, variables: dict[str, str], changes: dict[str, Any], why: str
) -> None:
    past = with_posts(Past(tmp_path, **variables))
    assert past.preview_rule(entry(**changes)).actions == (count("shadow", why=why),)


def test_an_edited_rule_goes_on_acting_live_on_posts_of_the_last_hours(tmp_path: Path) -> None:
    past = with_posts(Past(tmp_path, BACKFILL_MODE="shadow"))
    past.put_in_force(entry(), at=NOW - timedelta(hours=5))
    past.plan()
    past.write(post("4", "x", hours_ago=10), post("5", "x", hours_ago=4))
    assert past.preview_rule(entry(reportPost=True)).actions == (
        count("shadow", 2, 1, why="BACKFILL_MODE"),
        count("prevented", lane="live", why="in the ledger already"),
        count("shadow", 2, 1, event="report", why="BACKFILL_MODE"),
        count("sent", event="report", lane="live"),
    )


def test_a_hash_that_reaches_further_than_before_begins_anew(past: Past) -> None:
    past.put_in_force(entry(hammingThreshold=1), at=NOW - timedelta(hours=5))
    assert past.preview_rule(entry(hammingThreshold=3)).actions == (count("sent"),)
    assert past.preview_rule(entry(hammingThreshold=1)).actions == (count("sent", lane="live"),)


def test_a_hash_counts_as_flooded_only_if_it_finds_more_than_it_did(tmp_path: Path) -> None:
    past = Past(tmp_path, FLOOD_MIN_POSTS="5")
    past.hash({"x": MEME})
    past.put_in_force(entry(), at=NOW - timedelta(hours=50))
    key = HashKey("meme", f"{MEME:016x}")
    hours = [NOW.replace(minute=0) - timedelta(hours=ago) for ago in range(3, 40)]
    with Ledger(past.settings.effective_ledger_url, lambda: NOW) as ledger:
        usual = {(key, hour): 4 for hour in hours}
        ledger.limits.note_posts(usual, min_posts=5, factor=10)
    past.write(*(post(str(number), "x", did=f"did:plc:{number}") for number in range(8)))
    assert past.preview_rule(entry()).actions == (count("sent", 8, 8, lane="live"),)
    with Ledger(past.settings.effective_ledger_url, lambda: NOW) as ledger:
        ledger.limits.note_posts({(key, NOW): 400}, min_posts=5, factor=10)
        assert ledger.limits.quarantined()
    [found] = past.preview_rule(entry()).actions
    assert (found.outcome, found.actions) == ("held", 8)


def test_the_latest_weeks_come_first_as_in_the_pipeline(tmp_path: Path) -> None:
    past = Past(tmp_path, BACKFILL_MODE="shadow")
    past.hash({"x": MEME})
    past.write(post("1", "x", hours_ago=240), post("2", "x", hours_ago=1))
    past.put_in_force(entry(toLabel=True), at=NOW - timedelta(hours=300))
    edited = entry(toLabel=False, reportAcct=True)
    assert [
        (each.event, each.lane, each.outcome)
        for each in past.preview_rule(edited).actions
        if each.subject == "account" and each.event == "report"
    ] == [("report", "live", "sent")]


def test_what_is_gone_would_be_suppressed(past: Past) -> None:
    past.write(delete("1"), account("takendown", "did:plc:b"))
    assert past.preview_rule(entry()).actions == (
        count("sent", 1, 1),
        count("suppressed", 1, 1, why="account takendown"),
        count("suppressed", 1, 1, why="post deleted"),
    )


def test_an_account_that_went_before_the_period_is_gone(past: Past) -> None:
    past.write(account("deleted", "did:plc:b", hours_ago=20))
    assert past.preview_rule(entry(), days=0.1).actions == (
        count("sent", 2, 1),
        count("suppressed", 1, 1, why="account deleted"),
    )


def test_each_account_is_labelled_once(past: Past) -> None:
    assert past.preview_rule(entry(toLabel=False, labelAcct=True)).actions == (
        count("sent", 2, event="comment", subject="account"),
        count("sent", 2, event="label", subject="account"),
    )


def test_a_takedown_has_no_value_and_waits_for_a_person(past: Past) -> None:
    rule = past.preview_rule(entry(toLabel=False, takedownPost=True))
    why = "over budget: 0 takedowns in 24 hours (MAX_TAKEDOWNS_PER_DAY)"
    assert rule.actions == (count("held", event="takedown", value="", why=why),)


def test_what_the_ledger_has_would_be_prevented(past: Past) -> None:
    past.put_in_force(entry(toLabel=True))
    past.plan()
    past.write(post("4", "x"))
    assert past.preview_rule(entry(reportPost=True)).actions == (
        count("prevented", why="in the ledger already"),
        count("sent", 1, 1),
        count("sent", 4, 2, event="report"),
    )


def test_shadow_rows_do_not_prevent_live_ones(tmp_path: Path) -> None:
    past = with_posts(Past(tmp_path))
    past.put_in_force(entry(mode="shadow"))
    past.plan()
    assert past.preview_rule(entry(mode="shadow")).actions == (
        count("prevented", why="in the ledger already"),
    )
    assert past.preview_rule(entry()).actions == (count("sent"),)


def test_a_label_that_the_account_has_by_another_rule_is_prevented_too(past: Past) -> None:
    account_label: dict[str, Any] = {"toLabel": False, "labelAcct": True, "label": "same"}
    past.put_in_force(entry(**account_label))
    past.plan()
    past.hash({"y": OTHER})
    past.write(post("4", "y"), post("5", "y", did="did:plc:c"))
    path = past.write_rules(entry("second", OTHER, **account_label), name="new.json")
    assert {(found.outcome, found.accounts) for found in past.preview(path).rules[0].actions} == {
        ("prevented", 1),
        ("sent", 1),
    }


def test_what_waits_for_a_rule_that_goes_is_taken_back_and_planned_by_the_new_one(
    past: Past,
) -> None:
    past.put_in_force(entry(label="same"))
    past.plan()
    rule = past.preview_rule(entry("second", label="same"))
    assert rule.actions == (count("sent", value="same"),)


def test_what_two_rules_do_to_one_account_is_prevented_for_the_second(past: Past) -> None:
    past.hash({"y": OTHER})
    past.write(post("4", "y"))
    account_label: dict[str, Any] = {"toLabel": False, "labelAcct": True, "label": "same"}
    path = past.write_rules(entry(**account_label), entry("second", OTHER, **account_label))
    first, second = past.preview(path).rules
    assert {found.outcome for found in first.actions} == {"sent"}
    assert {(found.outcome, found.why) for found in second.actions} == {
        ("prevented", "another of the rules does it")
    }


def recorded_in_a_copy(past: Past, entries: Sequence[dict[str, Any]]) -> list[Action]:
    """What the pipeline records once it is given these rules."""
    with TemporaryDirectory() as folder:
        copy = Past(Path(folder, "copy"))
        shutil.copytree(past.settings.data_dir, copy.settings.data_dir)
        copy.put_in_force(*entries, at=LATER)
        return copy.plan(LATER, run_id="preview")


def told(actions: Sequence[Action]) -> list[tuple[Any, ...]]:
    """All that tells two rows apart, but their numbers."""
    return sorted(
        (
            row.external_id,
            row.subject,
            row.source_uri,
            row.blob_cids,
            row.event.value,
            row.value,
            row.rule_id,
            row.rule_version,
            row.rule_hash,
            row.distance,
            row.comment,
            row.lane,
            row.mode,
            row.state.value,
            row.reason,
        )
        for row in actions
    )


AUTHORS = ["did:plc:a", "did:plc:b", "did:plc:c"]
VALUES = [MEME, near(MEME, 2), near(MEME, 4), near(MEME, 6), OTHER, near(OTHER, 3)]
BLOBS = {f"blob{number}": value for number, value in enumerate(VALUES)}

rkeys = st.sampled_from(["1", "2", "3", "4"])
authors = st.sampled_from(AUTHORS)
# Half of them in the last two hours, which may belong to the lane `live`.
hours = (st.integers(1, 3) | st.integers(1, 220)).map(lambda half: half / 2)


@st.composite
def events(draw: st.DrawFn) -> ImagePost:
    rkey, did, ago = draw(rkeys), draw(authors), draw(hours)
    kind = draw(st.sampled_from(["post", "post", "post", "update", "delete", "account"]))
    if kind == "delete":
        return delete(rkey, did, ago)
    if kind == "account":
        return account(draw(st.sampled_from(["active", "takendown", "deleted"])), did, ago)
    blob = draw(st.sampled_from([*BLOBS, None] if kind == "update" else list(BLOBS)))
    operation = "create" if kind == "post" else "update"
    cid = f"record-{rkey}-{blob}-{operation}"
    return post(rkey, blob, did=did, hours_ago=ago, operation=operation, cid=cid)


def rule_entries(prefix: str) -> st.SearchStrategy[dict[str, Any]]:
    flags = {name: st.booleans() for name in ("labelAcct", "reportPost", "takedownPost")}
    return st.builds(
        lambda number, value, other, changes: entry(
            f"{prefix}{number}",
            value,
            allow=["colliding-hash", "duplicate-hash"],
            exceptHashes=[] if other in (None, value) else [f"{other:016x}"],
            **changes,
        ),
        st.integers(0, 2),
        st.sampled_from(VALUES),
        st.sampled_from([None, None, *VALUES]),
        st.fixed_dictionaries(
            {
                **flags,
                "mode": st.sampled_from(["live", "live", "shadow"]),
                "hammingThreshold": st.integers(0, 5),
                "label": st.sampled_from(["one", "two"]),
                "ignoreDID": st.lists(authors, max_size=1),
            }
        ),
    )


def rule_sets(prefix: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        rule_entries(prefix), min_size=1, max_size=3, unique_by=lambda rule: str(rule["id"])
    )


@given(
    rows=st.lists(events(), min_size=1, max_size=25),
    before=rule_sets("rule"),
    after=rule_sets("rule"),
    sent=st.integers(0, 3),
)
@hypothesis_settings(max_examples=25)
def test_what_would_be_done_is_what_the_pipeline_records_with_the_same_rules(
    rows: list[ImagePost], before: list[dict[str, Any]], after: list[dict[str, Any]], sent: int
) -> None:
    with TemporaryDirectory() as folder:
        past = Past(Path(folder))
        past.hash(BLOBS)
        past.write(*rows)
        past.put_in_force(*before, at=NOW - timedelta(hours=60))
        send_some(past, past.plan(NOW - timedelta(hours=1)), sent)
        found = past.preview(past.write_rules(*after), now=LATER)
        assert told(found.recorded) == told(recorded_in_a_copy(past, after))
        counts = [each for rule in found.rules for each in rule.actions]
        taken = sum(each.actions for each in counts if each.outcome != "prevented")
        assert taken == len(found.recorded)


def send_some(past: Past, planned: Sequence[Action], number: int) -> None:
    with Ledger(past.settings.effective_ledger_url, lambda: NOW) as ledger:
        for action in planned[:number]:
            if ledger.mark_sending(action.action_id):
                ledger.mark_sent(action.action_id, 1, NOW)


def test_a_backfill_beyond_its_bounds_would_be_held(tmp_path: Path) -> None:
    past = with_posts(Past(tmp_path, BACKFILL_MAX_POSTS="2"))
    [found] = past.preview_rule(entry()).actions
    assert (found.outcome, found.actions) == ("held", 3)
    assert "2 posts (BACKFILL_MAX_POSTS)" in found.why


def test_members_of_exempt_lists_are_left_alone(tmp_path: Path) -> None:
    list_uri = "at://did:plc:owner/app.bsky.graph.list/3k"
    past = Past(tmp_path, EXEMPT_LISTS=list_uri)
    past.hash({"meme": MEME})
    past.write(post("one", "meme"), post("two", "meme", did="did:plc:b"))
    state = ListState(list_uri, NOW, 1, NOW, None)
    with past.warehouse.write() as connection:
        save_lists(connection, [state], {list_uri: ["did:plc:a"]}, past.settings)
    found = past.preview_rule(entry())
    assert {(count.outcome, count.why): count.actions for count in found.actions} == {
        ("sent", ""): 1,
        ("suppressed", f"account is exempt (list {list_uri})"): 1,
    }
