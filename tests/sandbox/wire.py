"""A client of a sandbox's Jetstream, for tests."""

import json
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from phash_dagster.sandbox import Sandbox

Json = dict[str, Any]
PATIENCE_SECONDS = 10.0
END = "end of what a test wants to read"
"""A raw frame passes every filter, and comes after everything that was there before it."""


def open_stream(
    url: str, parameters: list[tuple[str, str | int]] | None = None
) -> AbstractContextManager[ClientConnection]:
    return connect(f"{url}?{urlencode(parameters or [])}", proxy=None)


def next_event(connection: ClientConnection) -> Json:
    event: Json = json.loads(connection.recv(timeout=PATIENCE_SECONDS))
    return event


def read(
    sandbox: Sandbox, *parameters: tuple[str, str | int], url: str | None = None
) -> list[Json]:
    """Everything from the beginning of the log on, or from the cursor given."""
    named = list(parameters)
    if not any(name == "cursor" for name, _ in named):
        named.append(("cursor", 0))
    with open_stream(url or sandbox.jetstream_url, named) as connection:
        end = f"{END} {len(sandbox.world.events)}"
        sandbox.world.publish_raw(end)
        frames = iter(lambda: connection.recv(timeout=PATIENCE_SECONDS), end)
        return [json.loads(frame) for frame in frames if not str(frame).startswith(END)]


def read_v2(
    sandbox: Sandbox, *parameters: tuple[str, str | int], url: str | None = None
) -> list[Json]:
    """The messages of version 2, from the beginning of the log on, or from the cursor given."""
    frames = read(sandbox, *parameters, url=url or sandbox.jetstream_v2_url)
    assert {frame["$type"] for frame in frames} <= {"message"}
    return [frame["payload"] for frame in frames]


def refusal(url: str, *parameters: tuple[str, str | int]) -> tuple[int, Json]:
    """The status and the error that a connection is refused with."""
    with (
        pytest.raises(InvalidStatus) as caught,
        open_stream(url, list(parameters)),
    ):
        pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/json"
    return response.status_code, json.loads(response.body)


def kinds_of(events: list[Json]) -> list[str]:
    return [event.get("commit", {}).get("collection", event["kind"]) for event in events]
