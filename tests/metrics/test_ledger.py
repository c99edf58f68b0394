"""What the ledger tells: actions by what they do, and how Ozone is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.metrics.sources import NothingYetError, read_ledger
from phash_dagster.moderation.actions import IMPORTED_RULE, Event, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_circuit import OzoneCircuit
from tests.metrics.scraped import Scraped, scraped
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import (
    DID,
    NOW,
    TTL,
    ManualClock,
    action_on_account,
    action_on_post,
)


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.url = f"sqlite:///{folder / 'ledger.sqlite'}"
        self.ledger = Ledger(self.url, self.clock)

    def scrape(self) -> Scraped:
        return scraped(read_ledger(self.url, self.clock))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.ledger.close()


def test_without_a_ledger_that_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NothingYetError):
        read_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", ManualClock())
    assert list(tmp_path.iterdir()) == []


def test_actions_are_counted_as_recorded_and_as_sent(world: World) -> None:
    rows = [action_on_post("1"), action_on_post("2", event=Event.REPORT), action_on_account()]
    world.ledger.record([*rows, action_on_post("3", mode="shadow")], claim_ttl=TTL)
    world.ledger.mark_sending(1)
    world.ledger.mark_sent(1, 77, NOW)
    found = world.scrape()
    live = {"lane": "live", "mode": "live"}
    for event, subject in (("label", "post"), ("report", "post"), ("label", "account")):
        value = found.value("actions_recorded_total", event=event, subject=subject, **live)
        assert value == 1
    assert found.with_labels("actions_recorded_total", "mode") == {"live": 3, "shadow": 1}
    assert found.with_labels("actions_sent_total", "rule") == {"rule-1": 1}
    assert found.with_labels("actions", "state") == {"planned": 2, "sent": 1, "shadow": 1}


def test_a_row_that_is_sent_leaves_no_counter_smaller(world: World) -> None:
    world.ledger.record([action_on_post("1")], claim_ttl=TTL)
    before = world.scrape().counters
    world.ledger.mark_sending(1)
    world.ledger.mark_sent(1, 77, NOW)
    after = world.scrape().counters
    assert all(after[key] >= value for key, value in before.items())


def test_what_ozone_had_already_is_skipped_and_what_a_person_rejected_is_not(
    world: World,
) -> None:
    world.ledger.record([action_on_post("1"), action_on_post("2")], claim_ttl=TTL)
    world.ledger.mark_settled(1, "already labelled troll", expected=State.PLANNED)
    world.ledger.reviews.reject([2], "somebody")
    found = world.scrape()
    assert found.with_labels("actions", "state") == {"suppressed": 2}
    assert found.with_labels("actions_skipped_total", "reason") == {"already_so": 1}


def test_what_the_predecessor_did_is_not_ours(world: World) -> None:
    imported = replace(action_on_post("1"), rule_id=IMPORTED_RULE, state=State.SENT, sent_at=NOW)
    world.ledger.record([imported], claim_ttl=TTL)
    assert world.scrape().with_labels("actions_recorded_total", "event") == {}


def test_how_long_actions_wait_is_told(world: World) -> None:
    older = NOW - timedelta(hours=3)
    rows = [
        action_on_post("1"),
        action_on_post("2", planned_at=older),
        action_on_post("3", state=State.HELD, planned_at=older),
    ]
    world.ledger.record(rows, claim_ttl=TTL)
    found = world.scrape().with_labels("oldest_action_timestamp_seconds", "state")
    assert found == {"planned": older.timestamp(), "held": older.timestamp()}


def test_an_outage_opens_the_circuit_half_opens_and_closes_it(world: World) -> None:
    sending = world.ledger.sending

    def circuit() -> OzoneCircuit:
        return OzoneCircuit(sending, "ozone", world.clock)

    for _ in range(5):
        circuit().failed("502")
    found = world.scrape()
    assert found.value("circuits_open", service="ozone") == 1
    assert found.value("circuit_transitions_total", service="ozone", to="open") == 1
    assert found.value("ozone_pauses_total", kind="outage") == 1
    world.clock.advance(seconds=61)
    circuit().failed("502")
    world.clock.advance(seconds=61)
    circuit().answered()
    found = world.scrape()
    assert found.value("circuits_open", service="ozone") == 0
    assert found.value("circuit_transitions_total", service="ozone", to="open") == 2
    assert found.value("circuit_transitions_total", service="ozone", to="closed") == 1


def test_a_wish_of_the_server_is_a_pause_and_no_open_circuit(world: World) -> None:
    circuit = OzoneCircuit(world.ledger.sending, "ozone", world.clock)
    circuit.wait(30, "429")
    circuit.answered()
    found = world.scrape()
    assert found.value("ozone_pauses_total", kind="limit") == 1
    assert found.with_labels("circuit_transitions_total", "to") == {}


def test_a_circuit_that_could_not_be_saved_counts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phash_dagster.moderation import ledger_sending

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    circuit = OzoneCircuit(world.ledger.sending, "ozone", world.clock)
    monkeypatch.setattr(ledger_sending, "insert", fail)
    with pytest.raises(OSError, match="full"):
        circuit.wait(30, "429")
    assert world.scrape().value("ozone_pauses_total", kind="limit") == 0


# What planning leaves out


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(tmp_path)
    found.load(a_rule(labelAcct=True))
    found.match()
    return found


def claimed(bench: Bench) -> dict[str, float]:
    from phash_dagster.metrics.sources import read_warehouse

    found = scraped(read_warehouse(bench.warehouse, NOW))
    return found.with_labels("actions_skipped_total", "subject")


def test_the_label_of_an_account_is_skipped_for_its_second_post_and_counted_once(
    bench: Bench,
) -> None:
    bench.write(post("1"))
    bench.plan()
    bench.plan()
    assert claimed(bench) == {}, "a run that comes back to a post skips nothing"
    bench.write(post("2"))
    for _ in range(3):
        bench.plan()
    # The label, and the comment that goes with it.
    assert claimed(bench) == {"account": 2}
    bench.write(post("3"))
    bench.plan()
    assert claimed(bench) == {"account": 4}


def test_two_posts_in_one_plan_count_as_those_of_two(bench: Bench) -> None:
    bench.write(post("1"), post("2"))
    bench.plan()
    bench.plan()
    assert claimed(bench) == {"account": 2}


def test_what_the_predecessor_labelled_is_skipped(bench: Bench) -> None:
    imported = action_on_post(
        "1", did=DID, value="troll", rule_id=IMPORTED_RULE, state=State.SENT, sent_at=NOW
    )
    bench.ledger.record([imported], claim_ttl=TTL)
    bench.write(post("1"))
    bench.plan()
    bench.plan()
    assert claimed(bench) == {"post": 1}
