"""Reading from the sandbox's hosts, above all by version 2 of the wire."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from phash_dagster.clock import utc_now
from phash_dagster.jetstream import Batch, BatchLimits, Cursor
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.records import POST
from tests.jetstream.readers import Reader

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def publish(sandbox: Sandbox, count: int, *, hours_ago: float = 0) -> list[str]:
    """Publish posts with an image each; return their AT URIs."""
    author = sandbox.world.automod
    at = utc_now() - timedelta(hours=hours_ago)
    image = b"\xff\xd8\xff %d" % len(sandbox.world.events)
    return [
        sandbox.world.publish_post(author, [image], at=at + timedelta(milliseconds=number)).uri
        for number in range(count)
    ]


def beginning(hours_ago: float = 1) -> Cursor:
    return Cursor.at(utc_now() - timedelta(hours=hours_ago))


def uris(*batches: Batch) -> list[str]:
    """The posts; their author's account is an event, too."""
    return [row.uri for batch in batches for row in batch.rows if row.collection == POST]


def time_of(sandbox: Sandbox, uri: str) -> int:
    rkey = uri.rpartition("/")[2]
    [found] = [
        entry.time_us
        for entry in sandbox.world.events.since(0, 1000)
        if entry.event and entry.collection == POST and entry.event["commit"]["rkey"] == rkey
    ]
    return found


def test_compressed_frames_are_read_once_each(sandbox: Sandbox, read: Reader) -> None:
    early = publish(sandbox, 3)
    first = read(sandbox.jetstream_v2_url, cursor=beginning())
    late = publish(sandbox, 3)
    second = read(sandbox.jetstream_v2_url, cursor=first.cursor)
    assert (uris(first), uris(second)) == (early, late)
    assert (first.malformed, second.malformed, first.gaps, second.gaps) == (0, 0, [], [])
    number = sandbox.jetstream.dictionaries.current.id
    assert [path.name for path in read.folder.glob(f"*-{number}.*")]


def test_a_dictionary_that_was_rotated_is_fetched_anew(sandbox: Sandbox, read: Reader) -> None:
    early = publish(sandbox, 2)
    first = read(sandbox.jetstream_v2_url, cursor=beginning())
    sandbox.jetstream.dictionaries.rotate()
    late = publish(sandbox, 2)
    second = read(sandbox.jetstream_v2_url, cursor=first.cursor)
    assert uris(first, second) == early + late
    assert second.failures == []
    assert second.cursor.hosts == {}, "read uncompressed"
    number = sandbox.jetstream.dictionaries.current.id
    [file] = read.folder.iterdir()
    assert file.name.endswith(f"-{number}.zstd-dictionary")


def test_a_position_that_is_too_old_is_one_gap_and_reading_goes_on(
    sandbox: Sandbox, read: Reader
) -> None:
    early, gone, kept = (publish(sandbox, 2, hours_ago=hours) for hours in (9, 5, 2))
    first = read(sandbox.jetstream_v2_url, cursor=beginning(10), limits=BatchLimits(2, 2))
    assert uris(first) == early
    sandbox.jetstream.forget_before(time_of(sandbox, kept[0]))
    second = read(sandbox.jetstream_v2_url, cursor=first.cursor)
    late = publish(sandbox, 2)
    third = read(sandbox.jetstream_v2_url, cursor=second.cursor)
    [gap] = second.gaps
    assert gap.reason == "CursorTooOld"
    assert (gap.from_us, gap.to_us) == (first.cursor.time_us, time_of(sandbox, kept[0]))
    assert uris(second, third) == kept + late
    assert not set(gone) & set(uris(second))
    assert (second.failures, third.failures, third.gaps) == ([], [], [])


@pytest.mark.parametrize("order", [(1, 2, 1), (2, 1, 2)])
def test_switching_wires_on_one_host_keeps_the_position(
    sandbox: Sandbox, read: Reader, order: Sequence[int]
) -> None:
    urls = {1: sandbox.jetstream_url, 2: sandbox.jetstream_v2_url}
    cursor, published, batches = beginning(), [], []
    for version in order:
        published += publish(sandbox, 3)
        batches.append(read(urls[version], cursor=cursor))
        cursor = batches[-1].cursor
    assert uris(*batches) == published
    assert not any(batch.gaps for batch in batches)
