"""How long a preview takes, and how long it keeps writers out of the DuckDB file.

Makes a history of random hashes, one post each over 30 days, plants some images that the rules
know, and previews these rules while another process writes all the time. Checks that the preview
finds exactly what was planted.
"""

import argparse
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import stamina

from phash_dagster.clock import utc_now
from phash_dagster.preview.candidate import load_candidate
from phash_dagster.preview.run import preview_rules
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import Connection, Warehouse

HOURS = 720
PLANTED_EACH = 5
"""Posts of each rule hash's image."""

_IMAGES = """
    INSERT INTO image_hashes BY NAME
    SELECT
        'bafkrei' || md5(number::VARCHAR) || md5(number::VARCHAR)[1:20] AS blob_cid,
        'average' AS algorithm,
        CASE WHEN number < $known THEN $values[number + 1] ELSE hash(number) END AS hash,
        60 AS quality,
        640 AS width,
        480 AS height,
        'jpeg' AS format,
        'cdn' AS source,
        'benchmark' AS hasher_version,
        now() AS hashed_at
    FROM range($images) AS numbers (number)
"""
_POSTS = """
    CREATE TABLE posts AS
    SELECT
        $start::BIGINT + (number * (3_600_000_000 * $hours / $images))::BIGINT AS time_us,
        NULL::BIGINT AS seq,
        'benchmark' AS host,
        'did:plc:' || md5((number % 100_000)::VARCHAR)[1:24] AS did,
        'app.bsky.feed.post' AS collection,
        number::VARCHAR AS rkey,
        'at://' || did || '/app.bsky.feed.post/' || rkey AS uri,
        md5(number::VARCHAR) AS cid,
        'create' AS operation,
        'bafkrei' || md5(image::VARCHAR) || md5(image::VARCHAR)[1:20] AS blob_cid,
        'image/jpeg' AS mime_type,
        NULL::BIGINT AS size_bytes,
        0::INTEGER AS position,
        NULL::VARCHAR AS embed_type,
        NULL::VARCHAR AS created_at,
        strftime(make_timestamp(time_us), '%Y-%m-%d-%H') AS hour
    FROM (
        SELECT
            number,
            CASE WHEN number % $every = 0 AND number // $every < $planted
                THEN (number // $every) % $known ELSE number END AS image
        FROM range($known, $images) AS numbers (number)
    )
"""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    stamina.instrumentation.set_on_retry_hooks([])
    with TemporaryDirectory(prefix="preview-benchmark-") as folder:
        settings = settings_from({"DATA_DIR": folder, "RULES_DIR": folder})
        hashes = _write_rules(settings, arguments.rule_hashes)
        began = time.perf_counter()
        planted = _write_history(settings, hashes, arguments.images)
        print(
            f"{arguments.images:,} images, {arguments.rule_hashes:,} rule hashes; "
            f"made in {time.perf_counter() - began:.0f} s"
        )
        _measure(settings, planted)


def _measure(settings: Settings, planted: int) -> None:
    reads: list[float] = []
    steps: list[tuple[float, str]] = []
    now = utc_now()
    candidate = load_candidate(None, settings, now)
    with _writer(settings.warehouse_path) as alone:
        time.sleep(3)
    with _timed_reads(reads), _writer(settings.warehouse_path) as waits:
        began = time.perf_counter()
        found = preview_rules(
            candidate,
            settings=settings,
            since=now - timedelta(days=32),
            now=now,
            progress=lambda words: steps.append((time.perf_counter(), words)),
        )
        ended = time.perf_counter()
    decided = found.rules[0].decided.posts
    if decided != planted:
        raise SystemExit(f"the preview decides {decided} posts, planted were {planted}")
    print(f"{'step':<40} seconds")
    ends = [*(moment for moment, _ in steps[1:]), ended]
    for (moment, words), end in zip(steps, ends, strict=True):
        print(f"{words:<40} {end - moment:7.2f}")
    print(f"{'all':<40} {ended - began:7.2f}")
    for number, seconds in enumerate(reads[:2], start=1):
        print(f"{f'DuckDB file held, {number}. time':<40} {seconds:7.2f}")
    print(f"{'longest write by another process':<40} {max(waits):7.2f}  of {len(waits)}")
    print(f"{'the same without a preview':<40} {max(alone):7.2f}  of {len(alone)}")


def _write_rules(settings: Settings, count: int) -> list[int]:
    """Write one rule with so many random hashes; returns these."""
    chance = random.Random(3)
    hashes = [chance.getrandbits(64) for _ in range(count)]
    rule = {
        "id": "benchmark",
        "phashes": [f"{value:016x}" for value in hashes],
        "label": "benchmark",
        "comment": "x",
        "toLabel": True,
        "labelAcct": False,
        "reportPost": False,
        "reportAcct": False,
    }
    (settings.rules_dir / "rules.json").write_text(json.dumps([rule]))
    return hashes


def _write_history(settings: Settings, values: list[int], images: int) -> int:
    """Write hashes and posts; returns how many posts have an image that the rules know."""
    planted = PLANTED_EACH * len(values)
    with Warehouse(settings.warehouse_path).write() as connection:
        parameters = {"images": images, "known": len(values), "values": values}
        connection.execute(_IMAGES, parameters)
    start = utc_now() - timedelta(hours=HOURS)
    with duckdb.connect() as connection:
        connection.execute(
            _POSTS,
            {
                "start": int(start.timestamp() * 1_000_000),
                "hours": HOURS,
                "images": images,
                "every": images // (planted + len(values)) or 1,
                "planted": planted + 1,
                "known": len(values),
            },
        )
        settings.image_posts_dir.mkdir()
        _copy(connection, settings.image_posts_dir)
        query = "SELECT count(*) FROM posts WHERE blob_cid IN (SELECT unnest($known::VARCHAR[]))"
        [(found,)] = connection.execute(query, {"known": _known(len(values))}).fetchall()
    return int(found)


def _copy(connection: Connection, folder: Path) -> None:
    connection.table("posts").write_parquet(str(folder), partition_by=["hour"], compression="zstd")


def _known(count: int) -> list[str]:
    rows = duckdb.execute(
        "SELECT 'bafkrei' || md5(n::VARCHAR) || md5(n::VARCHAR)[1:20] FROM range($1) AS t (n)",
        [count],
    ).fetchall()
    return [blob_cid for (blob_cid,) in rows]


@contextmanager
def _timed_reads(seconds: list[float]) -> Iterator[None]:
    """Note how long each opened file stays open for reading."""
    read = Warehouse.read

    @contextmanager
    def timed(self: Warehouse) -> Iterator[Connection]:
        with read(self) as connection:
            began = time.perf_counter()
            yield connection
        seconds.append(time.perf_counter() - began)

    Warehouse.read = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        Warehouse.read = read  # type: ignore[method-assign]


@contextmanager
def _writer(path: Path) -> Iterator[list[float]]:
    """Another process that writes a row every tenth of a second; how long each time took."""
    context = multiprocessing.get_context("spawn")
    stop, answers = context.Event(), context.Queue()
    process = context.Process(target=_write_on, args=(path, stop, answers))
    process.start()
    answers.get()
    waits: list[float] = []
    try:
        yield waits
    finally:
        stop.set()
        waits += answers.get()
        process.join()


def _write_on(path: Path, stop: Event, answers: Any) -> None:
    stamina.instrumentation.set_on_retry_hooks([])
    warehouse = Warehouse(path)
    waits: list[float] = []
    answers.put("ready")
    while not stop.wait(0.1):
        began = time.perf_counter()
        with warehouse.write() as connection:
            connection.execute("CREATE OR REPLACE TABLE benchmark AS SELECT now() AS at")
        waits.append(time.perf_counter() - began)
    answers.put(waits)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rule-hashes", type=int, default=1_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
