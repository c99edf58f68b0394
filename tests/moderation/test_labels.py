"""Which actions ask for what is so already."""

from datetime import timedelta
from typing import Any

import pytest

from phash_dagster.moderation.actions import Action, Event
from phash_dagster.moderation.labels import Label, already_so, subject_batches
from tests.moderation.builders import DID, NOW, action_on_account, action_on_post, post_uri

HOUR = timedelta(hours=1)
POST = action_on_post()
ACCOUNT = action_on_account()


def label(**fields: Any) -> Label:
    values = {
        "subject": post_uri(),
        "cid": POST.subject_cid,
        "value": "troll",
        "negated": False,
        "expires_at": None,
    }
    return Label(**(values | fields))


def test_a_post_with_the_label_is_already_labelled() -> None:
    assert already_so(POST, [label()], NOW) == "already labelled troll"


def test_an_account_with_the_label_is_already_labelled() -> None:
    on_account = label(subject=DID, cid=None)
    assert already_so(ACCOUNT, [on_account], NOW) == "already labelled troll"


@pytest.mark.parametrize(
    "other",
    [
        {"value": "spam"},
        {"negated": True},
        {"expires_at": NOW},
        {"expires_at": NOW - HOUR},
        {"subject": post_uri("other")},
        {"cid": "bafyreiearlier"},
    ],
    ids=["another", "negated", "expires now", "expired", "another post", "another version"],
)
def test_what_does_not_hold_for_the_subject_says_nothing(other: dict[str, Any]) -> None:
    assert already_so(POST, [label(**other)], NOW) is None


def test_a_label_for_every_version_of_a_record_holds() -> None:
    assert already_so(POST, [label(cid=None)], NOW) is not None


def test_a_label_that_somebody_put_on_for_a_time_is_left_as_they_decided() -> None:
    found = already_so(POST, [label(expires_at=NOW + HOUR)], NOW)
    assert found == "already labelled troll until 2026-11-23 21:15 UTC"


def test_a_label_that_was_negated_and_given_again_by_another_version_holds() -> None:
    labels = [label(negated=True, cid="bafyreiearlier"), label()]
    assert already_so(POST, labels, NOW) is not None


@pytest.mark.parametrize("cid", [POST.subject_cid, "bafyreiearlier", None])
def test_what_is_taken_down_is_so_whatever_its_version(cid: str | None) -> None:
    takedown = action_on_post(event=Event.TAKEDOWN, value="")
    found = already_so(takedown, [label(value="!takedown", cid=cid)], NOW)
    assert found == "already taken down"


def test_a_label_is_no_takedown() -> None:
    takedown = action_on_post(event=Event.TAKEDOWN, value="")
    assert already_so(takedown, [label()], NOW) is None


@pytest.mark.parametrize(
    ("event", "value", "words"),
    [
        (Event.NEGATE_LABEL, "troll", "no longer labelled troll"),
        (Event.REVERSE_TAKEDOWN, "", "no longer taken down"),
    ],
)
def test_what_is_undone_is_undone_once(event: Event, value: str, words: str) -> None:
    undo = action_on_post(event=event, value=value)
    there = label(value=value or "!takedown")
    gone = label(value=value or "!takedown", negated=True)
    assert already_so(undo, [there], NOW) is None
    assert already_so(undo, [gone], NOW) == words
    assert already_so(undo, [], NOW) == words


@pytest.mark.parametrize("event", [Event.REPORT, Event.COMMENT])
def test_reports_and_comments_are_not_asked_about(event: Event) -> None:
    assert already_so(action_on_post(event=event), [label()], NOW) is None


# Reading


def test_a_label_is_read() -> None:
    answer = {
        "ver": 1,
        "src": "did:plc:labeler",
        "uri": post_uri(),
        "cid": "bafyrei3kpost",
        "val": "troll",
        "neg": True,
        "cts": "2026-11-23T20:15:00.000Z",
        "exp": "2026-11-23T21:15:00.000Z",
    }
    assert Label.of(answer) == label(negated=True, expires_at=NOW + HOUR)
    assert Label.of({"uri": DID, "val": "troll"}) == label(subject=DID, cid=None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"uri": DID},
        {"uri": DID, "val": 3},
        {"uri": DID, "val": "x", "exp": "soon"},
        {"uri": DID, "val": "x", "exp": "2026-11-23T21:15:00"},
    ],
)
def test_what_is_no_label_is_not_taken_for_one(answer: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Label.of(answer)


# Asking for many


def test_each_subject_is_asked_for_once() -> None:
    assert list(subject_batches([POST, ACCOUNT, POST])) == [(post_uri(), DID)]


def test_a_question_is_not_too_long_for_a_server() -> None:
    many = [action_on_post(str(number)) for number in range(120)]
    assert [len(batch) for batch in subject_batches(many)] == [50, 50, 20]
    long = [action_on_post("k" * 500 + str(number)) for number in range(20)]
    batches = list(subject_batches(long))
    assert sum(len(batch) for batch in batches) == 20
    assert max(sum(map(len, batch)) for batch in batches) < 6_000


def test_a_subject_that_would_be_a_pattern_is_not_asked_for() -> None:
    hostile: Action = action_on_post("*")
    assert list(subject_batches([hostile])) == []
