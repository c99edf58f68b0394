"""Kill -9 at every step of a tick, and a full disk: the rows are those of an undisturbed run."""

import errno
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from phash_dagster.ingest import IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.warehouse import ImagePosts
from tests.defs.test_jetstream_sensor import frame, microseconds, serving
from tests.pipeline import tick
from tests.pipeline.tick import NOW
from tests.processes import FORKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BEFORE_THE_HOUR = NOW - timedelta(seconds=34)
"""The second half of the events lies in the next hour, and a batch in both."""

FRAMES = [frame(number, BEFORE_THE_HOUR + timedelta(seconds=number)) for number in range(10)]
TIMES = [microseconds(BEFORE_THE_HOUR + timedelta(seconds=number)) + number for number in range(10)]

Rows = Counter[tuple[object, ...]]


def replay(connection: ServerConnection, sent: Callable[[int], object] = str) -> None:
    """Send the events from the cursor on, and call back after each."""
    assert connection.request is not None
    start = int(parse_qs(urlsplit(connection.request.path).query)["cursor"][0])
    try:
        for number, one in enumerate(FRAMES):
            if TIMES[number] >= start:
                connection.send(one, text=True)
                sent(number)
        for _ in connection:
            pass
    except ConnectionClosed:
        return


def start(folder: Path, url: str, *, kill_at: int = -1) -> ForkServerProcess:
    folder.mkdir(exist_ok=True)
    if not (folder / "cursor").exists():
        (folder / "cursor").write_text(Cursor(TIMES[0] - 1).to_json())
    process = FORKS.Process(target=tick.main, args=(folder, url, TIMES[-1], kill_at))
    process.start()
    return process


def end(process: ForkServerProcess) -> int | None:
    process.join()
    return process.exitcode


def finish(folder: Path, url: str) -> None:
    assert end(start(folder, url)) == 0


def rows(folder: Path) -> Rows:
    """The rows of every file, unfolded: what was written twice counts twice."""
    posts = ImagePosts(folder / "image_posts")
    return Counter(
        (row["uri"], row["cid"], row["blob_cid"], row["time_us"])
        for path in posts.files(posts.partition_keys())
        for row in pq.read_table(path).to_pylist()
    )


def records(folder: Path) -> tuple[int, int, Rows]:
    """How many events the records tell of, in how many files, with how many rows by hour."""
    read = [
        row
        for path in IngestRecords(folder / "ingest_batches").files()
        for row in pq.read_table(path).to_pylist()
    ]
    files = [file for row in read for file in row["files"]]
    by_hour: Rows = Counter()
    for file in files:
        by_hour[(file["hour"],)] += file["rows"]
    return sum(row["events"] for row in read), len({row["name"] for row in read}), by_hour


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


def assert_undisturbed(folder: Path, undisturbed: Path) -> None:
    assert rows(folder) == rows(undisturbed)
    assert set(rows(folder).values()) == {1}
    events, _, by_hour = records(folder)
    assert (events, by_hour) == (len(FRAMES), records(undisturbed)[2])
    assert leftovers(folder) == []


@pytest.fixture
def undisturbed(tmp_path: Path) -> Path:
    folder = tmp_path / "undisturbed"
    with serving(replay) as url:
        finish(folder, url)
    assert sum(rows(folder).values()) == len(FRAMES)
    assert records(folder)[0] == len(FRAMES)
    return folder


def test_killed_at_any_step_on_disk_and_started_again_nothing_is_lost_or_doubled(
    tmp_path: Path, undisturbed: Path
) -> None:
    step = 0
    with serving(replay) as url:
        while True:
            folder = tmp_path / str(step)
            code = end(start(folder, url, kill_at=step))
            if code == 0:
                break
            assert code == -signal.SIGKILL
            finish(folder, url)
            assert_undisturbed(folder, undisturbed)
            step += 1
    # Two batches; of each: a file or two and a record, with write, fsync, rename and two folders
    # each, and the end of the tick.
    assert step > 20


@pytest.mark.parametrize("number", range(0, len(FRAMES), 3))
def test_killed_while_reading_and_started_again_nothing_is_lost_or_doubled(
    tmp_path: Path, undisturbed: Path, number: int
) -> None:
    folder = tmp_path / "killed"
    running: SimpleQueue[ForkServerProcess] = SimpleQueue()
    killed = threading.Event()

    def kill_after(sent: int) -> None:
        if sent == number and not killed.is_set():
            killed.set()
            running.get(timeout=30).kill()

    with serving(lambda connection: replay(connection, kill_after)) as url:
        process = start(folder, url)
        running.put(process)
        assert end(process) == -signal.SIGKILL
        finish(folder, url)
    assert_undisturbed(folder, undisturbed)


def test_a_full_disk_is_a_clear_error_loses_nothing_and_the_next_tick_goes_on(
    tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "full"
    script = (
        "import resource, sys, runpy, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY)); "
        "sys.argv = sys.argv[1:]; runpy.run_module('tests.pipeline.tick', run_name='__main__')"
    )
    with serving(replay) as url:
        folder.mkdir()
        (folder / "cursor").write_text(Cursor(TIMES[0] - 1).to_json())
        arguments = ["tick", str(folder), url, str(TIMES[-1]), "-1"]
        full = subprocess.run(
            [sys.executable, "-B", "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert full.returncode == 1
        assert f"[Errno {errno.EFBIG}]" in full.stderr
        assert ".parquet" in full.stderr.splitlines()[-1], "it says which file"
        assert Cursor.from_json((folder / "cursor").read_text()).time_us < TIMES[0]
        assert rows(folder) == Counter()
        assert leftovers(folder) == []
        finish(folder, url)
    assert_undisturbed(folder, undisturbed)
