"""What is answered when Ozone is broken: without its database, out of reach, or hanging."""

import time
from collections.abc import Callable

import pytest

from tests.contract.network import Network, label, report, takedown

DEADLINE_SECONDS = 30.0
PDS_PATIENCE_SECONDS = 10.0


def _wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_an_ozone_without_its_database_is_an_upstream_error(network: Network) -> None:
    post = network.new_post()
    network.token("moderator")

    with network.addresses.faults.no_database():
        event = network.emit(label("spam"), post, externalId="one")
        labels, events = network.query_labels(post["uri"]), network.query_events(limit=1)

    for answer in (event, labels, events):
        assert (answer.status, answer.error) == (502, "InternalServerError")
    assert _wait_until(lambda: network.query_events(subject=post["uri"]).status == 200)
    assert network.query_events(subject=post["uri"]).body["events"] == []
    assert network.emit(label("spam"), post, externalId="one").status == 200


def test_an_ozone_that_is_out_of_reach_is_an_upstream_failure(network: Network) -> None:
    proxy = f"{network.addresses.faults.unreachable_labeler_did}#atproto_labeler"

    answer = network.get(
        "tools.ozone.moderation.queryEvents", {}, token=network.token("moderator"), proxy=proxy
    )

    assert (answer.status, answer.error) == (502, "UpstreamFailure")


@pytest.mark.slow
@pytest.mark.parametrize("event", [label("spam"), report(), takedown()], ids=lambda e: e["$type"])
def test_an_event_that_the_pds_lost_patience_with_is_carried_out_all_the_same(
    network: Network, event: dict[str, object]
) -> None:
    post = network.new_post()
    network.token("moderator")
    start = time.monotonic()

    with network.addresses.faults.hanging():
        answer = network.emit(event, post, externalId="one")

    assert (answer.status, answer.error) == (502, "UpstreamFailure")
    assert time.monotonic() - start >= PDS_PATIENCE_SECONDS

    def has_arrived() -> bool:
        found = network.query_events(subject=post["uri"], types=[event["$type"]])
        return bool(found.body.get("events"))

    assert _wait_until(has_arrived)
    assert network.emit(event, post, externalId="one").status == 400
