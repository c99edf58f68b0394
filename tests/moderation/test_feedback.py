"""Reading Ozone's events back: each once, none lost, whatever is killed when."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.moderation import feedback
from phash_dagster.moderation.actions import Action, Claim, Review, State
from phash_dagster.moderation.feedback import (
    OVERLAP,
    Cursor,
    FeedbackSummary,
    load_cursor,
    read_feedback,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_errors import OzoneMisconfiguredError, OzoneUnavailableError
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.warehouse import Warehouse
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_account, action_on_post
from tests.moderation.ozone_events import (
    MODERATOR,
    OUR_TOOL,
    Json,
    StoredEvents,
    appeal,
    label,
    other,
    view,
)

LABELER = "did:plc:labeler"
DOWN = OzoneUnavailableError("502 UpstreamFailure")


class Desk:
    """A ledger with actions that were sent, and a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", self.clock)
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.slept: list[float] = []

    def send(self, action: Action, event_id: int | None = 1) -> int:
        """Record an action and say that it was sent; returns its number."""
        self.ledger.record([action], claim_ttl=TTL)
        [row] = self.ledger.in_state(State.PLANNED)
        self.ledger.mark_sending(row.action_id)
        self.ledger.mark_sent(row.action_id, event_id, NOW)
        return row.action_id

    def read(self, ozone: StoredEvents) -> FeedbackSummary:
        return read_feedback(
            ozone,
            LABELER,
            self.ledger,
            self.warehouse,
            clock=self.clock,
            sleep=self.slept.append,
        )

    def outcomes(self) -> list[tuple[Any, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(
                "FROM action_outcomes SELECT action_id, ozone_event_id, outcome ORDER BY ALL"
            ).fetchall()

    def cursor(self) -> Cursor | None:
        with self.warehouse.read() as connection:
            return load_cursor(connection, LABELER)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def negated(event_id: int, **fields: Any) -> Json:
    return view(event_id, label(negate=["troll"]), **fields)


def test_events_are_kept_once_however_often_they_are_read(desk: Desk) -> None:
    action_id = desk.send(action_on_post())
    ozone = StoredEvents([negated(2), view(3, appeal()), view(4, other("modEventComment"))])
    first, second = desk.read(ozone), desk.read(ozone)
    assert (first.events, first.outcomes, first.caught_up) == (2, 2, True)
    assert (second.events, second.outcomes) == (2, 0)
    assert desk.outcomes() == [(action_id, 2, "label_negated"), (action_id, 3, "appealed")]


def test_reading_goes_on_some_minutes_before_the_last_event(desk: Desk) -> None:
    desk.send(action_on_post())
    ozone = StoredEvents([negated(2)])
    desk.read(ozone)
    desk.read(ozone)
    last = NOW + timedelta(seconds=2)
    assert desk.cursor() == Cursor(last, desk.clock())
    assert ozone.asked[0]["createdAfter"] == "2026-11-22T20:15:00.000Z"
    assert ozone.asked[1]["createdAfter"] == feedback.as_ozone_compares(last - OVERLAP)
    assert ozone.asked[1]["createdAfter"] == "2026-11-23T20:05:02.000Z"


def test_without_an_action_that_was_sent_ozone_is_not_asked(desk: Desk) -> None:
    desk.ledger.record([action_on_post()], claim_ttl=TTL)
    ozone = StoredEvents([negated(2)])
    assert desk.read(ozone) == FeedbackSummary(caught_up=True)
    assert ozone.asked == []


def test_each_labeler_has_a_cursor_of_its_own(desk: Desk) -> None:
    desk.send(action_on_post())
    desk.read(StoredEvents([negated(2)]))
    with desk.warehouse.read() as connection:
        assert load_cursor(connection, "did:plc:another") is None


def test_many_events_are_read_page_by_page_with_time_in_between(desk: Desk) -> None:
    action_id = desk.send(action_on_post())
    events = [view(number, label("other")) for number in range(2, 1500)]
    ozone = StoredEvents([*events, negated(1500)])
    summary = desk.read(ozone)
    assert (summary.events, summary.outcomes, summary.caught_up) == (1499, 1, True)
    assert desk.outcomes() == [(action_id, 1500, "label_negated")]
    assert len(ozone.asked) == 15
    assert desk.slept == [1.0] * 14


def test_a_reading_that_is_long_ends_and_the_next_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_MOST_PAGES", 12)
    monkeypatch.setattr(feedback, "OVERLAP", timedelta(0))
    desk.send(action_on_post())
    ozone = StoredEvents([view(number, label("other")) for number in range(2, 1502)])
    first, second = desk.read(ozone), desk.read(ozone)
    assert (first.events, first.caught_up) == (1200, False)
    assert "12 pages were read" in str(first.stopped)
    assert (second.events, second.caught_up) == (301, True)


def test_what_was_read_before_ozone_went_down_is_kept(desk: Desk) -> None:
    action_id = desk.send(action_on_post())
    events = [negated(2), *(view(number, label("other")) for number in range(3, 1300))]
    ozone = StoredEvents(events, failures={11: DOWN})
    summary = desk.read(ozone)
    assert (summary.caught_up, summary.events) == (False, 1100)
    assert summary.stopped == "Ozone is unavailable: 502 UpstreamFailure"
    assert desk.outcomes() == [(action_id, 2, "label_negated")]
    cursor = desk.cursor()
    assert cursor == Cursor(NOW + timedelta(seconds=1101), None)


def test_an_ozone_that_is_down_changes_nothing(desk: Desk) -> None:
    desk.send(action_on_post())
    summary = desk.read(StoredEvents([negated(2)], failures={0: DOWN}))
    assert (summary.events, summary.caught_up) == (0, False)
    assert desk.cursor() is None


def test_settings_that_are_wrong_are_said_aloud(desk: Desk) -> None:
    desk.send(action_on_post())
    refused = OzoneMisconfiguredError("the PDS refused the login")
    with pytest.raises(OzoneMisconfiguredError, match="refused the login"):
        desk.read(StoredEvents([], failures={0: refused}))


def test_what_the_pds_still_takes_is_left_for_sending(desk: Desk) -> None:
    desk.send(action_on_post())
    events = [view(number, label("other")) for number in range(2, 300)]
    summary = desk.read(StoredEvents(events, rate_limit=RateLimit(3000, 1400, 100)))
    assert (summary.events, summary.caught_up) == (100, False)
    assert "left for sending" in str(summary.stopped)
    assert desk.read(StoredEvents(events, rate_limit=RateLimit(3000, 1600, 100))).caught_up


def test_an_ozone_that_repeats_its_page_is_not_followed_for_ever(desk: Desk) -> None:
    desk.send(action_on_post())
    events = [view(number, label("other")) for number in range(2, 102)]
    page = StoredEvents(events).event_page(
        {"limit": 100, "types": [label()["$type"]], "createdAfter": ""}
    )

    class Stuck(StoredEvents):
        def event_page(self, parameters: Any) -> Any:
            self.asked.append(parameters)
            return page

    ozone = Stuck(events)
    assert "again and again" in str(desk.read(ozone).stopped)
    assert len(ozone.asked) == 2


def test_an_event_that_is_none_is_counted_and_left_out(desk: Desk) -> None:
    action_id = desk.send(action_on_post())
    broken = {**view(2, label("x")), "createdBy": None, "subject": None}
    summary = desk.read(StoredEvents([broken, negated(3)]))
    assert (summary.events, summary.not_understood, summary.outcomes) == (2, 1, 1)
    assert desk.outcomes() == [(action_id, 3, "label_negated")]


# What the ledger learns


def claimed(desk: Desk, claim: Claim, *, days: float) -> bool:
    """Whether rules may not do the same in some days."""
    desk.clock.advance(days=days)
    return claim in desk.ledger.claims({claim}, since=desk.clock() - TTL).live


def test_rules_never_repeat_on_a_post_what_people_took_back(desk: Desk) -> None:
    action = action_on_post()
    action_id = desk.send(action)
    summary = desk.read(StoredEvents([negated(2)]))
    assert summary.taken_back == 1
    row = desk.ledger.get(action_id)
    assert row is not None
    assert (row.state, row.review, row.reviewed_by) == (State.SENT, Review.REJECTED, MODERATOR)
    assert row.reason == f"taken back by {MODERATOR}"
    assert claimed(desk, action.claim, days=400)


@pytest.mark.parametrize("arrived", [True, False])
def test_what_people_took_back_before_its_answer_was_known_is_not_repeated_either(
    desk: Desk, arrived: bool
) -> None:
    action = action_on_post()
    desk.ledger.record([action], claim_ttl=TTL)
    [row] = desk.ledger.in_state(State.PLANNED)
    desk.ledger.mark_sending(row.action_id)
    assert desk.read(StoredEvents([negated(2)])).taken_back == 1
    assert [one.action_id for one in desk.ledger.in_state(State.SENDING)] == [row.action_id]
    if arrived:
        desk.ledger.mark_sent(row.action_id, 1, NOW)
    else:
        desk.ledger.sending.mark_unanswered(
            row.action_id, State.PLANNED, "it did not arrive", charged=False
        )
        assert desk.ledger.sending.queue(10) == []
        assert desk.ledger.sending.set_rejected_aside() == 1
    settled = desk.ledger.get(row.action_id)
    assert settled is not None
    assert settled.state is (State.SENT if arrived else State.SUPPRESSED)
    assert settled.reviewed_by == MODERATOR
    assert claimed(desk, action.claim, days=400)


def test_what_people_took_back_before_it_was_sent_was_not_ours(desk: Desk) -> None:
    desk.ledger.record([action_on_post()], claim_ttl=TTL)
    [row] = desk.ledger.in_state(State.PLANNED)
    desk.clock.advance(minutes=20)
    desk.ledger.mark_sending(row.action_id)
    assert desk.read(StoredEvents([negated(2)])).taken_back == 0
    desk.ledger.mark_sent(row.action_id, 3, desk.clock())
    sent = desk.ledger.get(row.action_id)
    assert sent is not None
    assert sent.review is None


def test_on_an_account_what_people_took_back_is_not_repeated_in_the_claim_window(
    desk: Desk,
) -> None:
    action = action_on_account()
    desk.send(action)
    desk.clock.advance(days=6)
    desk.read(StoredEvents([negated(2, subject=action.subject_did)]))
    assert claimed(desk, action.claim, days=6)
    assert not claimed(desk, action.claim, days=2)


def test_the_ledger_learns_it_once(desk: Desk) -> None:
    action_id = desk.send(action_on_post())
    ozone = StoredEvents([negated(2), view(3, label("troll")), negated(4)])
    assert [desk.read(ozone).taken_back for _ in range(2)] == [1, 0]
    row = desk.ledger.get(action_id)
    assert row is not None
    assert row.reason == f"taken back by {MODERATOR}"


@pytest.mark.parametrize(
    "event",
    [
        negated(2, tool=OUR_TOOL),
        view(2, label(negate=["troll"], comment="[SCHEDULED_REVERSAL] Reverting")),
        view(2, appeal()),
        view(2, label("troll")),
    ],
    ids=["undo", "schedule", "appeal", "confirmation"],
)
def test_nothing_else_teaches_the_ledger(desk: Desk, event: Json) -> None:
    action = action_on_post()
    desk.send(action)
    assert desk.read(StoredEvents([event])).outcomes == 1
    assert not claimed(desk, action.claim, days=8)


# Crashes


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_before(moment: int) -> Callable[[str], None]:
    """Raises at the n-th step of a reading."""
    steps = 0

    def step(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == moment:
            raise Killed

    return step


KINDS: list[Callable[[int], Json]] = [
    lambda number: negated(number),
    lambda number: view(number, label("troll")),
    lambda number: view(number, appeal()),
    lambda number: negated(number, tool=OUR_TOOL),
    lambda number: view(number, other("modEventComment")),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk from which an action was sent."""
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    desk.send(action_on_post())
    desk.read(StoredEvents([]))
    desk.ledger.close()
    return folder


@pytest.mark.slow
@settings(max_examples=15)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=9),
    late=st.sets(st.integers(2, 10)),
    kills=st.lists(st.integers(1, 7), max_size=2),
    page=st.integers(2, 4),
)
def test_whatever_is_killed_when_the_same_outcomes_are_kept_as_of_one_reading(
    prepared: Path, kinds: list[Callable[[int], Json]], late: set[int], kills: list[int], page: int
) -> None:
    events = [kind(number) for number, kind in enumerate(kinds, start=2)]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(feedback, "_PAGE", page)
        patch.setattr(feedback, "_PAGES_AT_ONCE", 2)
        expected = Desk(shutil.copytree(prepared, Path(folder, "undisturbed")))
        expected.read(StoredEvents(events))
        desk = Desk(shutil.copytree(prepared, Path(folder, "disturbed")))
        # Events that Ozone took long to store are seen by the second reading and later ones.
        ozone = StoredEvents(events, seen_from=dict.fromkeys(late, 1))
        for kill in kills:
            interrupt(desk, ozone, kill, patch)
        for ozone.reading in range(2):
            desk.read(ozone)
        assert desk.outcomes() == expected.outcomes()
        assert desk.ledger.get(1) == expected.ledger.get(1)


def interrupt(desk: Desk, ozone: StoredEvents, moment: int, patch: pytest.MonkeyPatch) -> None:
    """A reading that is killed before a page, before the ledger, the outcomes or the cursor."""
    step = kill_before(moment)
    with patch.context() as inner:
        for target, name in (
            (StoredEvents, "event_page"),
            (feedback, "_save_outcomes"),
            (feedback, "_save_cursor"),
        ):
            inner.setattr(target, name, stepping(getattr(target, name), step))
        inner.setattr(desk.ledger, "on_accounts", stepping(desk.ledger.on_accounts, step))
        with suppress(Killed):
            desk.read(ozone)


def stepping(real: Callable[..., Any], step: Callable[[str], None]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        step(real.__name__)
        return real(*args, **kwargs)

    return wrapped
