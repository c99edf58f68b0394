"""Ways to find the pairs of image and rule hashes within a distance, each in its own process."""

import importlib
import multiprocessing
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import numpy as np

from phash_dagster.clock import utc_now
from phash_dagster.matching import match_partition
from tests.benchmarks.matching_data import (
    COLUMNS,
    Words,
    connect,
    put_in_force,
    read_images,
    rule_hashes,
)


@dataclass(frozen=True)
class Task:
    """Find all pairs.

    Attributes:
        database: What `write_images` wrote.
        images: How many of its images to look through.
        rules: Number of rule hashes.
        threshold: Largest distance in bits.
        bits: Width of the hashes.
    """

    database: Path
    images: int
    rules: int
    threshold: int
    bits: int = 64


@dataclass(frozen=True)
class Result:
    """What a way took.

    Attributes:
        seconds: Wall time; the making of an index not counted.
        pairs: What it found.
        megabytes: Largest resident memory of its process.
        building: Seconds it took to make an index.
    """

    seconds: float
    pairs: int
    megabytes: int = 0
    building: float = 0.0


def measure(way: Callable[[Task], Result], task: Task) -> Result | None:
    """Run a way in a process of its own; None if a library that it needs is not there."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(there, way, task))
    process.start()
    there.close()
    try:
        result: Result | None = here.recv()
    except EOFError:
        raise RuntimeError(f"{way.__name__} died at {task}") from None
    finally:
        process.join()
    return result


def _measured(pipe: Pipe, way: Callable[[Task], Result], task: Task) -> None:
    try:
        found = way(task)
    except ModuleNotFoundError:
        pipe.send(None)
        return
    pipe.send(replace(found, megabytes=_peak_megabytes()))


def _peak_megabytes() -> int:
    """Of this process. `getrusage` would count what the parent had when it started this one."""
    status = Path("/proc/self/status").read_text()
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) // 1024


def ours(task: Task) -> Result:
    """What the pipeline does, from the first statement until the matches are committed."""
    with connect(task.database) as connection:
        words = rule_hashes(task.rules, task.bits)
        version = put_in_force(connection, words, task.threshold)
        try:
            start = time.perf_counter()
            connection.begin()
            counts = match_partition(
                connection,
                version=version,
                margin=0,
                matched_at=utc_now(),
                partition_keys=["2026-11-23-12:00"],
            )
            connection.commit()
            return Result(time.perf_counter() - start, counts.new_matches)
        finally:
            for table in ("rule_versions", "rule_hashes", "rule_matches", "matched_hashes"):
                connection.execute(f"DELETE FROM {table}")


def duckdb_brute_force(task: Task) -> Result:
    """A cross join in SQL."""
    names = COLUMNS[: task.bits // 64]
    distance = " + ".join(f"bit_count(xor(images.{name}, rules.{name}))::INTEGER" for name in names)
    with connect(task.database) as connection:
        words = rule_hashes(task.rules, task.bits)
        put_in_force(connection, words, task.threshold)
        connection.execute("CREATE TEMP TABLE rules AS FROM rule_hashes")
        connection.execute("DELETE FROM rule_versions; DELETE FROM rule_hashes")
        start = time.perf_counter()
        [(pairs,)] = connection.execute(
            f"""
            SELECT count(*)
            FROM (FROM image_hashes SELECT * WHERE hash_number <= $1) AS images, rules
            WHERE {distance} <= $2
            """,
            [task.images, task.threshold],
        ).fetchall()
        return Result(time.perf_counter() - start, pairs)


def numpy_brute_force(task: Task) -> Result:
    """One rule hash after the other, on one core."""
    images = read_images(task.database, task.bits, task.images)
    rules = rule_hashes(task.rules, task.bits)
    start = time.perf_counter()
    pairs = sum(
        int((np.bitwise_count(images ^ rule).sum(axis=1, dtype=np.uint16) <= task.threshold).sum())
        for rule in rules
    )
    return Result(time.perf_counter() - start, pairs)


def faiss_flat(task: Task) -> Result:
    """faiss `IndexBinaryFlat`: brute force in optimized C++, two threads."""
    faiss = _faiss()
    return _searched(task, faiss.IndexBinaryFlat(task.bits))


def faiss_multi_hash(task: Task) -> Result:
    """faiss `IndexBinaryMultiHash`: bands of 16 bits in hash tables, exact by as many flips."""
    faiss = _faiss()
    tables = task.bits // 16
    index = faiss.IndexBinaryMultiHash(task.bits, tables, 16)
    index.nflip = task.threshold // tables
    return _searched(task, index)


def _faiss() -> Any:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(2)
    return faiss


def _searched(task: Task, index: Any) -> Result:
    images = _as_bytes(read_images(task.database, task.bits, task.images))
    rules = _as_bytes(rule_hashes(task.rules, task.bits))
    start = time.perf_counter()
    index.add(images)
    added = time.perf_counter()
    limits, _, _ = index.range_search(rules, task.threshold + 1)  # excludes its radius
    return Result(time.perf_counter() - added, int(limits[-1]), building=added - start)


def _as_bytes(words: Words) -> Any:
    return np.ascontiguousarray(words).view(np.uint8)
