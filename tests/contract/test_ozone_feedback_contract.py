"""What Ozone says of what people did about the events of a moderation bot, and in which order."""

import pytest

from tests.contract.network import DEFS, Json, Network, account, comment, label, report

TYPES = [
    DEFS + name
    for name in (
        "modEventLabel",
        "modEventReport",
        "modEventTakedown",
        "modEventReverseTakedown",
        "modEventResolveAppeal",
    )
]
APPEALS = ["com.atproto.moderation.defs#reasonAppeal", "tools.ozone.report.defs#reasonAppeal"]


def resolve_appeal(text: str) -> Json:
    return {"$type": DEFS + "modEventResolveAppeal", "comment": text}


def test_a_label_that_somebody_takes_back_names_who_and_why(network: Network) -> None:
    post = network.new_post()
    tool = {"name": "phash-dagster", "meta": {"externalId": "one"}}
    network.emit(label("spam"), post, modTool=tool)

    network.emit(label(negate=("spam",), comment="this is art"), post, by="admin")

    [latest, earlier] = network.query_events(subject=post["uri"], types=TYPES).body["events"]
    assert latest["event"] == label(negate=("spam",), comment="this is art")
    assert latest["createdBy"] == network.addresses.members["admin"].did
    assert "modTool" not in latest
    assert latest["subject"] == post
    assert earlier["modTool"] == tool
    assert latest["id"] > earlier["id"]


@pytest.mark.parametrize("reason", APPEALS)
def test_an_appeal_is_a_report_with_a_reason_of_its_own(network: Network, reason: str) -> None:
    post = network.new_post()
    network.emit(label("spam"), post)

    network.emit(report(reason, comment="it was me"), post)

    events = network.query_events(subject=post["uri"], types=[DEFS + "modEventReport"])
    [event] = events.body["events"]
    assert event["event"]["reportType"] == reason
    assert event["event"]["comment"] == "it was me"
    [status] = network.query_statuses(subject=post["uri"]).body["subjectStatuses"]
    assert status["appealed"] is True
    assert status["reviewState"] == DEFS + "reviewEscalated"


def test_an_appeal_is_resolved_by_an_event(network: Network) -> None:
    post = network.new_post()
    network.emit(report(APPEALS[0]), post)

    network.emit(resolve_appeal("sorry"), post, by="admin")

    events = network.query_events(subject=post["uri"], types=[DEFS + "modEventResolveAppeal"])
    [event] = events.body["events"]
    assert event["event"] == resolve_appeal("sorry")
    [status] = network.query_statuses(subject=post["uri"]).body["subjectStatuses"]
    assert status["appealed"] is False


def test_pages_in_ascending_order_cover_everything_since_a_time_once(network: Network) -> None:
    author = network.new_author()
    events = [network.emit(label("spam"), account(author)).body for _ in range(6)]
    network.emit(comment("not asked for"), account(author))
    parameters: Json = {
        "subject": author,
        "types": TYPES,
        "sortDirection": "asc",
        "createdAfter": events[1]["createdAt"],
        "limit": 2,
    }
    found: list[Json] = []

    page = network.query_events(**parameters).body
    while page["events"]:
        found += page["events"]
        page = network.query_events(**parameters, cursor=page["cursor"]).body

    expected = [event["id"] for event in events if event["createdAt"] >= events[1]["createdAt"]]
    assert [event["id"] for event in found] == expected
    assert found == sorted(found, key=lambda event: (event["createdAt"], event["id"]))


def test_the_last_page_is_known_by_having_fewer_events_than_asked_for(network: Network) -> None:
    author = network.new_author()
    for _ in range(3):
        network.emit(label("spam"), account(author))

    page = network.query_events(subject=author, sortDirection="asc", limit=100).body

    assert len(page["events"]) == 3
    assert page["cursor"].endswith(f"::{page['events'][-1]['id']}")


def test_times_are_compared_as_texts_so_that_milliseconds_matter(network: Network) -> None:
    author = network.new_author()
    created_at = network.emit(label("spam"), account(author)).body["createdAt"]
    second = created_at[:19]

    def since(text: str) -> int:
        return len(network.query_events(subject=author, createdAfter=text).body["events"])

    assert since(f"{second}.000Z") == since(created_at) == 1
    assert since(f"{second}Z") == 0
