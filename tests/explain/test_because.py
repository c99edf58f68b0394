"""Why was this labelled, and why was this not? One line at the end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.images.model import Outcome
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.rules import RuleSet, SetAside, current_version, save_version
from tests.explain.stage import (
    MEME,
    NOW,
    OTHER,
    RULES_LOADED,
    Stage,
    account_event,
    blob,
    delete,
    entry,
    key,
    near,
    uri,
)
from tests.moderation.builders import action_on_post
from tests.preview.past import hexadecimal
from tests.preview.past import post as image_post

pytestmark = pytest.mark.slow

KEY = key()
POST = uri(KEY)
NOTHING = "Nothing was done because "


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A post with an image that is two bits away from the rule's hash."""
    found = Stage(tmp_path)
    found.give(meme=near(MEME, 2))
    found.post(KEY, "meme")
    return found


# Something was done


def test_what_was_sent_is_named_with_ozones_event(stage: Stage) -> None:
    stage.rule()
    stage.live()
    stage.send(event_id=12)
    assert stage.because(POST) == (
        "Done: label meme on the post was sent at 2026-11-23 20:15:00 UTC as Ozone's event 12."
    )


def test_several_actions_are_named_the_weightiest_first(stage: Stage) -> None:
    stage.rule(entry(labelAcct=True, reportPost=True, takedownPost=True))
    stage.change(max_takedowns_per_day=9)
    stage.live()
    stage.send()
    line = stage.because(POST)
    assert line.startswith("Done: takedown on the post was sent")
    assert line.endswith("; and 2 more actions.")
    assert line.count("label meme") == 2


def test_what_a_person_took_back_says_who_and_why(stage: Stage) -> None:
    stage.rule()
    [row] = stage.live()
    stage.send()
    stage.outcome(row.action_id, "label_negated")
    assert stage.because(POST) == (
        f"{NOTHING}label meme on the post was sent at 2026-11-23 20:15:00 UTC as Ozone's event 7, "
        "and taken back by did:plc:mod at 2026-11-23 20:15:00 UTC: art."
    )


@pytest.mark.parametrize(
    ("later", "kind", "says"),
    [
        ("label_confirmed", "people", "Done: "),
        ("appealed", "people", "taken back by did:plc:mod"),
        ("label_negated", "pipeline", "taken back by an undo"),
        ("label_negated", "schedule", "taken back by Ozone, when its time was over, at"),
    ],
)
def test_the_last_word_counts(stage: Stage, later: str, kind: str, says: str) -> None:
    stage.rule()
    [row] = stage.live()
    stage.send()
    stage.outcome(row.action_id, "label_negated", event=90)
    stage.outcome(row.action_id, later, kind=kind, event=91)
    assert says in stage.because(POST)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State.SENT, "and taken back by action 2, an undo, at 2026-11-23 20:15:00 UTC."),
        (State.PLANNED, "; action 2, which takes it back, is planned."),
    ],
)
def test_an_undo_is_told_at_once(stage: Stage, state: State, says: str) -> None:
    stage.rule()
    [row] = stage.live()
    stage.send()
    undo = on_the_post(
        event=Event.NEGATE_LABEL, undoes=row.action_id, state=state, sent_at=NOW, value="meme"
    )
    stage.record(undo)
    line = stage.because(POST)
    assert line.endswith(says)
    assert line.startswith("Done: " if state is State.PLANNED else NOTHING)


# Something is in the ledger


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": State.PLANNED}, "waits to be sent"),
        ({"state": State.PLANNED, "reason": "502"}, "waits to be sent (502)"),
        ({"state": State.SENDING}, "is being sent"),
        (
            {"state": State.HELD, "reason": "over budget"},
            "is held for a person: over budget (phash-dagster actions release 1 sends it)",
        ),
        ({"state": State.SUPPRESSED, "reason": "post deleted"}, "was not sent: post deleted"),
        ({"state": State.FAILED, "reason": "Invalid label"}, "was refused by Ozone: Invalid"),
        (
            {"state": State.DEAD, "reason": "no answer", "attempts": 9},
            "was given up after 9 attempts: no answer",
        ),
    ],
)
def test_what_waits_or_failed_says_so(stage: Stage, fields: dict[str, Any], says: str) -> None:
    stage.rule()
    stage.record(on_the_post(**fields))
    line = stage.because(POST)
    assert line.startswith(f"{NOTHING}label troll on the post ")
    assert says in line


def on_the_post(**fields: Any) -> Action:
    return action_on_post(KEY, did="did:plc:a", **fields)


def test_what_was_recorded_in_shadow_mode_names_the_settings(stage: Stage) -> None:
    stage.change(moderation_mode="shadow")
    stage.rule(entry(mode="shadow"))
    stage.live()
    assert stage.because(POST) == (
        f"{NOTHING}label meme on the post was only recorded, in shadow mode (the rule's mode, "
        "MODERATION_MODE)."
    )


def test_what_was_recorded_in_a_mode_of_the_past_says_so(stage: Stage) -> None:
    stage.change(moderation_mode="shadow")
    stage.rule()
    stage.live()
    stage.change(moderation_mode="live")
    assert "in shadow mode (by the settings of that time)" in stage.because(POST)


def test_what_waits_for_a_list_names_the_list(stage: Stage) -> None:
    stage.rule()
    stage.live()
    stage.change(exempt_lists=("at://did:plc:o/app.bsky.graph.list/3k",))
    assert "at://did:plc:o/app.bsky.graph.list/3k of EXEMPT_LISTS was never read" in stage.because(
        POST
    )


def test_what_waits_while_sending_is_off_says_so(stage: Stage) -> None:
    stage.rule()
    stage.live()
    stage.change(moderation_mode="shadow")
    assert "nothing is sent in shadow mode (MODERATION_MODE)" in stage.because(POST)


def test_of_a_suppressed_row_and_a_later_one_the_later_counts(stage: Stage) -> None:
    stage.rule()
    suppressed = on_the_post(state=State.SUPPRESSED, reason="post deleted", external_id="other")
    stage.record(suppressed)
    stage.record(on_the_post())
    assert stage.because(POST) == f"{NOTHING}label troll on the post waits to be sent."


# The rules say nothing


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            entry("meme", MEME ^ 0xFFFF),
            "no rule hash is near its image: the nearest, e7c3a58d1b3c81bd of rule meme, is 14 "
            "bits away, and the threshold is 3",
        ),
        (
            entry(hammingThreshold=1),
            f"the nearest hash, {hexadecimal(MEME)} of rule meme, is 2 bits away, and its "
            "threshold is 1",
        ),
        (
            entry(ignoreDID=["did:plc:a"]),
            f"hash {hexadecimal(MEME)} of rule meme is 2 bits away, but the rule ignores this "
            "account (ignoreDID)",
        ),
        (
            entry(expires="2026-11-20"),
            "the rule expired at 2026-11-21 00:00 UTC",
        ),
        (
            entry(exceptHashes=[hexadecimal(near(MEME, 1))]),
            "an image that the rule leaves alone is as near, or nearer (exceptHashes)",
        ),
    ],
    ids=["far away", "in the margin", "ignored", "expired", "exception"],
)
def test_what_the_rules_leave_alone_says_why(stage: Stage, rule: dict[str, Any], says: str) -> None:
    stage.rule(rule)
    assert stage.live() == []
    line = stage.because(POST)
    assert line.startswith(NOTHING)
    assert says in line


def test_a_hash_that_was_set_aside_says_for_what(stage: Stage) -> None:
    stage.rule()
    with stage.warehouse.write() as connection:
        found = current_version(connection)
        assert found is not None
        aside = [SetAside("meme", hexadecimal(MEME), "flat-hash")]
        rules = RuleSet.of(found.rules, default_threshold=3, set_aside=aside)
        save_version(connection, rules, RULES_LOADED + timedelta(minutes=1))
    assert stage.because(POST).endswith("but the hash is set aside: flat-hash.")


def test_an_image_of_low_quality_says_how_low(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    post = stage.post(KEY, "meme")
    stage.hash({blob("meme"): MEME}, quality=4)
    stage.rule()
    assert stage.because(post).endswith(
        "but the quality of the image's hash is 4, below 10 (MIN_IMAGE_QUALITY)."
    )


def test_a_rule_that_is_gone_says_so(stage: Stage) -> None:
    stage.rule()
    stage.rule(entry("other", OTHER))
    assert stage.because(POST).endswith("but the rule is no longer in force.")


def test_a_hash_that_the_rule_no_longer_has_says_so(stage: Stage) -> None:
    stage.rule()
    stage.rule(entry("meme", OTHER))
    assert stage.because(POST).endswith("but the rule no longer has this hash.")


def test_without_rules_it_says_so(stage: Stage) -> None:
    assert stage.because(POST) == f"{NOTHING}no rules are in force."


def test_of_several_images_the_one_that_came_farthest_counts(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.give(far=OTHER, near=near(MEME, 5), nearer=near(MEME, 4))
    post = stage.post(KEY, "far", "near", "nearer", "untried")
    stage.rule()
    assert stage.because(post) == (
        f"{NOTHING}of its 4 images none led to a decision; image 3: the nearest hash, "
        f"{hexadecimal(MEME)} of rule meme, is 4 bits away, and its threshold is 3."
    )


# A rule decides, and yet


def test_a_rule_that_asks_for_nothing_says_so(stage: Stage) -> None:
    stage.rule(entry(toLabel=False))
    stage.live()
    assert stage.because(POST) == f"{NOTHING}rule meme decides about it and asks for no action."


def test_a_post_from_before_a_rule_without_backfill_says_so(stage: Stage) -> None:
    stage.rule(entry(backfill="none"), at=NOW)
    stage.live()
    assert stage.because(POST) == (
        f"{NOTHING}the post is from before rule meme was in force, and its backfill is none."
    )


def test_a_post_that_is_too_old_for_a_backfill_says_so(stage: Stage) -> None:
    stage.rule(entry(backfillMaxAgeDays=2), at=NOW)
    later = NOW + timedelta(days=3)
    stage.live(later)
    assert stage.because(POST, later).endswith("acts on: backfillMaxAgeDays is 2.")


def test_what_another_action_did_already_names_it(stage: Stage) -> None:
    stage.rule(entry(toLabel=False, labelAcct=True))
    [label, comment] = stage.live()
    stage.send()
    again = stage.post(key(number=1), "meme")
    stage.put_in_force(at=RULES_LOADED)
    stage.live()
    line = stage.because(again)
    assert f"action {label.action_id}, {comment.action_id} did the same already" in line
    assert "within 7 days (CLAIM_TTL_DAYS)" in line


def test_what_was_not_looked_at_yet_names_the_hour(stage: Stage) -> None:
    stage.rule()
    with stage.warehouse.write() as connection:
        connection.execute("DELETE FROM partition_matches")
    assert "its hour, 2026-11-23-19:00, was not looked at with the rules" in stage.because(POST)


def test_what_was_looked_at_before_something_changed_says_what_to_do(stage: Stage) -> None:
    stage.rule()
    assert "Materialize moderation_actions for that hour" in stage.because(POST)


def test_an_exempt_account_says_by_what(stage: Stage) -> None:
    stage.rule()
    stage.change(exempt_dids=("did:plc:a",))
    assert stage.because(POST) == f"{NOTHING}account is exempt (EXEMPT_DIDS)."
    stage.live()
    assert stage.because(POST).endswith("was not sent: account is exempt (EXEMPT_DIDS).")


# Images without a hash


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome.not_found, "its image has no hash: not_found, gone"),
        (Outcome.waiting, "its image could not be had yet: gone; the next attempt is at 2026-"),
        (None, "its image was not fetched yet"),
    ],
)
def test_an_image_without_a_hash_says_why(
    tmp_path: Path, outcome: Outcome | None, says: str
) -> None:
    stage = Stage(tmp_path)
    post = stage.post(KEY, "meme")
    stage.rule()
    if outcome:
        stage.end("meme", outcome, "gone")
    assert says in stage.because(post)


def test_an_image_that_was_not_compared_yet_says_so(stage: Stage) -> None:
    stage.rule(entry("meme", OTHER))
    stage.give(fresh=MEME)
    post = stage.post(key(number=1), "fresh")
    assert stage.because(post) == (
        f"{NOTHING}its image was not compared with the rules in force yet; the next run does so."
    )


# What became of the record


def test_a_record_that_lost_its_image_says_so(stage: Stage) -> None:
    stage.rule()
    stage.write(image_post(KEY, None, operation="update", cid="newer", hours_ago=0.5))
    assert stage.because(POST) == f"{NOTHING}the record, as it stands now, has no image."


def test_a_record_of_which_only_the_end_was_seen_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write(delete(KEY))
    assert stage.because(POST) == (f"{NOTHING}the post was deleted, and no image in it was seen.")


def test_a_post_that_is_gone_and_was_not_planned_says_so(stage: Stage) -> None:
    stage.rule()
    stage.write(account_event("takendown"))
    assert stage.because(POST) == f"{NOTHING}the account is takendown."
