"""A ledger from a backup: what Ozone got since is not sent again."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as database_event

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.after_restore import NOTE, note_restore, settle_after_restore
from phash_dagster.moderation.events import event_body
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EventPage
from phash_dagster.moderation.ozone_errors import OzoneUnavailableError
from phash_dagster.moderation.pds_client import QueryParameters
from tests.moderation.builders import TTL, TTL_DAYS, ManualClock, action_on_account, action_on_post

BACKUP = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)
SENT = BACKUP + timedelta(hours=2)
RESTORED = BACKUP + timedelta(days=1, hours=6)
"""After the end of a claim window, which is at midnight before the 26th."""


class AskedOzone:
    """An Ozone that says what it got."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[datetime] = []
        self.is_down = False

    def got(self, action: Action, at: datetime = SENT, **changes: Any) -> None:
        body = event_body(action, "did:plc:automod")
        shown = {**body, "id": 100 + len(self.events), "createdAt": at.isoformat()}
        self.events.append({**shown, **changes})

    def event_page(self, parameters: QueryParameters) -> EventPage:
        """Pages of two events."""
        if self.is_down:
            raise OzoneUnavailableError("down")
        start = int(str(parameters.get("cursor", 0)))
        if not start:
            self.asked.append(datetime.fromisoformat(str(parameters["createdAfter"])))
        assert parameters["modTool"] == ["phash-dagster"]
        page = self.events[start : start + 2]
        return EventPage(page, str(start + 2) if page else None)


class Restored:
    """A ledger restored from a backup, and what settles it."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder
        self.ozone = AskedOzone()
        self.now = RESTORED

    def plan(self, action: Action) -> None:
        assert self.ledger.record([action], claim_ttl=TTL) == 1

    def settle(self) -> int:
        return settle_after_restore(
            self.ledger, self.ozone, self.folder, now=self.now, ttl_days=TTL_DAYS
        )

    def rows(self) -> list[Action]:
        return self.ledger.changed_since(datetime(2000, 1, 1, tzinfo=UTC))


@pytest.fixture
def restored(sqlite_ledger: Ledger, clock: ManualClock, tmp_path: Path) -> Restored:
    clock.time = RESTORED
    note_restore(tmp_path, made_at=BACKUP, now=RESTORED)
    return Restored(sqlite_ledger, tmp_path)


ACTIONS = [
    pytest.param(action_on_post, event, id=f"{event.value} of a post")
    for event in (Event.LABEL, Event.REPORT, Event.TAKEDOWN)
] + [
    pytest.param(action_on_account, event, id=f"{event.value} of an account")
    for event in (Event.LABEL, Event.REPORT, Event.COMMENT, Event.TAKEDOWN)
]


@pytest.mark.parametrize(("make", "event"), ACTIONS)
def test_what_ozone_got_in_the_window_before_is_settled(
    restored: Restored, make: Any, event: Event
) -> None:
    then, again = (make(event=event, planned_at=at) for at in (SENT, RESTORED))
    assert then.external_id != again.external_id, "Ozone would take this for another event"
    restored.ozone.got(then)
    restored.plan(again)
    assert restored.settle() == 1
    [row] = restored.rows()
    assert (row.state, row.ozone_event_id, row.sent_at) == (State.SENT, 100, SENT)
    assert row.reason == "sent before the ledger was restored from a backup"
    assert restored.ledger.record([make(event=event, planned_at=restored.now)], claim_ttl=TTL) == 0


@pytest.mark.parametrize("event", [Event.LABEL, Event.REPORT])
def test_a_record_that_was_updated_since_is_not_acted_upon_again(
    restored: Restored, event: Event
) -> None:
    then = action_on_post(event=event, planned_at=SENT)
    restored.ozone.got(then)
    # Its CID is another, and so the identifier that Ozone would see.
    restored.plan(replace(then, subject_cid="bafyreiother", external_id="phash-dagster:other"))
    assert restored.settle() == 1


@pytest.mark.parametrize(
    "other",
    [
        action_on_post("3kother", planned_at=RESTORED),
        action_on_post(value="spam", planned_at=RESTORED),
        action_on_post(event=Event.REPORT, planned_at=RESTORED),
        action_on_account(planned_at=RESTORED),
        action_on_post(event=Event.NEGATE_LABEL, planned_at=RESTORED),
    ],
    ids=["another post", "another label", "another event", "the account", "taking it back"],
)
def test_what_ozone_did_not_get_is_sent(restored: Restored, other: Action) -> None:
    restored.ozone.got(action_on_post(planned_at=SENT))
    restored.plan(other)
    assert restored.settle() == 0
    assert [row.state for row in restored.rows()] == [State.PLANNED]


def test_another_report_by_a_rule_of_another_label_is_sent(restored: Restored) -> None:
    restored.ozone.got(action_on_post(event=Event.REPORT, value="spam", planned_at=SENT))
    restored.plan(action_on_post(event=Event.REPORT, value="troll", planned_at=RESTORED))
    assert restored.settle() == 0


def test_ozone_is_asked_once_for_what_came_after_the_backup(restored: Restored) -> None:
    restored.ozone.got(action_on_post(planned_at=SENT))
    restored.settle()
    restored.plan(action_on_post(planned_at=RESTORED))
    assert restored.settle() == 1
    [asked] = restored.ozone.asked
    assert timedelta(0) < BACKUP - asked <= timedelta(hours=1)


def test_every_page_of_what_ozone_got_is_read(restored: Restored) -> None:
    for number in range(5):
        restored.ozone.got(action_on_post(f"3k{number}", planned_at=SENT))
        restored.plan(action_on_post(f"3k{number}", planned_at=RESTORED))
    assert restored.settle() == 5


def test_while_ozone_does_not_answer_nothing_may_be_sent(restored: Restored) -> None:
    restored.plan(action_on_post(planned_at=RESTORED))
    restored.ozone.is_down = True
    with pytest.raises(OzoneUnavailableError):
        restored.settle()
    assert [row.state for row in restored.rows()] == [State.PLANNED]


def test_events_that_are_none_of_ours_do_no_harm(restored: Restored) -> None:
    restored.ozone.got(action_on_post(planned_at=SENT), modTool=None)
    restored.ozone.got(action_on_post(planned_at=SENT), subject={})
    restored.plan(action_on_post(planned_at=RESTORED))
    assert restored.settle() == 0


def test_once_claims_hold_no_more_the_note_goes(restored: Restored) -> None:
    restored.now = RESTORED + TTL + timedelta(hours=2)
    assert restored.settle() == 0
    assert restored.ozone.asked == []
    assert not (restored.folder / NOTE).exists()


def test_without_a_restore_ozone_is_not_asked(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    restored = Restored(sqlite_ledger, tmp_path)
    restored.plan(action_on_post())
    assert restored.settle() == 0
    assert restored.ozone.asked == []


@pytest.mark.parametrize("transactions", range(1, 6))
def test_settling_that_is_killed_between_two_transactions_sends_nothing_again(
    restored: Restored, transactions: int
) -> None:
    restored.ozone.got(action_on_post(event=Event.REPORT, planned_at=SENT))
    restored.plan(action_on_post(event=Event.REPORT, planned_at=RESTORED))
    begun = 0

    def kill(_: object) -> None:
        nonlocal begun
        begun += 1
        if begun > transactions:
            raise KeyboardInterrupt

    database_event.listen(restored.ledger._engine, "begin", kill)
    with suppress(KeyboardInterrupt):
        restored.settle()
    database_event.remove(restored.ledger._engine, "begin", kill)
    restored.settle()
    assert [row.state for row in restored.rows()] == [State.SENT]
