"""What an event in Ozone says about which of our actions."""

from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event, Review, State
from phash_dagster.moderation.outcomes import OzoneEvent, outcomes_of
from tests.moderation.builders import DID, NOW, action_on_account, action_on_post, post_uri
from tests.moderation.ozone_events import (
    AUTHOR,
    MODERATOR,
    OUR_TOOL,
    Json,
    appeal,
    label,
    other,
    parsed,
    view,
)


def sent(action_id: int = 1, event_id: int | None = 10, **fields: Any) -> Action:
    return action_on_post(
        action_id=action_id, ozone_event_id=event_id, state=State.SENT, attempts=1, **fields
    )


def sent_takedown(action_id: int = 1, event_id: int = 10) -> Action:
    return sent(action_id, event_id, event=Event.TAKEDOWN, value="")


def found(views: list[Json], *actions: Action) -> list[tuple[int, str, str]]:
    outcomes = outcomes_of(parsed(*views), actions)
    return [(each.action_id, each.outcome, each.by_kind) for each in outcomes]


def test_a_label_that_a_person_takes_back_says_who_when_and_why() -> None:
    event = view(11, label(negate=["troll"], comment="this is art"))
    [outcome] = outcomes_of(parsed(event), [sent()])
    assert outcome == (
        1,
        11,
        "label_negated",
        MODERATOR,
        "people",
        NOW + timedelta(seconds=11),
        "this is art",
    )


def test_what_an_undo_takes_back_is_told_from_what_people_do() -> None:
    undone = view(11, label(negate=["troll"]), tool=OUR_TOOL)
    by_another_tool = view(12, label(negate=["troll"]), tool={"name": "ozone-ui/workspace"})
    assert found([undone, by_another_tool], sent()) == [
        (1, "label_negated", "pipeline"),
        (1, "label_negated", "people"),
    ]


def test_what_ozone_ends_by_itself_is_told_from_what_people_do() -> None:
    comment = "[SCHEDULED_REVERSAL] Reverting action as originally scheduled"
    ended = view(11, label(negate=["troll"], comment=comment))
    assert found([ended], sent()) == [(1, "label_negated", "schedule")]


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (label("troll"), "label_confirmed"),
        (label("spam", negate=["troll"]), "label_negated"),
        (appeal(), "appealed"),
        (appeal("tools.ozone.report.defs#reasonAppeal"), "appealed"),
        (other("modEventResolveAppeal"), "appeal_resolved"),
        (label("spam", negate=["other"]), None),
        (appeal("com.atproto.moderation.defs#reasonSpam"), None),
        (other("modEventTakedown"), None),
        (other("modEventReverseTakedown"), None),
        (other("modEventComment", comment="troll"), None),
    ],
)
def test_events_on_a_labelled_post(event: Json, outcome: str | None) -> None:
    expected = [(1, outcome, "people")] if outcome else []
    assert found([view(11, event)], sent()) == expected


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (other("modEventReverseTakedown", comment="no"), "takedown_reversed"),
        (other("modEventTakedown"), "takedown_confirmed"),
        (appeal(), "appealed"),
        (other("modEventResolveAppeal"), "appeal_resolved"),
        (label(negate=["troll"]), None),
    ],
)
def test_events_on_a_post_that_was_taken_down(event: Json, outcome: str | None) -> None:
    expected = [(1, outcome, "people")] if outcome else []
    assert found([view(11, event)], sent_takedown()) == expected


def test_our_own_events_confirm_nothing() -> None:
    again = [view(11, label("troll"), tool=OUR_TOOL)]
    assert found(again, sent()) == []
    taken_down = [view(11, other("modEventTakedown"), tool=OUR_TOOL)]
    assert found(taken_down, sent_takedown()) == []


def test_an_event_says_nothing_of_what_came_after_it() -> None:
    negated = view(11, label(negate=["troll"]))
    assert found([negated], sent(1, 10), sent(2, 11), sent(3, 12)) == [
        (1, "label_negated", "people")
    ]


def test_of_an_action_whose_event_is_not_known_the_time_decides() -> None:
    negated = view(11, label(negate=["troll"]))
    before = sent(1, None, planned_at=NOW)
    after = sent(2, None, planned_at=NOW + timedelta(minutes=1))
    assert found([negated], before, after) == [(1, "label_negated", "people")]


@pytest.mark.parametrize("subject", [DID, post_uri("another"), post_uri(did="did:plc:other")])
def test_other_subjects_are_others(subject: str) -> None:
    assert found([view(11, label(negate=["troll"]), subject)], sent()) == []


def test_an_account_is_a_subject_of_its_own() -> None:
    on_account = action_on_account(action_id=1, ozone_event_id=10, state=State.SENT, attempts=1)
    assert found([view(11, label(negate=["troll"]), DID)], on_account) == [
        (1, "label_negated", "people")
    ]
    assert found([view(11, label(negate=["troll"]))], on_account) == []


@pytest.mark.parametrize(
    "action",
    [
        sent(event=Event.REPORT),
        sent(event=Event.COMMENT),
        sent(mode="shadow"),
        sent(undoes=7, event=Event.NEGATE_LABEL),
        action_on_post(state=State.PLANNED),
        action_on_post(state=State.FAILED, attempts=1),
        action_on_post(state=State.SUPPRESSED, attempts=1, settled_at=NOW),
    ],
    ids=["report", "comment", "shadow", "undo", "planned", "refused", "was labelled before"],
)
def test_actions_that_put_no_label_have_no_outcomes(action: Action) -> None:
    events = [view(11, label(negate=["troll"])), view(12, appeal())]
    assert found(events, action) == []


@pytest.mark.parametrize(
    "action",
    [
        action_on_post(state=State.SENDING, attempts=1),
        action_on_post(state=State.PLANNED, attempts=1),
        action_on_post(state=State.SUPPRESSED, attempts=1, settled_at=NOW, review=Review.REJECTED),
    ],
    ids=["killed while it was sent", "without an answer", "rejected while it was sent"],
)
def test_an_action_that_ozone_may_have_has_outcomes(action: Action) -> None:
    assert found([view(11, label(negate=["troll"]))], action) == [(0, "label_negated", "people")]


def test_one_appeal_concerns_every_label_on_the_subject() -> None:
    actions = [sent(1, value="troll"), sent(2, value="spam")]
    assert found([view(11, appeal(), by=AUTHOR)], *actions) == [
        (1, "appealed", "people"),
        (2, "appealed", "people"),
    ]


def test_an_event_about_a_conversation_is_none_of_ours() -> None:
    event = view(11, label())
    event["subject"] = {"$type": "chat.bsky.convo.defs#convoRef", "convoId": "3k"}
    assert OzoneEvent.parse(event) is None


@pytest.mark.parametrize(
    "changes",
    [{"id": None}, {"event": {}}, {"subject": None}, {"createdAt": "soon"}, {"modTool": "x"}],
)
def test_what_is_no_event_is_refused(changes: Json) -> None:
    with pytest.raises(ValueError, match=r"no event|isoformat"):
        OzoneEvent.parse({**view(11, label()), **changes})
