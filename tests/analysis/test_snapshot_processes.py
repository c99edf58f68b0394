"""Snapshots beside processes that have one open, that write, or that are killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from phash_dagster.analysis import Sources, make_snapshot
from phash_dagster.ingest import IngestRecords
from phash_dagster.warehouse import ImagePosts, Warehouse
from tests.analysis.conftest import Snapped
from tests.analysis.reading import rows, working_rows
from tests.preview.past import MEME, NOW, OTHER, entry, near, post
from tests.processes import FORKS
from tests.steps import Steps, watch_the_disk

pytestmark = pytest.mark.slow


class Process:
    """A process that answers a line of JSON to each line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.answer()

    def ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def started(module: str, *arguments: object) -> Iterator[Process]:
    command = [sys.executable, "-m", f"tests.analysis.{module}", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Process(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def filled(past: Snapped) -> Snapped:
    past.hash({name: near(MEME, bits) for bits, name in enumerate("abcde")})
    past.write(post("1", "a"), post("2", "b"))
    past.put_in_force(entry())
    past.take()
    return past


MATCHES = "FROM post_matches SELECT uri, rule_id, distance ORDER BY ALL"


def test_who_has_one_open_for_long_keeps_it_and_keeps_nobody_out(filled: Snapped) -> None:
    with started("shell", filled.path) as shell:
        before = shell.ask(MATCHES)
        assert len(before) == 2
        for round_ in range(3):
            filled.hash({f"new-{round_}": OTHER})
            filled.put_in_force(entry(f"rule-{round_}", OTHER))
            filled.take()
            assert shell.ask(MATCHES) == before
            with filled.open() as connection:
                assert rows(connection, "rules_in_force") != []
                assert rows(connection, "rule_hashes") == working_rows(
                    filled.warehouse, "rule_hashes"
                )


def test_who_writes_into_one_breaks_neither_the_next_nor_its_readers(filled: Snapped) -> None:
    with started("shell", filled.path, "--write") as shell:
        shell.ask("CREATE TABLE mine AS SELECT 42 AS number")
        filled.hash({"new": OTHER})
        filled.take()
        assert_whole(filled)
        shell.ask("INSERT INTO mine SELECT 43")
        filled.take()  # now the file of the shell is gone
        shell.ask("INSERT INTO mine SELECT 44")
        assert shell.ask("FROM mine") == [[42], [43], [44]]
        assert_whole(filled)
        filled.take()
        assert_whole(filled)
    assert_whole(filled)
    filled.take()
    names = {path.name for path in filled.path.with_suffix("").glob("snapshot-*")}
    assert len(names) == 2, "nothing of the shell is left"


def assert_whole(past: Snapped) -> None:
    with past.open() as connection:
        assert rows(connection, "image_hashes") == working_rows(past.warehouse, "image_hashes")
        with pytest.raises(duckdb.CatalogException):
            connection.execute("FROM mine")


def test_each_snapshot_is_of_one_moment_while_the_pipeline_writes(filled: Snapped) -> None:
    with started("writer", filled.warehouse.path) as writer:
        counts = []
        for _ in range(4):
            filled.take()
            with filled.open() as connection:
                [found] = connection.execute(
                    "SELECT (FROM image_hashes SELECT count(*) WHERE blob_cid LIKE 'written-%'), "
                    "(FROM image_outcomes SELECT count(*) WHERE blob_cid LIKE 'written-%'), "
                    "(FROM partition_matches SELECT count(*) WHERE version = 'v')"
                ).fetchall()
            assert found[0] == found[1] == found[2]
            counts.append(found[0])
        written, _ = writer.ask("stop")
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= written
    filled.take()
    with filled.open() as connection:
        assert len(rows(connection, "image_hashes")) == 5 + written


def take(data_dir: Path, times: int = 3) -> None:
    sources = Sources(
        Warehouse(data_dir / "warehouse.duckdb"),
        ImagePosts(data_dir / "image_posts"),
        IngestRecords.under(data_dir),
    )
    for _ in range(times):
        make_snapshot(sources, data_dir / "analytics.duckdb", lambda: NOW, rows_per_part=3)


def take_and_die(data_dir: Path, step: int) -> None:
    watch_the_disk(Steps(step))
    take(data_dir, times=1)


def test_two_that_take_one_at_the_same_time_do_not_disturb_each_other(filled: Snapped) -> None:
    processes = [FORKS.Process(target=take, args=(filled.settings.data_dir,)) for _ in range(2)]
    for process in processes:
        process.start()
    for number in range(4):
        filled.hash({f"new-{number}": OTHER})
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    filled.take()
    assert_whole(filled)


def test_killed_at_any_step_the_one_before_is_there_and_the_next_is_whole(
    tmp_path: Path,
) -> None:
    step = 0
    while True:
        past = Snapped(tmp_path / str(step))
        past.hash({name: near(MEME, bits) for bits, name in enumerate("abc")})
        past.write(post("1", "a"))
        past.take()
        old = past.path.resolve()
        with past.open() as connection:
            hashes = rows(connection, "image_hashes")
        past.hash({"d": OTHER})

        process = FORKS.Process(target=take_and_die, args=(past.settings.data_dir, step))
        process.start()
        process.join(60)
        if past.path.resolve() == old:
            with past.open() as connection:
                assert rows(connection, "image_hashes") == hashes, f"killed at step {step}"
        else:
            assert_whole(past)
        past.take()
        assert_whole(past)
        left = [name for name in os.listdir(past.path.with_suffix("")) if name.startswith(".")]  # noqa: PTH208
        assert left == [".making"]
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        step += 1
    assert step >= 12, "two parts and the file: write, fsync, rename, two folders; the link"
