"""Image hashes and rule hashes for the measurements of matching, made up and alike in each run.

Half of the image hashes are uniform. The other half is skewed, as those of real images are: drawn
from 1,000 centres with up to 6 bits flipped (64 bits; 45 of 256), and 4 % of them flat or striped.
Of the rule hashes 2 % lie near centres; the others are uniform and match next to nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.database import _migrate

Words = NDArray[np.uint64]
"""Hashes, shape (n, bits / 64), most significant word first."""

CENTRES: Final = 1000
ALGORITHMS: Final = {64: "average", 256: "pdq"}
_MOST_FLIPS: Final = {64: 6, 256: 45}
_ROWS_AT_ONCE: Final = 1_000_000
_FLAT: Final = (0, 2**64 - 1, 0xF0F0F0F0F0F0F0F0, 0x00000000FFFFFFFF, 0x5555555555555555)
COLUMNS: Final = ("hash", "hash_2", "hash_3", "hash_4")


def connect(path: Path) -> Connection:
    """Open a database as a machine with two cores and little memory would."""
    connection = duckdb.connect(path)
    connection.execute("SET threads = 2; SET memory_limit = '1200MB'; SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def image_hashes(count: int, bits: int) -> Iterator[Words]:
    """So many image hashes, in parts of a million."""
    random = np.random.default_rng(bits)
    centres = _uniform(random, CENTRES, bits)
    for start in range(0, count, _ROWS_AT_ONCE):
        size = min(_ROWS_AT_ONCE, count - start)
        skewed = _near(random, centres, size // 2, _MOST_FLIPS[bits])
        flat = random.random(len(skewed)) < 0.04
        skewed[flat] = random.choice(np.array(_FLAT, dtype=np.uint64), (flat.sum(), 1))
        part = np.concatenate([skewed, _uniform(random, size - len(skewed), bits)])
        random.shuffle(part)
        yield part


def rule_hashes(count: int, bits: int) -> Words:
    """So many rule hashes, all different."""
    random = np.random.default_rng(bits)
    centres = _uniform(random, CENTRES, bits)
    random = np.random.default_rng(count)
    near = np.unique(_near(random, centres, count // 50, 2), axis=0)
    return np.concatenate([near, _uniform(random, count - len(near), bits)])


def write_images(path: Path, count: int, bits: int) -> None:
    """Write a database with the schema and so many image hashes.

    `image_hashes` comes without its primary key: its index of 100 million texts would not fit into
    memory, and matching does not use it.
    """
    with connect(path) as connection:
        _migrate(connection)
        connection.execute("CREATE TABLE copied AS FROM image_hashes")
        connection.execute("DROP TABLE image_hashes; ALTER TABLE copied RENAME TO image_hashes")
        first = 1
        for words in image_hashes(count, bits):
            connection.register("part", _table(words, first))
            connection.execute(
                """
                INSERT INTO image_hashes BY NAME
                FROM part
                SELECT
                    *,
                    'bafkrei' || md5(hash_number::VARCHAR) || md5(hash::VARCHAR)[1:20] AS blob_cid,
                    $algorithm AS algorithm, 100 AS quality, 1000 AS width, 1000 AS height,
                    'jpeg' AS format, 'cdn' AS source, 'benchmark' AS hasher_version,
                    now() AS hashed_at
                """,
                {"algorithm": ALGORITHMS[bits]},
            )
            connection.unregister("part")
            first += len(words)


def put_in_force(connection: Connection, words: Words, threshold: int) -> str:
    """Store a rules version of one rule with these hashes; returns its name."""
    bits = 64 * words.shape[1]
    version = f"{len(words)} hashes of {bits} bits at {threshold}"
    connection.register("part", _table(words, 0))
    connection.execute("INSERT INTO rule_versions VALUES ($1, now(), '', '[]')", [version])
    connection.execute(
        f"""
        INSERT INTO rule_hashes BY NAME
        FROM part
        SELECT
            * EXCLUDE (hash_number),
            $version AS version, 'rule' AS rule_id, $algorithm AS algorithm,
            $threshold AS threshold, 0 AS rule_order, hash_number AS hash_order, 'live' AS mode,
            {" || ".join(f"format('{{:016x}}', {name})" for name in COLUMNS[: words.shape[1]])}
                AS rule_hash
        """,
        {"version": version, "algorithm": ALGORITHMS[bits], "threshold": threshold},
    )
    connection.unregister("part")
    return version


def read_images(path: Path, bits: int, count: int) -> Words:
    """The first so many image hashes of a database."""
    names = COLUMNS[: bits // 64]
    with connect(path) as connection:
        found = connection.execute(
            f"FROM image_hashes SELECT {', '.join(names)} WHERE hash_number <= $1", [count]
        ).fetchnumpy()
    return np.stack([np.asarray(found[name], dtype=np.uint64) for name in names], axis=1)


def _uniform(random: np.random.Generator, count: int, bits: int) -> Words:
    return random.integers(0, 2**64, (count, bits // 64), dtype=np.uint64)


def _near(random: np.random.Generator, centres: Words, count: int, most: int) -> Words:
    """Hashes within `most` bits of centres."""
    words = centres[random.integers(0, len(centres), count)]
    flips = random.integers(0, most + 1, count)
    for number in range(most):
        rows = np.flatnonzero(flips > number)
        bit = random.integers(0, 64 * words.shape[1], len(rows))
        words[rows, bit // 64] ^= np.uint64(1) << (bit % 64).astype(np.uint64)
    return words


def _table(words: Words, first: int) -> pa.Table:
    columns = {
        name: pa.array(np.ascontiguousarray(column))
        for name, column in zip(COLUMNS, words.T, strict=False)
    }
    return pa.table({"hash_number": pa.array(np.arange(first, first + len(words))), **columns})
