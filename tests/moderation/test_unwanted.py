"""Planned rows that are no longer wanted when their turn comes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Event, State
from phash_dagster.moderation.unwanted import suppress_unwanted
from phash_dagster.rules import RuleSet, SetAside, save_version
from phash_dagster.warehouse import ImagePost
from tests.matching.builders import add_images
from tests.moderation.bench import RULES_LOADED, Bench, a_rule, account, delete, post
from tests.moderation.builders import DID, HASH, NOW

pytestmark = pytest.mark.slow

LATER = NOW + timedelta(minutes=5)


def _suppress(bench: Bench) -> int:
    return suppress_unwanted(
        bench.ledger, bench.warehouse, bench.posts, bench.clock(), bench.settings
    )


def _reasons(bench: Bench) -> list[str | None]:
    return [row.reason for row in bench.rows() if row.state is State.SUPPRESSED]


@pytest.fixture
def planned(bench: Bench) -> Bench:
    bench.write(post())
    bench.plan()
    return bench


def test_what_is_still_wanted_stays_planned(planned: Bench) -> None:
    assert _suppress(planned) == 0
    assert planned.states() == ["planned"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (delete(at=LATER), "post deleted"),
        (account("suspended", at=LATER), "account suspended"),
        (post(operation="update", cid="newer", blob_cid=None, at=LATER), "record updated"),
    ],
)
def test_a_subject_that_is_gone_or_edited_is_left_alone(
    planned: Bench, event: ImagePost, reason: str
) -> None:
    planned.write(event)
    assert _suppress(planned) == 1
    assert _reasons(planned) == [reason]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "shadow"}, "rule now in shadow mode"),
        ({"ignoreDID": [DID]}, "rule now ignores this account"),
        ({"hammingThreshold": 0}, "rule no longer matches the image"),
        ({"phashes": ["f" * 16]}, "rule no longer matches the image"),
        ({"toLabel": False}, "rule no longer asks for this label"),
        ({"expires": "2026-11-22"}, "rule has expired"),
    ],
)
def test_a_rule_that_was_changed_takes_back_what_waits(
    planned: Bench, changes: dict[str, Any], reason: str
) -> None:
    planned.load(a_rule(**changes), at=LATER)
    assert _suppress(planned) == 1
    assert _reasons(planned) == [reason]


NEAR = int(HASH, 16) ^ 1
"""An image at a distance of 1."""


def _except_from(bench: Bench, image: int | None, *exceptions: int) -> None:
    """Add exceptions to the rule while an action on an image with this hash waits."""
    if image is not None:
        with bench.warehouse.write() as connection:
            add_images(connection, {"blob": image})
    bench.load(a_rule(exceptHashes=[f"{value:016x}" for value in exceptions]), at=LATER)


@pytest.mark.parametrize("exceptions", [[NEAR], [NEAR ^ 2], [NEAR ^ 0xFF00, NEAR]])
def test_an_exception_as_near_as_the_hash_takes_back_what_waits(
    planned: Bench, exceptions: list[int]
) -> None:
    _except_from(planned, NEAR, *exceptions)
    assert _suppress(planned) == 1
    assert _reasons(planned) == ["rule now leaves the image alone"]


@pytest.mark.parametrize("image", [NEAR, None])
def test_an_exception_farther_than_the_hash_or_an_unknown_image_takes_back_nothing(
    planned: Bench, image: int | None
) -> None:
    _except_from(planned, image, NEAR ^ 6)
    assert _suppress(planned) == 0


def test_an_exception_for_one_of_two_images_takes_back_nothing(bench: Bench) -> None:
    bench.match("second")
    bench.write(post(), post(blob_cid="second", position=1))
    bench.plan()
    with bench.warehouse.write() as connection:
        add_images(connection, {"second": NEAR ^ 7})
    _except_from(bench, NEAR, NEAR)
    assert _suppress(bench) == 0


def test_a_hash_that_was_set_aside_takes_back_what_waits(planned: Bench) -> None:
    aside = SetAside("troll", HASH, "flat-hash")
    rules = RuleSet.of((a_rule(),), default_threshold=3, set_aside=[aside])
    with planned.warehouse.write() as connection:
        save_version(connection, rules, loaded_at=LATER)
    assert _suppress(planned) == 1
    assert _reasons(planned) == ["hash now set aside: flat-hash"]


def test_a_rule_that_was_removed_takes_back_what_waits(planned: Bench) -> None:
    planned.load(at=LATER)
    assert _suppress(planned) == 1
    assert _reasons(planned) == ["rule no longer in force"]


def test_a_change_that_concerns_other_things_takes_back_nothing(planned: Bench) -> None:
    planned.load(a_rule(reportPost=True, hammingThreshold=9), a_rule("other"), at=LATER)
    assert _suppress(planned) == 0


def test_an_update_of_the_post_leaves_the_action_on_its_author(bench: Bench) -> None:
    bench.load(a_rule(labelAcct=True, toLabel=False))
    bench.write(post())
    bench.plan()
    bench.write(post(operation="update", cid="newer", blob_cid=None, at=LATER))
    assert _suppress(bench) == 0
    assert bench.states() == ["planned", "planned"]  # the label and its comment


def test_what_an_emitter_took_up_is_settled_and_not_suppressed(planned: Bench) -> None:
    [row] = planned.rows()
    planned.ledger.mark_sending(row.action_id)
    planned.write(delete(at=LATER))
    assert _suppress(planned) == 0
    assert planned.states() == ["sending"]


def test_planning_suppresses_what_is_no_longer_wanted_too(planned: Bench) -> None:
    planned.load(at=LATER)
    assert planned.plan().suppressed == 1


def test_what_takes_an_action_back_is_wanted_whatever_happened(planned: Bench) -> None:
    [row] = planned.rows()
    undo = replace(row, undoes=row.action_id, event=Event.NEGATE_LABEL, external_id="undo")
    planned.ledger.mark_sending(row.action_id)
    planned.ledger.mark_sent(row.action_id, 1, NOW)
    planned.ledger.record([undo], claim_ttl=timedelta(days=7))
    planned.write(account("suspended", at=LATER))
    planned.load(at=LATER)
    assert _suppress(planned) == 0
    assert planned.states() == ["sent", "planned"]


def test_the_brake_takes_back_what_waits_about_the_past_and_nothing_else(bench: Bench) -> None:
    bench.load(a_rule(backfill="same"))
    past = RULES_LOADED - timedelta(hours=1)
    bench.write(post("past", at=past), post("today"))
    bench.plan(past, NOW)
    assert bench.states() == ["planned", "planned"]
    bench.set(backfill_mode="shadow")
    assert _suppress(bench) == 1
    [braked] = [row for row in bench.rows() if row.state is State.SUPPRESSED]
    assert (braked.lane, braked.reason) == ("backfill", "BACKFILL_MODE is shadow")


def test_an_undo_of_a_backfill_goes_on_with_the_brake(planned: Bench) -> None:
    [row] = planned.rows()
    undo = replace(row, undoes=1, event=Event.NEGATE_LABEL, external_id="u", lane="backfill")
    planned.ledger.record([undo], claim_ttl=timedelta(days=7))
    planned.set(backfill_mode="shadow")
    assert _suppress(planned) == 0


def test_a_delete_is_seen_though_the_clock_was_days_ahead_when_the_action_was_planned(
    bench: Bench,
) -> None:
    bench.write(post())
    bench.clock.advance(days=4)
    bench.plan()
    bench.clock.advance(days=-4)
    bench.write(delete(at=LATER))
    assert _suppress(bench) == 1
    assert _reasons(bench) == ["post deleted"]
