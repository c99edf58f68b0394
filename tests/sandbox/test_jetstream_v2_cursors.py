"""Jetstream, version 2 of its wire: cursors, and what becomes of those that are too old."""

from datetime import UTC, datetime, timedelta

import pytest

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.records import POST
from phash_dagster.sandbox.world import World
from tests.sandbox.wire import next_event, open_stream, read_v2, refusal

COMMITS = ("kinds", "commit")


def _five_posts(world: World) -> list[int]:
    """Publish five posts; return the times of their events."""
    author = world.create_account("author.test")
    for _ in range(5):
        world.publish_post(author)
    return [entry.time_us for entry in world.events.since(0, 100) if entry.collection == POST]


def test_cursors_of_both_sorts_are_inclusive(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    numbers = [message["seq"] for message in read_v2(sandbox, COMMITS)]

    by_time = read_v2(sandbox, COMMITS, ("cursor", times[2]))
    by_number = read_v2(sandbox, COMMITS, ("cursor", numbers[2]))

    assert [message["seq"] for message in by_time] == numbers[2:]
    assert by_number == by_time


def test_a_sequence_number_whose_event_is_gone_is_refused(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    numbers = [message["seq"] for message in read_v2(sandbox, COMMITS)]
    sandbox.jetstream.forget_before(times[3])

    status, body = refusal(sandbox.jetstream_v2_url, ("cursor", numbers[0]))

    assert (status, body["error"]) == (400, "CursorTooOld")
    assert f"cursor {numbers[0]} below lookback floor {numbers[3]}" in body["message"]
    again = read_v2(sandbox, COMMITS, ("cursor", numbers[3]))
    assert [message["seq"] for message in again] == numbers[3:]


def test_a_time_whose_events_are_gone_starts_later_and_says_so(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    numbers = [message["seq"] for message in read_v2(sandbox, COMMITS)]
    sandbox.jetstream.forget_before(times[3])

    info, *found = read_v2(sandbox, COMMITS, ("cursor", times[0]))

    assert info["name"] == "OutdatedCursor"
    assert f"starting at seq {numbers[3]}" in info["message"]
    assert "seq" not in info
    assert [message["seq"] for message in found] == numbers[3:]


def test_a_time_before_the_first_event_is_outdated_too(sandbox: Sandbox) -> None:
    first = sandbox.world.events.since(0, 1)[0].time_us

    info, *_ = read_v2(sandbox, ("cursor", first - 1))

    assert info["name"] == "OutdatedCursor"
    assert "precedes" in info["message"]


def test_the_first_sequence_number_of_all_is_never_too_old(sandbox: Sandbox) -> None:
    assert len(read_v2(sandbox, ("cursor", 0))) == len(sandbox.world.events.since(0, 100)) - 1


def test_a_day_and_a_half_is_kept(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    now = datetime.now(UTC)
    gone, kept = (
        sandbox.world.publish_post(author, at=now - timedelta(hours=hours)) for hours in (37, 35)
    )

    found = read_v2(sandbox, COMMITS, ("cursor", 10**15))[1:]
    status, body = refusal(sandbox.jetstream_v2_url, ("cursor", 1))

    assert [message["cid"] for message in found] == [kept.cid]
    assert gone.cid not in {message["cid"] for message in found}
    assert (status, body["error"]) == (400, "CursorTooOld")


def test_a_sequence_number_of_the_future_starts_at_the_tip_and_says_so(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    ahead = read_v2(sandbox)[-1]["seq"] + 3_600_000_000
    with open_stream(sandbox.jetstream_v2_url, [("cursor", ahead)]) as connection:
        info = next_event(connection)["payload"]
        live = sandbox.world.publish_post(author)

        assert info["name"] == "FutureCursor"
        assert next_event(connection)["payload"]["cid"] == live.cid


@pytest.mark.parametrize(
    "cursor", [[], [("cursor", 4_000_000_000_000_000)]], ids=["none", "future"]
)
def test_no_cursor_and_a_time_in_the_future_start_at_the_live_tip(
    sandbox: Sandbox, cursor: list[tuple[str, str | int]]
) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author)
    with open_stream(sandbox.jetstream_v2_url, cursor) as connection:
        live = sandbox.world.publish_post(author)

        assert next_event(connection)["payload"]["cid"] == live.cid


def test_what_one_host_forgot_another_may_have(sandbox: Sandbox) -> None:
    times = _five_posts(sandbox.world)
    sandbox.jetstream.forget_before(times[3])

    found = read_v2(sandbox, COMMITS, ("cursor", 0), url=sandbox.jetstream_fallback_v2_url)

    assert len(found) == len(times)
