"""The sensor tick: durable before the cursor moves, and repeatable."""

import json
import logging
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
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.questions import latest_batch, stream_gaps
from phash_dagster.jetstream import Batch, Cursor, HostFailure, StreamGap
from phash_dagster.jetstream.cursor import HostState
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts
from tests.jetstream.frames import blob, commit, encode, images_embed, post_record

pytestmark = pytest.mark.slow

HOUR = "2026-11-23-19:00"
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
def ingest(tmp_path: Path) -> IngestRecords:
    return IngestRecords(tmp_path / "ingest_batches")


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
        result = jetstream_sensor(
            context,
            settings=settings,
            posts=posts,
            ingest=IngestRecords.under(settings.data_dir),
            clock=clock,
        )
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


def test_a_batch_becomes_a_file_a_record_and_a_run(
    tick: Tick, posts: ImagePosts, ingest: IngestRecords
) -> None:
    with jetstream([frame(1, NOW), frame(2, NOW)]) as url:
        result = tick(START, url)
    [request] = result.run_requests or []
    assert request.partition_key == HOUR
    assert request.tags["phash/lane"] == "live"
    assert len(posts.files([HOUR])) == 1
    [path] = ingest.files()
    assert path.stem == Cursor.from_json(START).name
    with ingest.query() as connection:
        latest = latest_batch(connection)
    assert latest is not None
    assert latest.host == urlsplit(url).netloc


def test_no_event_is_reported_outside_of_a_run(tick: Tick) -> None:
    with jetstream([frame(1, NOW)]) as url:
        assert not tick(START, url).asset_events


def test_a_tick_repeated_from_the_same_cursor_asks_for_the_same(
    tick: Tick, posts: ImagePosts
) -> None:
    with jetstream([frame(1, NOW), frame(2, NOW)]) as url:
        once, files = tick(START, url), posts.files(posts.partition_keys())
        again = tick(START, url)
    assert posts.files(posts.partition_keys()) == files
    assert Cursor.from_json(again.cursor or "").name == Cursor.from_json(once.cursor or "").name
    keys = [[r.run_key for r in result.run_requests or []] for result in (once, again)]
    assert keys[0] == keys[1]


def test_a_batch_over_the_hour_asks_for_a_run_for_each(tick: Tick) -> None:
    with jetstream([frame(1, NOW - timedelta(seconds=40)), frame(2, NOW)]) as url:
        result = tick(START, url)
    assert [request.partition_key for request in result.run_requests or []] == [
        "2026-11-23-18:00",
        HOUR,
    ]


def test_an_hour_with_a_queued_run_gets_no_second(
    tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "queued_hours", lambda _: frozenset({HOUR}))
    with jetstream([frame(1, NOW)]) as url:
        assert not tick(START, url).run_requests


def test_live_posts_go_before_older_ones(tick: Tick) -> None:
    with jetstream([frame(1, NOW - timedelta(hours=3)), frame(2, NOW)]) as url:
        result = tick(Cursor(microseconds(NOW) - 4 * 3600 * 1_000_000).to_json(), url)
    priorities = [
        int(request.tags["dagster/priority"])
        for request in sorted(result.run_requests or [], key=lambda one: str(one.partition_key))
    ]
    assert priorities == [0, 1]


def test_of_very_many_hours_the_oldest_share_a_run(tick: Tick) -> None:
    frames = [frame(hour, NOW - timedelta(hours=60 - hour)) for hour in range(61)]
    with jetstream(frames) as url:
        result = tick(Cursor(microseconds(NOW) - 70 * 3600 * 1_000_000).to_json(), url)
    requests = list(result.run_requests or [])
    shared = [request for request in requests if not request.partition_key]
    single = sorted(str(request.partition_key) for request in requests if request.partition_key)
    assert len(requests) == 50
    assert (single[0], single[-1]) == ("2026-11-21-19:00", HOUR)
    [tags] = [request.tags for request in shared]
    assert tags["dagster/asset_partition_range_start"] == "2026-11-21-07:00"
    assert tags["dagster/asset_partition_range_end"] == "2026-11-21-18:00"


def test_events_without_images_move_the_cursor_and_ask_for_nothing(
    tick: Tick, posts: ImagePosts, ingest: IngestRecords
) -> None:
    plain = encode(commit(post_record(), time_us=microseconds(NOW)))
    with jetstream([plain]) as url:
        result = tick(START, url)
    assert Cursor.from_json(str(result.cursor)).time_us == microseconds(NOW)
    assert not result.run_requests
    assert posts.partition_keys() == []
    assert len(ingest.files()) == 1


def test_a_late_tick_writes_nothing(
    tick: Tick, posts: ImagePosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDONED_AFTER_SECONDS", 0.1)
    with jetstream([frame(1, NOW)]) as url, pytest.raises(LateTickError, match="wrote nothing"):
        tick(START, url)
    assert posts.partition_keys() == []


def test_a_late_tick_that_reached_no_host_still_remembers_when_to_ask_again(
    tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDONED_AFTER_SECONDS", 0.0)
    result = tick(START, "ws://127.0.0.1:9/subscribe")
    assert Cursor.from_json(result.cursor or "").hosts["127.0.0.1:9"].failures == 1


def test_no_reachable_host_skips_the_tick_and_says_why(
    tick: Tick, posts: ImagePosts, ingest: IngestRecords
) -> None:
    result = tick(START, "ws://127.0.0.1:9/subscribe")
    assert isinstance(result.skip_reason, dg.SkipReason)
    message = result.skip_reason.skip_message or ""
    for part in ("Nothing is lost", "127.0.0.1:9 failed once", "Errno 111", "next attempt at"):
        assert part in message
    cursor = Cursor.from_json(str(result.cursor))
    assert cursor.time_us == Cursor.from_json(START).time_us
    assert cursor.hosts["127.0.0.1:9"].failures == 1
    assert not posts.partition_keys()
    assert not ingest.files()


def fake_batch(start: Cursor, **values: object) -> Batch:
    now_us = microseconds(NOW)
    times = {"started_us": now_us - 9_000_000, "ended_us": now_us}
    return Batch(start, start, **times, **values)  # type: ignore[arg-type]


def test_a_gap_is_recorded_although_nothing_was_to_keep(
    tick: Tick, ingest: IngestRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = StreamGap(microseconds(NOW) - 5_000_000, microseconds(NOW), "h", "clamped")

    def read_batch(_urls: object, start: Cursor, **_options: object) -> Batch:
        return fake_batch(start, host="h", gaps=[gap])

    monkeypatch.setattr(module, "read_batch", read_batch)
    tick(START, "ws://unused")
    with ingest.query() as connection:
        [found] = stream_gaps(connection)
    assert (found.from_time, found.to_time) == (NOW - timedelta(seconds=5), NOW)


def test_a_host_is_named_in_the_log_when_it_fails_and_not_while_it_rests(
    tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_batch(_urls: object, start: Cursor, **_options: object) -> Batch:
        return fake_batch(start, failures=[HostFailure("h.test", "refused", 1, 5)])

    lines: list[str] = []
    monkeypatch.setattr(module, "read_batch", read_batch)
    monkeypatch.setattr(
        logging.Logger, "warning", lambda _self, text, *values: lines.append(text % values)
    )
    tick(START, "ws://unused")
    assert len(lines) == 1
    assert "h.test failed once (refused)" in lines[0]
    resting = Cursor(microseconds(NOW), hosts={"h.test": HostState(1, 5, "refused")})
    tick(resting.to_json(), "ws://unused")
    assert len(lines) == 1


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
    assert len(posts.files([HOUR])) == 2


def test_a_password_in_the_address_is_in_no_cursor_and_no_record(
    tick: Tick, ingest: IngestRecords
) -> None:
    with jetstream([frame(1, NOW)]) as url:
        result = tick(START, url.replace("//", "//user:hunter2@"))
    assert "hunter2" not in str(result.cursor)
    with ingest.query() as connection:
        assert "hunter2" not in str(connection.execute("FROM ingest_batches").fetchall())
