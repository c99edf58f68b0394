"""What is told when: once at the beginning, a reminder, once at the end."""

from datetime import datetime, timedelta

import msgspec
import pytest

from phash_dagster.alerts import (
    Kind,
    Look,
    Memory,
    Policy,
    Trouble,
    after_delivery,
    due,
    observe,
    undelivered,
)
from tests.alerts.builders import NOW, look, trouble

POLICY = Policy()
LAG, GAPS = trouble("lag"), trouble("gaps", "warning")


class Telling:
    """Looks one after the other, and a webhook that takes messages or does not."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.now = NOW
        self.is_down = False

    def look(self, *troubles: Trouble, **later: float) -> list[tuple[str, Kind]]:
        """What is told after so much time, if this is found then and a moment later."""
        self.now += timedelta(**later)
        return [*self.once(*troubles), *self.once(*troubles)]

    def once(self, *troubles: Trouble, unknown: str = "") -> list[tuple[str, Kind]]:
        """One look."""
        return self._told(look(*troubles, at=self.now, unknown=frozenset({unknown})))

    def _told(self, found: Look) -> list[tuple[str, Kind]]:
        # As from one process to the next.
        stored = msgspec.json.encode(self.memory)
        memory = observe(msgspec.json.decode(stored, type=Memory), found)
        notices = due(memory, self.memory, self.now, POLICY)
        if notices and self.is_down:
            self.memory = undelivered(memory, self.now)
            return []
        self.memory = after_delivery(memory, notices, self.now) if notices else memory
        return [(notice.trouble.key, notice.kind) for notice in notices]


@pytest.fixture
def telling() -> Telling:
    return Telling()


def test_what_fails_is_told_once(telling: Telling) -> None:
    assert telling.look(LAG) == [("lag", Kind.STARTED)]
    assert telling.look(LAG, minutes=1) == []
    assert telling.look(LAG, hours=23) == []


def test_a_day_later_it_is_told_again_and_then_once_a_day(telling: Telling) -> None:
    telling.look(LAG)
    assert telling.look(LAG, hours=24) == [("lag", Kind.STILL)]
    assert telling.look(LAG, hours=1) == []
    assert telling.look(LAG, hours=23) == [("lag", Kind.STILL)]


def test_that_it_is_well_is_told_once_it_stayed_so(telling: Telling) -> None:
    telling.look(LAG)
    assert telling.look(minutes=1) == []
    assert telling.look(minutes=4) == []
    assert telling.look(minutes=1) == [("lag", Kind.ENDED)]
    assert telling.look(hours=1) == []


def test_a_short_recovery_is_none(telling: Telling) -> None:
    telling.look(LAG)
    telling.look(minutes=1)
    assert telling.look(LAG, minutes=4) == []
    telling.look(minutes=1)
    assert telling.look(minutes=5) == [("lag", Kind.ENDED)]


def test_no_reminder_while_it_seems_to_be_well(telling: Telling) -> None:
    telling.look(LAG)
    telling.look(hours=23, minutes=58)
    assert telling.look(minutes=2) == []


def test_what_comes_and_goes_has_to_stay_away_longer_each_time(telling: Telling) -> None:
    told = 0
    for _ in range(24 * 6):
        told += len(telling.look(LAG, minutes=2))
        told += len(telling.look(minutes=1))
        told += len(telling.look(minutes=7))
    assert told <= 6, "a failure every ten minutes, all day"


def test_after_a_quiet_day_it_is_new_again(telling: Telling) -> None:
    for _ in range(3):
        assert telling.look(LAG) == [("lag", Kind.STARTED)]
        telling.look(minutes=1)
        assert telling.look(minutes=5) == [("lag", Kind.ENDED)]
        telling.look(hours=25)
    assert telling.memory.episodes == {}


def test_a_warning_that_becomes_an_error_is_told_and_not_twice(telling: Telling) -> None:
    assert telling.look(GAPS) == [("gaps", Kind.STARTED)]
    worse = trouble("gaps", "error")
    assert telling.look(worse, minutes=1) == [("gaps", Kind.WORSE)]
    assert telling.look(GAPS, minutes=1) == []
    assert telling.look(worse, minutes=1) == []


def test_several_at_once_are_told_together_errors_first_recoveries_last(telling: Telling) -> None:
    telling.look(trouble("old"))
    telling.look(minutes=1)
    telling.now += timedelta(minutes=5)
    telling.is_down = True
    telling.once(GAPS, LAG)
    telling.is_down = False
    assert telling.once(GAPS, LAG) == [
        ("lag", Kind.STARTED),
        ("gaps", Kind.STARTED),
        ("old", Kind.ENDED),
    ]


def test_what_nothing_is_known_of_stays_as_it_was(telling: Telling) -> None:
    telling.look(LAG)
    for _ in range(10):
        telling.now += timedelta(minutes=5)
        assert telling.once(unknown="lag") == []
    assert telling.look(hours=24, minutes=1) == []
    assert telling.look(minutes=5) == [("lag", Kind.ENDED)]


def test_what_the_webhook_did_not_take_stays_due(telling: Telling) -> None:
    telling.is_down = True
    assert telling.look(LAG) == []
    assert telling.look(LAG, minutes=1) == []
    telling.is_down = False
    assert telling.look(LAG, minutes=1) == [("lag", Kind.STARTED)]


def test_what_came_and_went_while_the_webhook_was_down_is_told_once(telling: Telling) -> None:
    telling.is_down = True
    telling.look(LAG)
    telling.look(minutes=1)
    telling.look(hours=2)
    telling.is_down = False
    assert telling.look(minutes=1) == [("lag", Kind.PASSED)]
    assert telling.look(minutes=1) == []


def test_what_is_seen_is_remembered_before_it_is_told(telling: Telling) -> None:
    assert telling.once(LAG) == []
    assert telling.once(LAG) == [("lag", Kind.STARTED)]


def test_what_was_gone_at_the_second_look_is_told_when_it_is_over(telling: Telling) -> None:
    telling.once(LAG)
    assert telling.look() == []
    assert telling.look(minutes=5) == [("lag", Kind.PASSED)]


def test_a_process_that_dies_after_sending_tells_twice_and_not_never(telling: Telling) -> None:
    telling.once(LAG)
    before = telling.memory
    assert telling.once(LAG) == [("lag", Kind.STARTED)]
    telling.memory = before
    assert telling.once(LAG) == [("lag", Kind.STARTED)]


def test_what_was_told_by_a_process_that_died_is_also_told_to_be_over(telling: Telling) -> None:
    telling.once(LAG)
    before = telling.memory
    assert telling.once(LAG) == [("lag", Kind.STARTED)]
    telling.memory = before
    assert telling.once() == []
    assert telling.look(minutes=5) == [("lag", Kind.PASSED)]


def test_pauses_between_deliveries_that_fail_grow_to_ten_minutes() -> None:
    memory, pauses = Memory(), []
    for _ in range(7):
        memory = undelivered(memory, NOW)
        assert memory.retry_at is not None
        pauses.append((memory.retry_at - NOW).total_seconds())
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


@pytest.mark.parametrize(("asked", "seconds"), [(5.0, 30), (90.0, 90), (1e9, 600)])
def test_a_server_that_asks_to_wait_is_left_alone_for_so_long(asked: float, seconds: int) -> None:
    memory = undelivered(Memory(), NOW, asked)
    assert memory.retry_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("later", "may"),
    [(timedelta(seconds=29), False), (timedelta(seconds=30), True), (timedelta(hours=-3), True)],
)
def test_a_clock_that_was_set_back_stops_nothing(later: timedelta, may: bool) -> None:
    assert undelivered(Memory(), NOW).may_deliver(NOW + later) is may


def test_a_delivery_ends_the_pause() -> None:
    memory = undelivered(observe(Memory(), look(LAG)), NOW)
    later: datetime = NOW + timedelta(minutes=1)
    notices = due(memory, memory, later, POLICY)
    assert after_delivery(memory, notices, later).retry_at is None
