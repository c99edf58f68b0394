"""Rules and images for the tests of matching, and the brute force they are held against."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import strategies as st

from phash_dagster.matching import MatchCounts, match_partition
from phash_dagster.rules import Rule, RuleSet, save_version
from phash_dagster.rules.fields import STORED
from phash_dagster.warehouse import Connection

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = "2026-11-23-12:00"
ALL_ONES = 2**64 - 1

Row = tuple[str, str, str, int]
"""blob CID, rule id, rule hash, distance"""


def make_rule(
    rule_id: str,
    hashes: Iterable[int],
    threshold: int | None = None,
    *,
    bits: int = 64,
    **changes: Any,
) -> Rule:
    fields = {
        "id": rule_id,
        "phashes": [f"{value:0{bits // 4}x}" for value in hashes],
        "label": "troll",
        "comment": "Known meme",
        "report_account": False,
        "label_account": False,
        "report_post": False,
        "label_post": True,
        "hamming_threshold": threshold,
        **changes,
    }
    # As stored: here it does not matter whether an algorithm is installed.
    return Rule.model_validate(fields, context=STORED)


def make_rules(*rules: Rule) -> RuleSet:
    return RuleSet.of(rules, default_threshold=3)


def add_images(
    connection: Connection,
    hashes: Mapping[str, int],
    *,
    algorithm: str = "average",
    bits: int = 64,
) -> None:
    connection.execute(
        """
        INSERT OR REPLACE INTO image_hashes BY NAME
        SELECT
            cid AS blob_cid, $algorithm AS algorithm, ('0x' || hex[1:16])::UBIGINT AS hash,
            ('0x' || nullif(hex[17:32], ''))::UBIGINT AS hash_2,
            ('0x' || nullif(hex[33:48], ''))::UBIGINT AS hash_3,
            ('0x' || nullif(hex[49:64], ''))::UBIGINT AS hash_4,
            100 AS quality, 8 AS width, 8 AS height, 'jpeg' AS format, 'cdn' AS source,
            'test' AS hasher_version, $at AS hashed_at, nextval('image_hash_numbers') AS hash_number
        FROM (SELECT unnest($cids::VARCHAR[]) AS cid, unnest($hexes::VARCHAR[]) AS hex)
        """,
        {
            "algorithm": algorithm,
            "cids": list(hashes),
            "hexes": [f"{value:0{bits // 4}x}" for value in hashes.values()],
            "at": NOON,
        },
    )


def match(
    connection: Connection,
    rules: RuleSet,
    cids: Sequence[str] = (),
    *,
    margin: int = 0,
    at: datetime = NOON,
    keys: Sequence[str] = (HOUR,),
    **options: Any,
) -> MatchCounts:
    """Put the rules in force and match, with these images as the partition."""
    save_version(connection, rules, at)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE partition_images AS "
        "SELECT unnest($cids::VARCHAR[]) AS blob_cid",
        {"cids": list(cids)},
    )
    return match_partition(
        connection,
        version=rules.version,
        margin=margin,
        matched_at=at,
        partition_keys=keys,
        **options,
    )


def stored(connection: Connection) -> list[Row]:
    return connection.execute(
        "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, distance ORDER BY ALL"
    ).fetchall()


def brute_force(images: Mapping[str, int], rules: RuleSet, margin: int) -> list[Row]:
    """Every image with every rule hash: the reference."""
    return sorted(
        (cid, rule.id, rule_hash, distance)
        for cid, image in images.items()
        for rule in rules.rules
        for rule_hash in (*rule.phashes, *rule.except_hashes)
        if (distance := (image ^ int(rule_hash, 16)).bit_count()) <= rules.threshold(rule) + margin
    )


def forget_everything(connection: Connection) -> None:
    for table in ("image_hashes", "rule_matches", "matched_hashes", "partition_matches"):
        connection.execute(f"DELETE FROM {table}")


def flip(value: int, bits: Iterable[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def spread_flips(random: Random, count: int, *, bits: int, bands: int) -> list[int]:
    """`count` bits spread over the bands as evenly as possible: the hardest to find by bands."""
    width = bits // bands
    order = random.sample(range(bands), bands)
    within = [random.sample(range(width), width) for _ in range(bands)]
    return [width * order[n % bands] + within[order[n % bands]][n // bands] for n in range(count)]


# Average hashes are skewed: flat images, stripes and light/dark splits are frequent, and so are
# hashes that differ from them by a few bits.
FREQUENT = [
    0,
    ALL_ONES,
    0xF0F0F0F0F0F0F0F0,
    0x00000000FFFFFFFF,
    0xFFFF000000000000,
    0x5555555555555555,
]
FLIPS = st.lists(st.integers(0, 63), max_size=6)
FEW_BITS = st.builds(flip, st.just(0), FLIPS)
VALUES = st.builds(flip, st.sampled_from(FREQUENT), FLIPS) | FEW_BITS | st.integers(0, ALL_ONES)
