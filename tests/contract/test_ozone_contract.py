"""What Ozone does with the events that a moderation bot emits through a PDS."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.contract.network import (
    DEFS,
    Json,
    Network,
    account,
    comment,
    label,
    report,
    reverse_takedown,
    takedown,
)

SIDES = 8
ROUNDS = 5

# What emitEvent accepts


def test_an_event_is_answered_with_its_fields_an_id_and_a_time(network: Network) -> None:
    post, blob = network.new_post(), network.new_blob()
    tool = {"name": "phash-dagster", "meta": {"rule": "r1", "distance": 3, "batchId": "b1"}}

    answer = network.emit(
        label("spam", comment="phash match"),
        post,
        subjectBlobCids=[blob],
        externalId="one",
        modTool=tool,
    )

    assert answer.status == 200
    body = answer.body
    assert isinstance(body.pop("id"), int)
    assert body.pop("createdAt").endswith("Z")
    assert body == {
        "event": label("spam", comment="phash match"),
        "subject": post,
        "subjectBlobCids": [blob],
        "createdBy": network.addresses.members["moderator"].did,
        "modTool": tool,
    }


@pytest.mark.parametrize(
    "event",
    [
        label("spam"),
        label(),
        report(),
        report("tools.ozone.report.defs#reasonMisleadingSpam"),
        comment("looked at it"),
        {"$type": DEFS + "modEventTag", "add": ["seen"], "remove": []},
        {"$type": DEFS + "modEventAcknowledge"},
        takedown(),
        {"$type": "com.example.defs#unknown"},
    ],
    ids=lambda event: event["$type"].partition("#")[2],
)
def test_events_on_a_record_that_does_not_exist_are_accepted(network: Network, event: Json) -> None:
    assert network.emit(event, network.new_post()).status == 200


def test_an_account_is_a_subject(network: Network) -> None:
    subject = account(network.new_author())

    answer = network.emit(label("spam"), subject)

    assert answer.status == 200
    assert answer.body["subject"] == subject
    assert answer.body["subjectBlobCids"] == []


def test_the_author_of_an_event_is_who_signed_in(network: Network) -> None:
    body = {"event": label("spam"), "subject": network.new_post()}

    answer = network.emit_body({**body, "createdBy": network.new_author()})

    assert answer.body["createdBy"] == network.addresses.members["moderator"].did


def test_the_same_label_again_is_another_event_but_one_label(network: Network) -> None:
    post = network.new_post()

    first, second = network.emit(label("spam"), post), network.emit(label("spam"), post)

    assert (first.status, second.status) == (200, 200)
    assert second.body["id"] > first.body["id"]
    labels = network.query_labels(post["uri"]).body["labels"]
    assert [found["val"] for found in labels] == ["spam"]


# External ids of events


def test_an_external_id_is_accepted_once(network: Network) -> None:
    post = network.new_post()

    first = network.emit(label("spam"), post, externalId="one")
    second = network.emit(label("spam"), post, externalId="one")

    assert first.status == 200
    assert (second.status, second.error) == (400, "DuplicateExternalId")


def test_an_external_id_collides_with_other_subjects_of_the_same_author(network: Network) -> None:
    author = network.new_author()
    network.emit(label("spam"), network.new_post(author), externalId="one")

    other_post = network.emit(label("spam"), network.new_post(author), externalId="one")
    whole_account = network.emit(label("spam"), account(author), externalId="one")

    assert other_post.error == whole_account.error == "DuplicateExternalId"


def test_an_external_id_is_free_for_other_event_types_and_authors(network: Network) -> None:
    post = network.new_post()
    network.emit(label("spam"), post, externalId="one")

    other_type = network.emit(comment("spam"), post, externalId="one")
    other_author = network.emit(label("spam"), network.new_post(), externalId="one")

    assert (other_type.status, other_author.status) == (200, 200)


def test_an_external_id_is_not_given_back(network: Network) -> None:
    answer = network.emit(label("spam"), network.new_post(), externalId="one")

    assert "externalId" not in answer.body


def test_an_external_id_sent_at_once_from_many_sides_may_pass_more_than_once(
    network: Network,
) -> None:
    network.token("moderator")
    start = Barrier(SIDES)

    def emit_together(post: Json) -> int:
        start.wait()
        return network.emit(label("spam"), post, externalId="one").status

    def passed_more_than_once() -> bool:
        with ThreadPoolExecutor(SIDES) as pool:
            statuses = list(pool.map(emit_together, [network.new_post()] * SIDES))
        return statuses.count(200) > 1

    assert any(passed_more_than_once() for _ in range(ROUNDS))


# Takedowns as events


def test_a_second_takedown_is_refused(network: Network) -> None:
    post = network.new_post()
    network.emit(takedown(), post)

    answer = network.emit(takedown(), post)

    assert (answer.status, answer.message) == (400, "Subject is already taken down")


def test_that_it_is_taken_down_counts_for_more_than_that_the_event_is_known(
    network: Network,
) -> None:
    post = network.new_post()
    network.emit(takedown(), post, externalId="one")

    answer = network.emit(takedown(), post, externalId="one")

    assert (answer.error, answer.message) == ("InvalidRequest", "Subject is already taken down")


def test_a_takedown_can_be_reversed_and_repeated(network: Network) -> None:
    post = network.new_post()

    events = (takedown(), reverse_takedown(), takedown())

    assert [network.emit(event, post).status for event in events] == [200, 200, 200]


def test_what_is_not_taken_down_cannot_be_put_back(network: Network) -> None:
    answer = network.emit(reverse_takedown(), network.new_post())

    assert (answer.status, answer.message) == (400, "Subject is not taken down")


@pytest.mark.parametrize("kind", ["record", "account"])
def test_a_takedown_puts_a_label_on_its_subject(network: Network, kind: str) -> None:
    subject = network.new_post() if kind == "record" else account(network.new_author())
    network.emit(takedown(), subject)

    labels = network.query_labels(subject["uri" if kind == "record" else "did"]).body["labels"]

    assert [found["val"] for found in labels] == ["!takedown"]


def test_reversing_a_takedown_gives_back_its_blobs(network: Network) -> None:
    post, blob = network.new_post(), network.new_blob()
    network.emit(takedown(), post, subjectBlobCids=[blob])

    assert network.emit(reverse_takedown(), post).body["subjectBlobCids"] == [blob]


# Who may do what


def test_a_stranger_is_no_moderator(network: Network) -> None:
    answer = network.emit(label("spam"), network.new_post(), by="stranger")

    assert (answer.status, answer.error) == (401, "AuthenticationRequired")
    assert answer.message == "not a moderator account"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (label("spam"), "Must be a full moderator to label content"),
        (takedown(), "Must be a full moderator to take this type of action"),
    ],
    ids=["label", "takedown"],
)
def test_the_triage_role_may_not_act(network: Network, event: Json, message: str) -> None:
    answer = network.emit(event, network.new_post(), by="triage")

    assert (answer.status, answer.error) == (401, "AuthenticationRequired")
    assert answer.message == message


def test_the_triage_role_may_report(network: Network) -> None:
    assert network.emit(report(), network.new_post(), by="triage").status == 200


# What Ozone does by itself


def test_ozone_adds_a_tag_event_of_the_labelers(network: Network) -> None:
    post = network.new_post()
    network.emit(report(), post)

    events = network.query_events(subject=post["uri"], sortDirection="asc").body["events"]

    assert [event["event"]["$type"] for event in events] == [
        DEFS + "modEventReport",
        DEFS + "modEventTag",
    ]
    assert events[1]["createdBy"] == network.addresses.labeler_did
    assert events[1]["event"]["add"] == ["report:spam", "lang:und"]
