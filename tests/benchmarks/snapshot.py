"""How long a snapshot takes, what it writes, and for how long nobody could write meanwhile.

Makes a past of random hashes, takes a first snapshot, then others after as many new images as a
quarter of an hour brings, while another process writes all the time. Checks that each snapshot
has all images. For comparison the working file is copied as a whole, too. Then asks every question.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import stamina
from rich.console import Console
from rich.table import Table

from phash_dagster.analysis import Snapshot, Sources, make_snapshot
from phash_dagster.analysis.ask import ask
from phash_dagster.analysis.questions import questions
from phash_dagster.clock import utc_now
from phash_dagster.ingest import IngestRecords
from phash_dagster.warehouse import ImagePosts, Warehouse

AT_ONCE = 500_000
PER_HOUR = 54_000
"""Images of Bluesky: about 15 a second."""

_HASHES = """
    INSERT INTO image_hashes BY NAME
    SELECT
        'bafkrei' || sha256(number::VARCHAR)[1:52] AS blob_cid,
        'average' AS algorithm,
        hash(number) AS hash,
        number % 101 AS quality,
        1000 AS width,
        750 AS height,
        'jpeg' AS format,
        'cdn' AS source,
        'feed_fullsize@jpeg' AS rendition,
        'benchmark' AS hasher_version,
        now() - (($images - number) * INTERVAL 1 HOUR / $per_hour) AS hashed_at
    FROM range($first, $last) AS numbers (number)
    WHERE number % 50 <> 0
"""
_OUTCOMES = """
    INSERT INTO image_outcomes BY NAME
    SELECT
        'bafkrei' || sha256(number::VARCHAR)[1:52] AS blob_cid,
        CASE WHEN number % 50 = 0 THEN 'not_found' ELSE 'hashed' END AS outcome,
        CASE WHEN number % 50 = 0 THEN 'CDN: 404; PDS: 404' END AS reason,
        1 AS attempts,
        'did:plc:' || md5((number % 2_000_000)::VARCHAR)[1:24] AS last_did,
        now() - (($images - number) * INTERVAL 1 HOUR / $per_hour) AS updated_at
    FROM range($first, $last) AS numbers (number)
"""
_MATCHES = """
    INSERT INTO rule_matches BY NAME
    FROM image_hashes
    SELECT
        blob_cid,
        'rule-' || hash_number % 40 AS rule_id,
        md5((hash_number % 300)::VARCHAR)[1:16] AS rule_hash,
        algorithm,
        hash_number % 6 AS distance,
        sha256('version') AS first_version,
        hashed_at AS matched_at
    WHERE hash_number % $every = 0
"""
_RULES = """
    INSERT INTO rule_hashes BY NAME
    FROM rule_matches
    SELECT DISTINCT
        first_version AS version,
        rule_id,
        rule_hash,
        1 AS hash,
        algorithm,
        3 AS threshold,
        0 AS rule_order,
        0 AS hash_order,
        'live' AS mode,
        'match' AS kind
"""
_POSTS = """
    COPY (
        SELECT
            epoch_us(now() - (($images - number) * INTERVAL 1 HOUR / $per_hour)) AS time_us,
            NULL::BIGINT AS seq,
            'benchmark' AS host,
            'did:plc:' || md5((number % 2_000_000)::VARCHAR)[1:24] AS did,
            'app.bsky.feed.post' AS collection,
            number::VARCHAR AS rkey,
            'at://' || did || '/app.bsky.feed.post/' || rkey AS uri,
            'bafyrei' || sha256('record' || number)[1:52] AS cid,
            'create' AS operation,
            'bafkrei' || sha256(number::VARCHAR)[1:52] AS blob_cid,
            'image/jpeg' AS mime_type,
            NULL::BIGINT AS size_bytes,
            0::INTEGER AS position,
            'images' AS embed_type,
            NULL::VARCHAR AS created_at,
            strftime(make_timestamp(time_us), '%Y-%m-%d-%H') AS hour
        FROM range($images) AS numbers (number)
    ) TO '{folder}' (FORMAT parquet, PARTITION_BY (hour), COMPRESSION zstd)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3_000_000)
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where; a temporary folder by default")
    arguments = parser.parse_args()
    stamina.instrumentation.set_on_retry_hooks([])
    with TemporaryDirectory(dir=arguments.folder) as folder:
        Bench(Path(folder), arguments.images, arguments.matches).run()


class Bench:
    """One past, and what is measured with it."""

    def __init__(self, folder: Path, images: int, matches: int) -> None:
        self.path = folder / "analytics.duckdb"
        self.images = images
        self.matches = matches
        self.sources = Sources(
            Warehouse(folder / "warehouse.duckdb"),
            ImagePosts(folder / "image_posts"),
            IngestRecords.under(folder),
        )
        self.table = Table("", "seconds", "longest lock", "written", "parts")

    def run(self) -> None:
        console = Console()
        started = time.perf_counter()
        self.fill()
        console.print(
            f"{self.images:,} images, {self.matches:,} matches, working file "
            f"{self.sources.warehouse.path.stat().st_size / 1e6:,.0f} MB, made in "
            f"{time.perf_counter() - started:.0f} s"
        )
        self._copy()
        self._take("first snapshot")
        self._take("nothing new")
        for number in range(3):
            self._add(self.images, PER_HOUR // 4)
            self._take(f"a quarter of an hour later, {number + 1}")
        self._take_beside_a_writer()
        console.print(self.table)
        console.print(self._ask_all())

    def fill(self) -> None:
        """Make the past."""
        for first in range(0, self.images, AT_ONCE):
            self._insert(first, min(first + AT_ONCE, self.images))
        with self.sources.warehouse.write() as connection:
            connection.execute(_MATCHES, {"every": max(1, self.images // self.matches)})
            connection.execute(_RULES)
            connection.execute(
                "INSERT INTO rule_loads (load_number, version, loaded_at) "
                "VALUES (1, sha256('version'), now())"
            )
        with duckdb.connect() as connection:
            text = _POSTS.format(folder=self.sources.posts.root)
            connection.execute(text, {"images": self.images, "per_hour": PER_HOUR})

    def _insert(self, first: int, last: int) -> None:
        values = {
            "first": first,
            "last": last,
            "images": self.images,
            "per_hour": PER_HOUR,
        }
        with self.sources.warehouse.write() as connection:
            connection.execute(_HASHES, values)
            connection.execute(_OUTCOMES, values)

    def _add(self, first: int, count: int) -> None:
        self.images += count
        self._insert(first, first + count)

    def _copy(self) -> None:
        target = self.path.with_name("copy.duckdb")
        start = time.perf_counter()
        subprocess.run(["cp", str(self.sources.warehouse.path), str(target)], check=True)
        subprocess.run(["sync", str(target)], check=True)
        seconds = time.perf_counter() - start
        size = target.stat().st_size
        target.unlink()
        self._row("copy of the working file", seconds, f"{seconds:.2f} s", size, "")

    def _take(self, name: str) -> Snapshot:
        start = time.perf_counter()
        made = make_snapshot(self.sources, self.path, utc_now)
        seconds = time.perf_counter() - start
        with duckdb.connect(self.path, read_only=True) as connection:
            counted = connection.execute("FROM image_outcomes SELECT count(*)").fetchall()
        assert counted >= [(self.images,)]
        self._row(
            name,
            seconds,
            f"{made.longest_lock_seconds:.2f} s",
            made.bytes + made.parts_bytes,
            str(made.parts_written),
        )
        return made

    def _take_beside_a_writer(self) -> None:
        command = [sys.executable, "-m", "tests.analysis.writer", str(self.sources.warehouse.path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdout.readline()
            for number in range(3):
                time.sleep(5)
                self._take(f"beside a writer, {number + 1}")
            writer.stdin.write("\n")
            writer.stdin.flush()
            written, longest = json.loads(writer.stdout.readline())
        self.table.caption = f"the writer wrote {written} times and waited {longest:.2f} s at most"

    def _row(self, name: str, seconds: float, lock: str, size: int, parts: str) -> None:
        self.table.add_row(name, f"{seconds:.1f}", lock, f"{size / 1e6:,.1f} MB", parts)

    def _ask_all(self) -> Table:
        table = Table("question", "seconds", "rows")
        needed = {"account": "did:plc:x", "image": "bafkrei"}
        for question in questions().values():
            values = {
                parameter.name: needed[parameter.name]
                for parameter in question.parameters
                if parameter.default is None
            }
            start = time.perf_counter()
            answer = ask(self.path, question, values)
            seconds = time.perf_counter() - start
            table.add_row(question.name, f"{seconds:.1f}", str(answer.rows.num_rows))
        return table


if __name__ == "__main__":
    main()
