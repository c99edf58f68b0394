"""Jetstream hosts that misbehave, because a test told them to."""

import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from phash_dagster.sandbox import Failure, Sandbox
from tests.sandbox.wire import next_event, open_stream, read, refusal

SHORT_SECONDS = 0.2


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_stalled_host_takes_connections_and_says_nothing(sandbox: Sandbox, version: str) -> None:
    url = sandbox.jetstream_url if version == "v1" else sandbox.jetstream_v2_url
    sandbox.jetstream.stall()
    with open_stream(url, [("cursor", 0)]) as connection:
        sandbox.world.publish_post(sandbox.world.automod)
        with pytest.raises(TimeoutError):
            connection.recv(timeout=SHORT_SECONDS)

        sandbox.jetstream.resume()

        assert next_event(connection)


def test_only_one_host_stalls(sandbox: Sandbox) -> None:
    sandbox.jetstream.stall()

    assert read(sandbox, url=sandbox.jetstream_fallback_url)


def test_a_slow_consumer_is_told_and_cut_off(sandbox: Sandbox) -> None:
    sandbox.world.publish_post(sandbox.world.automod)
    with open_stream(sandbox.jetstream_v2_url) as connection:
        sandbox.jetstream.drop_slow_consumers()

        error = next_event(connection)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)

    assert (error["$type"], error["error"]) == ("error", "ConsumerTooSlow")
    assert "reconnect with cursor=" in error["message"]


def test_version_1_cuts_a_slow_consumer_off_without_a_word(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_url) as connection:
        sandbox.jetstream.drop_slow_consumers()

        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
    assert read(sandbox)


def test_a_host_that_goes_away_says_so(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_v2_url) as connection:
        sandbox.world.drop_connections()

        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == CloseCode.GOING_AWAY


def test_a_host_that_is_not_ready_refuses_with_503(sandbox: Sandbox) -> None:
    sandbox.world.fail_next("jetstream", 1, Failure(status=503))

    status, _ = refusal(sandbox.jetstream_v2_url)

    assert status == 503


def test_garbage_reaches_everyone(sandbox: Sandbox) -> None:
    number = sandbox.jetstream.dictionaries.current.id
    parameters: list[tuple[str, str | int]] = [("zstdDictionary", number)]
    with (
        open_stream(sandbox.jetstream_v2_url, parameters) as compressed,
        open_stream(sandbox.jetstream_url) as plain,
    ):
        sandbox.world.publish_raw(b"\x00 no frame of zstd")
        sandbox.world.publish_raw("no JSON")

        assert compressed.recv(timeout=5) == plain.recv(timeout=5) == b"\x00 no frame of zstd"
        assert plain.recv(timeout=5) == "no JSON"
        with pytest.raises(json.JSONDecodeError):
            json.loads("no JSON")
