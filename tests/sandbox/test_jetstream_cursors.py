"""Jetstream, version 1 of its wire: cursors, and the step from the past to the present."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.jetstream_position import Numbering
from phash_dagster.sandbox.jetstream_v1 import encode
from phash_dagster.sandbox.records import POST
from phash_dagster.sandbox.server import FALLBACK_CLOCK_SKEW_US
from phash_dagster.sandbox.world import World
from tests.sandbox.wire import next_event, open_stream, read


def _five_posts(world: World) -> list[int]:
    """Publish five posts; return the times of their events."""
    author = world.create_account("author.test")
    for _ in range(5):
        world.publish_post(author)
    return [entry.time_us for entry in world.events.since(0, 100) if entry.collection == POST]


def test_a_cursor_of_time_is_inclusive(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)

    events = read(sandbox, ("cursor", times[2]))

    assert [event["time_us"] for event in events] == times[2:]


def test_a_sequence_number_is_a_cursor_too(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    number = read(sandbox, ("cursor", times[2]))[0]["cursor"]

    events = read(sandbox, ("cursor", number))

    assert [event["time_us"] for event in events] == times[2:]


@pytest.mark.parametrize(
    "cursor", [[], [("cursor", 4_000_000_000_000_000)]], ids=["none", "future"]
)
def test_no_cursor_and_a_future_one_start_at_the_live_tip(
    sandbox: Sandbox, cursor: list[tuple[str, str | int]]
) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author)
    with open_stream(sandbox.jetstream_url, cursor) as connection:
        live = sandbox.world.publish_post(author)

        assert next_event(connection)["commit"]["cid"] == live.cid


def test_a_cursor_older_than_the_window_starts_at_its_beginning(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    sandbox.world.events.forget_before(times[3])

    events = read(sandbox, ("cursor", times[0]))

    assert [event["time_us"] for event in events] == times[3:]


def test_a_post_of_the_past_is_replayed_in_its_place(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    past = sandbox.world.publish_post(author, at=hour_ago)

    first = read(sandbox)[0]

    assert first["commit"]["cid"] == past.cid
    assert first["time_us"] == microseconds(hour_ago)


def test_nothing_is_lost_or_repeated_between_the_past_and_the_present(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    count = 600
    writer = threading.Thread(
        target=lambda: [sandbox.world.publish_post(author) for _ in range(count)]
    )

    writer.start()
    with open_stream(
        sandbox.jetstream_url, [("cursor", 0), ("wantedCollections", POST)]
    ) as connection:
        rkeys = [
            event["commit"]["rkey"]
            for event in (next_event(connection) for _ in range(count + 4))
            if event["kind"] == "commit"
        ]
    writer.join()

    assert len(rkeys) == len(set(rkeys)) == count


def test_two_hosts_have_clocks_and_numbers_of_their_own(sandbox: Sandbox) -> None:
    sandbox.world.publish_post(sandbox.world.create_account("author.test"))

    first = read(sandbox)[-1]
    second = read(sandbox, url=sandbox.jetstream_fallback_url)[-1]

    assert second["time_us"] - first["time_us"] == FALLBACK_CLOCK_SKEW_US
    assert second["cursor"] != first["cursor"]
    again = read(sandbox, ("cursor", second["time_us"]), url=sandbox.jetstream_fallback_url)
    assert [event["commit"]["rev"] for event in again] == [first["commit"]["rev"]]


def test_a_host_of_version_1_has_no_sequence_numbers() -> None:
    frame = encode(World().events.since(0, 1)[0], Numbering(sequence_numbers=False))

    assert frame is not None
    assert "cursor" not in json.loads(frame)


def test_a_cursor_older_than_a_day_and_a_half_starts_there(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    times = [datetime.now(UTC) - timedelta(hours=hours) for hours in (37, 35)]
    gone, kept = (sandbox.world.publish_post(author, at=moment) for moment in times)

    found = [event["commit"]["cid"] for event in read(sandbox, ("wantedDids", author.did))[:1]]

    assert found == [kept.cid]
    assert gone.cid not in found


def test_an_imported_time_is_shown_but_is_no_position(sandbox: Sandbox) -> None:
    commit = {"rev": "3k", "operation": "delete", "collection": POST, "rkey": "3k"}
    event = {"did": "did:plc:x", "kind": "commit", "commit": commit}
    witnessed = sandbox.world.events.append(event, shown_us=1_700_000_000_000_000)

    [found] = read(sandbox, ("cursor", witnessed.time_us))

    assert found["time_us"] == 1_700_000_000_000_000
