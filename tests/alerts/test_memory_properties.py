"""Whatever fails and recovers when, with a webhook that is down at times and crashes in between:
no failure is left unreported, and nothing is repeated within the reminder time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.alerts import (
    Kind,
    Memory,
    Policy,
    Severity,
    after_delivery,
    due,
    observe,
    undelivered,
)
from tests.alerts.builders import NOW, look, trouble

KEYS = ("lag", "gaps", "job")
POLICY = Policy(repeat_after=timedelta(hours=6))
BEGINNINGS = (Kind.STARTED, Kind.PASSED)


@dataclass(frozen=True)
class Step:
    """What happens between one look and the next."""

    minutes: int
    failing: dict[str, Severity]
    unknown: frozenset[str] = frozenset()
    is_down: bool = False
    crashes: bool = False
    """The process dies after sending and before what it told is remembered."""


@dataclass(frozen=True)
class Told:
    at: datetime
    key: str
    kind: Kind
    severity: Severity


severities = st.sampled_from(("warning", "error"))
steps = st.builds(
    Step,
    minutes=st.integers(0, 400),
    failing=st.dictionaries(st.sampled_from(KEYS), severities),
    unknown=st.frozensets(st.sampled_from(KEYS), max_size=1),
    is_down=st.booleans(),
    crashes=st.booleans(),
)
without_crashes = st.builds(
    Step,
    minutes=st.integers(0, 400),
    failing=st.dictionaries(st.sampled_from(KEYS), severities),
    unknown=st.frozensets(st.sampled_from(KEYS), max_size=1),
    is_down=st.booleans(),
)


def tell(script: list[Step]) -> list[Told]:
    """Everything that reaches the webhook."""
    memory, now, told = Memory(), NOW, []
    for step in script:
        now += timedelta(minutes=step.minutes)
        stored = msgspec.json.encode(memory)
        before = msgspec.json.decode(stored, type=Memory)
        failing = [trouble(key, severity, since=now) for key, severity in step.failing.items()]
        memory = observe(before, look(*failing, at=now, unknown=step.unknown))
        notices = due(memory, before, now, POLICY)
        if not notices or not memory.may_deliver(now):
            continue
        if step.is_down:
            memory = undelivered(memory, now)
            continue
        told += [Told(now, one.trouble.key, one.kind, one.trouble.severity) for one in notices]
        memory = before if step.crashes else after_delivery(memory, notices, now)
    return told


def of(key: str, told: list[Told]) -> list[Told]:
    return [one for one in told if one.key == key]


@given(st.lists(steps, max_size=40))
def test_no_failure_is_left_unreported(script: list[Step]) -> None:
    # In the end everything is well and works, except what a crash kept from being remembered.
    ending = [Step(minutes, failing={}) for minutes in (11, 400, 400)]
    told = tell([*script, *ending])
    for key in KEYS:
        failed = any(key in step.failing for step in script if not step.crashes)
        kinds = [one.kind for one in of(key, told)]
        assert kinds or not failed
        if kinds:
            assert kinds[0] in BEGINNINGS
            assert kinds[-1] in (Kind.ENDED, Kind.PASSED), "and that it is over is told"


@given(st.lists(steps, max_size=40), severities, st.sampled_from(KEYS))
def test_a_failure_that_lasts_is_told_of_whatever_came_before(
    script: list[Step], severity: Severity, key: str
) -> None:
    # After 11 minutes the longest pause after a failed delivery is over.
    told = of(key, tell([*script, *[Step(11, {key: severity})] * 2]))
    assert told
    # The last that was told of it is that it fails, now or earlier in the same episode.
    assert told[-1].kind not in (Kind.ENDED, Kind.PASSED)


@given(st.lists(without_crashes, max_size=60))
def test_nothing_is_repeated_within_the_reminder_time(script: list[Step]) -> None:
    told = tell(script)
    for key in KEYS:
        mine = of(key, told)
        for before, after in pairwise(mine):
            if before.kind in (Kind.ENDED, Kind.PASSED):
                # Over: what fails then is a new failure, and told as one.
                assert after.kind in BEGINNINGS
            elif after.kind is Kind.STILL:
                assert after.at - before.at >= POLICY.repeat_after
            else:
                assert after.kind in (Kind.WORSE, Kind.ENDED)
        worse = [one for one in mine if one.kind is Kind.WORSE]
        starts = [one for one in mine if one.kind in BEGINNINGS]
        assert len(worse) <= len(starts), "once an episode at most"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=100, max_size=200))
def test_what_flaps_is_told_a_few_times_a_day_at_most(states: list[tuple[bool, int]]) -> None:
    told = tell([Step(minutes, {"lag": "error"} if fails else {}) for fails, minutes in states])
    day = timedelta(days=1)
    for first in told:
        within = [one for one in told if first.at <= one.at < first.at + day]
        # 5, 10, 20, 40, 80, 160, 320 minutes, then 6 hours of quiet, and the reminders between.
        assert len(within) <= 2 * 9
