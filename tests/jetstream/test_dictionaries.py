"""zstd dictionaries: fetched, kept, renewed, and done without."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard

from phash_dagster.jetstream import Batch, BatchLimits, Cursor, dictionaries, read_batch
from phash_dagster.jetstream.dictionaries import decompressor
from phash_dagster.jetstream.events import MalformedFrameError
from phash_dagster.jetstream.wire import MAX_FRAME_BYTES, FrameTooLargeError
from tests.jetstream.frames import (
    POSTS,
    TIME_US,
    as_v2,
    blob,
    commit,
    encode,
    images_embed,
    post_record,
)
from tests.jetstream.servers import V2Server, new_dictionary

FIRST, SECOND = new_dictionary(7), new_dictionary(8)


def posts(count: int) -> list[dict[str, Any]]:
    record = post_record(images_embed(blob()))
    return [
        commit(record, rkey=f"r{number}", time_us=TIME_US + number, cursor=number + 1)
        for number in range(count)
    ]


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, url: str, cursor: Cursor = Cursor(TIME_US)) -> Batch:  # noqa: B008 - frozen
        return read_batch(
            [url], cursor, wanted=POSTS, limits=BatchLimits(0.3, 100), dictionaries=self.folder
        )

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "jetstream")


def asked(server: V2Server) -> list[str]:
    return [query.get("zstdDictionary", ["none"])[0] for query in server.requests]


def test_a_dictionary_is_fetched_once_and_then_used_from_the_folder(read: Reader) -> None:
    server = V2Server(posts(3), FIRST)
    with server.running() as url:
        first = read(url)
        second = read(url, first.cursor)
    assert (len(first.rows), len(second.rows)) == (3, 0)
    assert first.malformed == second.malformed == 0
    assert asked(server)[0] == asked(server)[-1] == "7"
    assert server.downloads == 1
    [file] = read.files
    assert file.name.endswith("-7.zstd-dictionary")
    assert file.read_bytes() == FIRST


def test_a_dictionary_the_host_no_longer_knows_is_replaced(read: Reader) -> None:
    server = V2Server(posts(3), FIRST)
    with server.running() as url:
        read(url)
        server.dictionary = SECOND
        batch = read(url)
    assert len(batch.rows) == 3
    assert asked(server)[-2:] == ["7", "8"]
    assert [file.read_bytes() for file in read.files] == [SECOND]


def test_a_dictionary_refused_by_the_host_that_serves_it_is_done_without(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = V2Server(posts(3), FIRST)
    monkeypatch.setattr(V2Server, "_number", 99)
    with server.running() as url:
        batch = read(url)
    assert len(batch.rows) == 3
    assert asked(server) == ["7", "none"]


@pytest.mark.parametrize("served", [None, b"", b"no dictionary at all", b"x" * 2_000_000])
def test_without_a_dictionary_frames_are_read_uncompressed(
    read: Reader, served: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(V2Server, "_number", 5)
    server = V2Server(posts(3), served)
    with server.running() as url:
        batch = read(url)
        again = read(url, batch.cursor)
    assert len(batch.rows) == 3
    assert set(asked(server)) == {"none"}
    assert server.downloads == 1, "asked again at every tick"
    assert again.failures == []


def test_a_dictionary_replaced_under_the_same_number_is_done_without(read: Reader) -> None:
    frames = [as_v2(event) for event in posts(3)]
    ours, theirs = (
        zstandard.ZstdCompressionDict(
            zstandard.train_dictionary(
                2048,
                [encode({**frame, "salt": f"{salt} {n}"}) for n in range(200) for frame in frames],
                dict_id=7,
            ).as_bytes()
        )
        for salt in ("ours", "theirs, which is quite another text")
    )
    server = V2Server(posts(3), theirs.as_bytes())
    read.folder.mkdir()
    with server.running() as url:
        name = urlsplit(url).netloc.replace(":", "_")
        (read.folder / f"{name}-7.zstd-dictionary").write_bytes(ours.as_bytes())
        first = read(url)
        second = read(url, first.cursor)
    assert (first.malformed, first.rows) == (3, [])
    assert [row.rkey for row in second.rows] == ["r0", "r1", "r2"]
    assert asked(server) == ["7", "none"]


def test_a_damaged_file_is_fetched_anew(read: Reader) -> None:
    server = V2Server(posts(3), FIRST)
    with server.running() as url:
        read(url)
        read.files[0].write_bytes(b"damaged")
        assert len(read(url).rows) == 3
    assert server.downloads == 2
    assert read.files[0].read_bytes() == FIRST


def test_a_folder_that_cannot_be_written_to_does_not_stop_reading(read: Reader) -> None:
    read.folder.write_bytes(b"a file")
    server = V2Server(posts(3), FIRST)
    with server.running() as url:
        assert len(read(url).rows) == 3
    assert asked(server)[0] == "7"


def compress(data: bytes, *, sized: bool = True, dictionary: bytes = FIRST) -> bytes:
    known = zstandard.ZstdCompressionDict(dictionary)
    return zstandard.ZstdCompressor(dict_data=known, write_content_size=sized).compress(data)


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [0, 1, 5000, 10_000_000])
def test_a_frame_reads_whether_it_names_its_size_or_not(sized: bool, size: int) -> None:
    data = b"x" * size
    assert decompressor(FIRST)(compress(data, sized=sized)) == data


@pytest.mark.parametrize("sized", [True, False])
def test_a_frame_that_grows_beyond_all_bounds_is_not_decompressed(sized: bool) -> None:
    bomb = compress(b"\0" * (MAX_FRAME_BYTES + 1), sized=sized)
    assert len(bomb) < 20_000
    with pytest.raises(FrameTooLargeError):
        decompressor(FIRST)(bomb)


@pytest.mark.parametrize(
    "frame", [b"", b"garbage", compress(b"x" * 500)[:-9], compress(b"x" * 90, dictionary=SECOND)]
)
def test_a_frame_that_zstd_cannot_read_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        decompressor(FIRST)(frame)


def test_bombs_and_garbage_are_counted_and_the_stream_goes_on(read: Reader) -> None:
    good = list(V2Server(posts(2), FIRST)._replay({"cursor": ["1"], "zstdDictionary": ["7"]}))
    bomb = compress(b"\0" * (MAX_FRAME_BYTES + 1))
    server = V2Server(dictionary=FIRST, frames=[good[0], bomb, b"garbage", good[1]])
    with server.running() as url:
        batch = read(url)
    assert [row.rkey for row in batch.rows] == ["r0", "r1"]
    assert batch.anomalies == {"oversized_frame": 1, "malformed_frame": 1}


def test_a_download_that_never_ends_is_given_up(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionaries, "MAX_DICTIONARY_BYTES", len(FIRST) - 1)
    server = V2Server(posts(1), FIRST)
    with server.running() as url:
        assert len(read(url).rows) == 1
    assert asked(server)[0] == "none"
