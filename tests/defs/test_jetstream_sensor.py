"""The sensor tick: durable before the cursor moves, and repeatable."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from websockets.sync.server import ServerConnection, serve

from phash_dagster.defs import jetstream_sensor as module
from phash_dagster.defs.jetstream_sensor import LateTickError, jetstream_sensor
from phash_dagster.jetstream import Cursor, JetstreamUnavailableError
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts
from tests.jetstream.frames import blob, commit, encode, images_embed, post_record

NOW = datetime(2026, 11, 23, 19, 0, 30, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def frame(number: int, moment: datetime) -> bytes:
    record = post_record(images_embed(blob(f"bafkrei{number}")))
    return encode(commit(record, rkey=f"r{number}", time_us=microseconds(moment) + number))


@contextmanager
def jetstream(frames: list[bytes]) -> Iterator[str]:
    """Replays frames from the cursor on, then stays open, as Jetstream does."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        start = int(parse_qs(urlsplit(connection.request.path).query)["cursor"][0])
        send(connection, [one for one in frames if json.loads(one)["time_us"] >= start])

    with serving(handle) as url:
        yield url


@contextmanager
def live_jetstream(*connections: list[bytes]) -> Iterator[str]:
    """Sends each connection in turn what happens while it is open, whatever its cursor."""
    waiting = iter(connections)
    with serving(lambda connection: send(connection, next(waiting))) as url:
        yield url


def send(connection: ServerConnection, frames: list[bytes]) -> None:
    for one in frames:
        connection.send(one, text=True)
    for _ in connection:
        pass


@contextmanager
def serving(handle: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/subscribe"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def posts(tmp_path: Path) -> ImagePosts:
    return ImagePosts(tmp_path / "image_posts")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def tick(
    posts: ImagePosts, instance: dg.DagsterInstance, tmp_path: Path
) -> Callable[[str | None, str], dg.SensorResult]:
    def run(cursor: str | None, url: str) -> dg.SensorResult:
        settings = Settings(
            jetstream_url=url,
            jetstream_fallback_urls=(),
            microbatch_seconds=0.4,
            data_dir=tmp_path,
        )
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        result = jetstream_sensor(context, settings=settings, posts=posts, clock=clock)
        assert isinstance(result, dg.SensorResult)
        return result

    return run


Tick = Callable[[str | None, str], dg.SensorResult]
START = Cursor(time_us=microseconds(NOW) - 60_000_000).to_json()


def test_the_first_tick_stores_a_starting_point_and_reads_nothing(
    tick: Tick, posts: ImagePosts
) -> None:
    result = tick(None, "ws://127.0.0.1:9/subscribe")
    assert result.cursor == Cursor.at(NOW).to_json()
    assert posts.partition_keys() == []


def test_a_batch_becomes_a_file_a_materialization_and_a_run(tick: Tick, posts: ImagePosts) -> None:
    with jetstream([frame(1, NOW), frame(2, NOW)]) as url:
        result = tick(START, url)
    [event] = result.asset_events
    [request] = result.run_requests or []
    assert event.partition == request.partition_key == "2026-11-23-19:00"
    assert event.metadata["images"].value == 2
    assert request.tags["phash/lane"] == "live"
    assert len(posts.files(["2026-11-23-19:00"])) == 1


def test_a_tick_repeated_from_the_same_cursor_asks_for_the_same(
    tick: Tick, posts: ImagePosts
) -> None:
    with jetstream([frame(1, NOW), frame(2, NOW)]) as url:
        once, files = tick(START, url), posts.files(posts.partition_keys())
        again = tick(START, url)
    assert posts.files(posts.partition_keys()) == files
    assert again.cursor == once.cursor
    keys = [[r.run_key for r in result.run_requests or []] for result in (once, again)]
    assert keys[0] == keys[1]


def test_a_batch_over_the_hour_asks_for_a_run_for_each(tick: Tick) -> None:
    with jetstream([frame(1, NOW - timedelta(seconds=40)), frame(2, NOW)]) as url:
        result = tick(START, url)
    assert [request.partition_key for request in result.run_requests or []] == [
        "2026-11-23-18:00",
        "2026-11-23-19:00",
    ]


def test_an_hour_with_a_queued_run_gets_no_second(
    tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "queued_hours", lambda _: frozenset({"2026-11-23-19:00"}))
    with jetstream([frame(1, NOW)]) as url:
        assert not tick(START, url).run_requests


def test_events_without_images_move_the_cursor_and_ask_for_nothing(
    tick: Tick, posts: ImagePosts
) -> None:
    plain = encode(commit(post_record(), time_us=microseconds(NOW)))
    with jetstream([plain]) as url:
        result = tick(START, url)
    assert Cursor.from_json(str(result.cursor)).time_us == microseconds(NOW)
    assert not result.run_requests
    assert posts.partition_keys() == []


def test_a_late_tick_writes_nothing(
    tick: Tick, posts: ImagePosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDONED_AFTER_SECONDS", 0.1)
    with jetstream([frame(1, NOW)]) as url, pytest.raises(LateTickError, match="wrote nothing"):
        tick(START, url)
    assert posts.partition_keys() == []


def test_no_reachable_host_fails_the_tick_and_keeps_the_cursor(tick: Tick) -> None:
    with pytest.raises(JetstreamUnavailableError, match="nothing is lost"):
        tick(START, "ws://127.0.0.1:9/subscribe")


def test_batches_of_a_host_whose_clock_stepped_back_do_not_overwrite_each_other(
    tick: Tick, posts: ImagePosts
) -> None:
    keys: list[str | None] = []
    with live_jetstream([frame(1, NOW)], [frame(2, NOW)]) as url:
        ahead = Cursor(microseconds(NOW) + 20_000_000, urlsplit(url).netloc).to_json()
        cursor: str | None = ahead
        for _ in range(2):
            result = tick(cursor, url)
            cursor = result.cursor
            keys += [request.run_key for request in result.run_requests or []]
    assert len(set(keys)) == 2
    assert len(posts.files(["2026-11-23-19:00"])) == 2


def test_a_password_in_the_address_is_in_no_cursor_and_no_metadata(tick: Tick) -> None:
    with jetstream([frame(1, NOW)]) as url:
        result = tick(START, url.replace("//", "//user:hunter2@"))
    assert "hunter2" not in str(result.cursor)
    assert "hunter2" not in str(result.asset_events[0].metadata)
