"""Which hours expire, and which of them something still needs."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.images.model import Outcome
from phash_dagster.maintenance import expiry
from phash_dagster.maintenance.expiry import Expiry, Held, expired_hours, expires_before
from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.rules import save_version
from phash_dagster.settings import Mode
from tests.maintenance.past import NOW, Past, days_ago, full_past, hours_of, post
from tests.matching.builders import make_rule, make_rules
from tests.moderation.builders import TTL, action_on_post, post_uri

OLD = hours_of(10, 9.9, 9)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return full_past(tmp_path)


def find(past: Past, days: float = 5, held: Held = lambda _: None) -> Expiry:
    with Ledger(past.stores.settings.effective_ledger_url) as ledger:
        return expired_hours(
            past.store.posts,
            past.store.warehouse,
            ledger,
            now=NOW,
            retention_days=days,
            held=held,
        )


def test_without_retention_nothing_expires(past: Past) -> None:
    assert find(past, 0) == Expiry()


def test_hours_expire_a_day_after_the_days_they_are_kept_for(past: Past) -> None:
    assert find(past).hours == OLD
    assert expires_before(NOW, 5) == NOW - timedelta(days=6)
    end = 9 - 1 / 24  # days ago; the half hour after it belongs to the hour, too
    assert hours_of(9)[0] in find(past, end - 1 - 1 / 24).hours
    assert hours_of(9)[0] not in find(past, end - 1 + 1 / 24).hours


def test_an_hour_that_a_run_needs_stays_for_now(past: Past) -> None:
    found = find(past, held=lambda hour: "needed" if hour == OLD[1] else None)
    assert found.hours == [OLD[0], OLD[2]]
    assert found.held == {OLD[1]: "needed"}


def test_an_hour_that_new_rules_have_yet_to_see_stays_for_now(past: Past) -> None:
    rules = make_rules(make_rule("other", [9]))
    with past.store.warehouse.write() as connection:
        save_version(connection, rules, NOW + timedelta(hours=1))
    found = find(past)
    assert found.hours == []
    assert set(found.held.values()) == {"not matched with the rules in force yet"}


def test_an_hour_whose_images_wait_stays_for_now(past: Past) -> None:
    past.add(post("slow", at=days_ago(10)))
    past.fail("slow", outcome=Outcome.waiting)
    assert list(find(past).held) == [OLD[0]]


def test_an_hour_whose_images_nobody_tried_stays_for_now(past: Past) -> None:
    past.add(post("untried", at=days_ago(9)))
    past.match()
    assert list(find(past).held) == [OLD[2]]


def test_after_a_month_images_that_wait_keep_nothing(tmp_path: Path) -> None:
    past = Past.under(tmp_path)
    past.add(post("slow", at=days_ago(40)))
    past.fail("slow", outcome=Outcome.waiting)
    assert find(past).hours == hours_of(40)


@pytest.mark.parametrize("state", [State.PLANNED, State.HELD, State.SHADOW])
def test_an_hour_stays_while_an_action_on_its_posts_is_open(past: Past, state: State) -> None:
    uri = post_uri("open")
    past.add(post("old", at=days_ago(9.9))._replace(uri=uri))
    mode: Mode = "shadow" if state is State.SHADOW else "live"
    with Ledger(past.stores.settings.effective_ledger_url) as ledger:
        ledger.record([action_on_post("open", mode=mode, state=state)], claim_ttl=TTL)
    assert list(find(past).held) == ([] if state is State.SHADOW else [OLD[1]])


def test_a_long_past_goes_in_parts_the_oldest_first(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "MAX_HOURS", 2)
    found = find(past)
    assert found.hours == OLD[:2]
    assert found.left == 1
