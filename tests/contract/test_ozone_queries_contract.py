"""What Ozone answers when it is asked: events, statuses of subjects, labels."""

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

# queryEvents


def _labelled(network: Network, author: str, *values: str) -> list[Json]:
    posts = [network.new_post(author) for _ in values]
    for post, value in zip(posts, values, strict=True):
        network.emit(label(value), post)
    return posts


def test_events_are_found_by_record_newest_first(network: Network) -> None:
    post = network.new_post()
    ids = [network.emit(comment(text), post).body["id"] for text in ("first", "second")]

    events = network.query_events(subject=post["uri"], types=[DEFS + "modEventComment"])

    assert [event["id"] for event in events.body["events"]] == ids[::-1]


def test_events_on_an_account_leave_out_those_on_its_records(network: Network) -> None:
    author = network.new_author()
    _labelled(network, author, "one")
    network.emit(label("two"), account(author))

    events = network.query_events(subject=author).body["events"]

    assert [event["event"]["createLabelVals"] for event in events] == [["two"]]


def test_events_on_an_account_can_include_its_records(network: Network) -> None:
    author = network.new_author()
    _labelled(network, author, "one")
    network.emit(label("two"), account(author))

    events = network.query_events(
        subject=author, includeAllUserRecords="true", types=[DEFS + "modEventLabel"]
    ).body["events"]

    assert [event["event"]["createLabelVals"] for event in events] == [["two"], ["one"]]


def test_events_are_found_by_tool_and_by_batch(network: Network) -> None:
    author, batch = network.new_author(), network.new_author()
    tool = {"name": f"tool of {author}", "meta": {"batchId": batch}}
    event_id = network.emit(label("spam"), network.new_post(author), modTool=tool).body["id"]

    by_tool = network.query_events(modTool=[tool["name"]]).body["events"]
    by_batch = network.query_events(batchId=batch).body["events"]

    assert [event["id"] for event in by_tool] == [event["id"] for event in by_batch] == [event_id]
    assert by_tool[0]["modTool"] == tool


def test_events_are_found_by_time_inclusively(network: Network) -> None:
    author = network.new_author()
    first, second = (
        network.emit(label("spam"), account(author)).body["createdAt"] for _ in range(2)
    )

    after = network.query_events(subject=author, createdAfter=second).body["events"]
    before = network.query_events(subject=author, createdBefore=first).body["events"]

    assert second in {event["createdAt"] for event in after}
    assert first in {event["createdAt"] for event in before}
    assert network.query_events(createdAfter="2100-01-01T00:00:00.000Z").body == {"events": []}


def test_pages_cover_everything_once_and_end_with_an_empty_one(network: Network) -> None:
    author = network.new_author()
    for _ in range(5):
        network.emit(label("spam"), account(author))
    found: list[int] = []
    parameters: Json = {"subject": author, "limit": 2}

    page = network.query_events(**parameters).body
    while page["events"]:
        found += [event["id"] for event in page["events"]]
        page = network.query_events(**parameters, cursor=page["cursor"]).body

    assert len(found) == 5
    assert found == sorted(found, reverse=True)
    assert "cursor" not in page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("limit", "many"),
        ("cursor", "nonsense"),
        ("createdAfter", "yesterday"),
        ("createdBy", "alice.test"),
        ("subject", "alice"),
        ("sortDirection", "sideways"),
    ],
)
def test_a_query_with_a_bad_parameter_is_refused(
    network: Network, name: str, value: object
) -> None:
    answer = network.query_events(**{name: value})

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_events_are_found_by_their_author(network: Network) -> None:
    author = network.new_author()
    network.emit(report(), network.new_post(author))

    events = network.query_events(
        subject=author,
        includeAllUserRecords="true",
        createdBy=network.addresses.labeler_did,
    ).body["events"]

    assert [event["event"]["$type"] for event in events] == [DEFS + "modEventTag"]


def test_events_are_found_by_label(network: Network) -> None:
    author = network.new_author()
    _labelled(network, author, "one", "two")

    events = network.query_events(
        subject=author, includeAllUserRecords="true", addedLabels=["two"]
    ).body["events"]

    assert [event["event"]["createLabelVals"] for event in events] == [["two"]]


def test_a_query_for_an_event_type_that_is_none_is_refused(network: Network) -> None:
    answer = network.query_events(types=["modEventLabel"])

    assert (answer.status, answer.message) == (400, "Invalid event type")


# queryStatuses and queryLabels


@pytest.mark.parametrize(
    ("event", "state", "taken_down"),
    [
        (label("spam"), "reviewNone", False),
        (report(), "reviewOpen", False),
        ({"$type": DEFS + "modEventAcknowledge"}, "reviewClosed", False),
        (takedown(), "reviewClosed", True),
    ],
    ids=["label", "report", "acknowledge", "takedown"],
)
def test_an_event_decides_the_status_of_its_subject(
    network: Network, event: Json, state: str, taken_down: bool
) -> None:
    post = network.new_post()
    network.emit(event, post)

    (status,) = network.query_statuses(subject=post["uri"]).body["subjectStatuses"]

    assert status["reviewState"] == DEFS + state
    assert status["takendown"] is taken_down
    assert status["subject"] == post


def test_statuses_of_what_is_taken_down_can_be_asked_for(network: Network) -> None:
    author = network.new_author()
    posts = [network.new_post(author) for _ in range(2)]
    network.emit(takedown(), posts[0])
    network.emit(label("spam"), posts[1])
    found = {
        wanted: [
            status["subject"]["uri"]
            for status in network.query_statuses(
                subject=author, includeAllUserRecords="true", **wanted_parameters
            ).body["subjectStatuses"]
        ]
        for wanted, wanted_parameters in (("all", {}), ("down", {"takendown": "true"}))
    }

    assert set(found["all"]) == {post["uri"] for post in posts}
    assert found["down"] == [posts[0]["uri"]]


def test_statuses_come_in_pages(network: Network) -> None:
    author = network.new_author()
    for _ in range(3):
        network.emit(report(), network.new_post(author))
    parameters: Json = {"subject": author, "includeAllUserRecords": "true", "limit": 2}

    first = network.query_statuses(**parameters).body
    second = network.query_statuses(**parameters, cursor=first["cursor"]).body

    ids = [status["id"] for status in (*first["subjectStatuses"], *second["subjectStatuses"])]
    assert len(set(ids)) == 3


def test_a_label_names_its_source_and_the_version_of_the_record(network: Network) -> None:
    post = network.new_post()
    network.emit(label("spam"), post)

    (found,) = network.query_labels(post["uri"]).body["labels"]

    assert {name: found[name] for name in ("src", "uri", "cid", "val")} == {
        "src": network.addresses.labeler_did,
        "uri": post["uri"],
        "cid": post["cid"],
        "val": "spam",
    }
    assert "neg" not in found


def test_a_label_on_an_account_has_no_version(network: Network) -> None:
    author = network.new_author()
    network.emit(label("spam"), account(author))

    (found,) = network.query_labels(author).body["labels"]

    assert found["uri"] == author
    assert "cid" not in found


def test_a_negated_label_stays_and_says_so(network: Network) -> None:
    post = network.new_post()
    network.emit(label("spam"), post)
    network.emit(label(negate=("spam",)), post)

    (found,) = network.query_labels(post["uri"]).body["labels"]

    assert (found["val"], found["neg"]) == ("spam", True)


def test_a_label_that_is_given_again_holds_again(network: Network) -> None:
    post = network.new_post()
    for event in (label("spam"), label(negate=("spam",)), label("spam")):
        network.emit(event, post)

    (found,) = network.query_labels(post["uri"]).body["labels"]

    assert found["val"] == "spam"
    assert "neg" not in found


def test_each_version_of_a_record_has_a_label_of_its_own(network: Network) -> None:
    first = network.new_post()
    second = {**first, "cid": network.new_post()["cid"]}
    network.emit(label("spam"), first)
    network.emit(label("spam"), second)
    network.emit(label(negate=("spam",)), first)

    found = network.query_labels(first["uri"]).body["labels"]

    assert {(one["cid"], one.get("neg", False)) for one in found} == {
        (first["cid"], True),
        (second["cid"], False),
    }


def test_the_label_of_a_takedown_is_taken_back_with_it(network: Network) -> None:
    post = network.new_post()
    network.emit(takedown(), post)
    network.emit(reverse_takedown(), post)

    (found,) = network.query_labels(post["uri"]).body["labels"]

    assert (found["val"], found["neg"]) == ("!takedown", True)


def test_labels_are_found_for_fifty_subjects_at_once(network: Network) -> None:
    posts = [network.new_post() for _ in range(50)]
    for post in (posts[0], posts[49]):
        network.emit(label("spam"), post)

    answer = network.query_labels(
        *(post["uri"] for post in posts), sources=[network.addresses.labeler_did], limit=250
    )

    assert {one["uri"] for one in answer.body["labels"]} == {posts[0]["uri"], posts[49]["uri"]}


def test_a_label_for_a_time_expires(network: Network) -> None:
    post = network.new_post()
    network.emit(label("spam", durationInHours=2), post)

    (found,) = network.query_labels(post["uri"]).body["labels"]

    assert found["exp"] > found["cts"]


def test_labels_are_found_by_prefix(network: Network) -> None:
    author = network.new_author()
    posts = _labelled(network, author, "one", "two", "three")
    pattern = f"at://{author}/*"

    found = network.query_labels(pattern).body["labels"]

    assert {label["uri"] for label in found} == {post["uri"] for post in posts}
    assert network.query_labels(pattern, sources=[author]).body["labels"] == []


def test_a_limit_cuts_the_labels_off_and_leaves_a_cursor(network: Network) -> None:
    # No more is promised: Ozone's query has no order, so that its pages can leave labels out.
    author = network.new_author()
    _labelled(network, author, "one", "two", "three")

    page = network.query_labels(f"at://{author}/*", limit=2).body

    assert len(page["labels"]) == 2
    assert page["cursor"].isdigit()


def test_a_pattern_with_a_star_inside_is_refused(network: Network) -> None:
    answer = network.query_labels("at://*/app.bsky.feed.post")

    assert (answer.status, answer.error) == (400, "InvalidRequest")
